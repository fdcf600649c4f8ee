"""The log files of an instance: opening them, keeping them small, and reading their end.

Redis opens its log file for every line, workers (edge/worker/output.py) and the supervisor open theirs again if it is
gone. So the logs may be deleted at any time.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import IO

from rededge_nb.edge.log_files import MAX_LOG_BYTES, bound_log, open_private
from rededge_nb.edge.server.state import StateFolder

logger = logging.getLogger(__name__)

_END_BYTES = 200_000
_START_SIGN = b"Redis is starting"
"""In the line that redis-server logs first."""


def open_log(folder: StateFolder, name: str) -> IO[bytes]:
    """Open a log file for appending, also if its folder was deleted; without a log if that is not possible."""
    try:
        folder.logs.mkdir(mode=0o700, exist_ok=True)
        return open_private(folder.logs / name, "ab")
    except OSError as error:
        logger.error("there is no log %s: %s", folder.logs / name, error)
        return Path(os.devnull).open("ab")


def bound_logs(folder: StateFolder) -> None:
    """Truncate each log file that is larger than MAX_LOG_BYTES, after copying its end to a second file."""
    for log in folder.logs.glob("*.log"):
        try:
            bound_log(log, MAX_LOG_BYTES)
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
