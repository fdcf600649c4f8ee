"""The log files of an instance: opening them, keeping them small, and reading their end."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import IO

from rededge_nb.edge.server.state import StateFolder

logger = logging.getLogger(__name__)

MAX_LOG_BYTES = 8_000_000
"""Size at which a log file is truncated; the last bytes up to this size are kept in a second file."""


def open_log(folder: StateFolder, name: str) -> IO[bytes]:
    """Open a log file for appending, also if its folder was deleted; without a log if that is not possible."""
    try:
        folder.logs.mkdir(mode=0o700, exist_ok=True)
        return _open(folder.logs / name, os.O_APPEND)
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
                with log.open("rb") as source, _open(log.with_suffix(".log.1"), os.O_TRUNC) as copy:
                    source.seek(-MAX_LOG_BYTES, os.SEEK_END)
                    copy.write(source.read(MAX_LOG_BYTES))
            finally:
                # Not renamed: the child processes would continue to write to the renamed file.
                os.truncate(log, 0)
        except OSError as error:
            logger.warning("%s is truncated without a copy: %s", log, error)


def log_tail(folder: StateFolder, lines: int = 5) -> str:
    """The last lines of redis.log, and the path of the file."""
    file = folder.logs / "redis.log"
    tail = file.read_text(errors="replace").splitlines()[-lines:] if file.exists() else []
    return " | ".join(line.strip() for line in tail) + f" (see {file})"


def _open(path: Path, flag: int) -> IO[bytes]:
    """Open a file for writing, with mode 0600 if it is new."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600), "ab" if flag == os.O_APPEND else "wb")
