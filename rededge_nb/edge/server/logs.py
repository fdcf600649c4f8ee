"""The log files of an instance: opening them, keeping them small, and reading their end.

Workers print what their gears print, which may be any amount. So they write to a pipe, and a thread of the supervisor
copies it to the log file, which it begins again before it is too large. Nothing else would hold at every moment, or if
somebody deletes the file. Redis opens its log file for every line, and the supervisor's own log is opened again when
it is gone; both are truncated from time to time.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import IO

from rededge_nb.edge.server.state import StateFolder

logger = logging.getLogger(__name__)

MAX_LOG_BYTES = 8_000_000
"""Size at which a log file is truncated; the last bytes up to this size are kept in a second file."""


_CHUNK_BYTES = 65_536
_END_BYTES = 200_000
_START_SIGN = b"Redis is starting"
"""In the line that redis-server logs first."""


class LogPipe:
    """A pipe whose content is appended to a log file; child processes write to `write_end`.

    What cannot be written, because the disk is full, is lost.
    """

    def __init__(self, folder: StateFolder, name: str) -> None:
        self._folder, self._name = folder, name
        read_end, write_end = os.pipe()
        self.write_end = os.fdopen(write_end, "wb")
        threading.Thread(target=self._copy, args=(read_end,), name=name, daemon=True).start()

    def close(self) -> None:
        """Close this process's end: the thread ends when the child processes have ended, too."""
        self.write_end.close()

    def _copy(self, read_end: int) -> None:
        file = self._folder.logs / self._name
        while chunk := os.read(read_end, _CHUNK_BYTES):
            try:
                if file.exists() and file.stat().st_size + len(chunk) > MAX_LOG_BYTES:
                    file.replace(file.with_suffix(".log.1"))
                with open_log(self._folder, self._name) as log:
                    log.write(chunk)
            except OSError:
                continue
        os.close(read_end)


def open_log(folder: StateFolder, name: str) -> IO[bytes]:
    """Open a log file for appending, also if its folder was deleted; without a log if that is not possible."""
    try:
        folder.logs.mkdir(mode=0o700, exist_ok=True)
        return _open(folder.logs / name, "ab")
    except OSError as error:
        logger.error("there is no log %s: %s", folder.logs / name, error)
        return Path(os.devnull).open("ab")


def bound_logs(folder: StateFolder) -> None:
    """Truncate each log file that is larger than MAX_LOG_BYTES, after copying its end to a second file."""
    for log in folder.logs.glob("*.log"):
        try:
            size = log.stat().st_size
            if size <= MAX_LOG_BYTES:
                continue
            try:
                with log.open("rb") as source, _open(log.with_suffix(".log.1"), "wb") as copy:
                    source.seek(-MAX_LOG_BYTES, os.SEEK_END)
                    copy.write(source.read(MAX_LOG_BYTES))
            finally:
                # Not renamed: the child processes would continue to write to the renamed file.
                os.truncate(log, 0)
        except OSError as error:
            logger.warning("%s is truncated without a copy: %s", log, error)


def log_end(folder: StateFolder) -> bytes:
    """What redis-server has logged since it was started last."""
    try:
        with (folder.logs / "redis.log").open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - _END_BYTES, 0))
            return log.read().rpartition(_START_SIGN)[2]
    except FileNotFoundError:
        return b""


def log_tail(folder: StateFolder, lines: int = 5) -> str:
    """The last lines of redis.log, and the path of the file."""
    file = folder.logs / "redis.log"
    tail = log_end(folder).decode(errors="replace").splitlines()[-lines:]
    return " | ".join(line.strip() for line in tail) + f" (see {file})"


def _open(path: Path, mode: str) -> IO[bytes]:
    """Open a file for writing, with mode 0600 if it is new."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))
