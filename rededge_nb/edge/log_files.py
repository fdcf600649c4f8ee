"""Log files that are never larger than a limit, and are made again if somebody deletes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

MAX_LOG_BYTES = 8_000_000
"""Size at which a log file is truncated; the last bytes up to this size are kept in a second file."""


def open_private(path: Path, mode: str) -> IO[bytes]:
    """Open a file for writing, with mode 0600 if it is new."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))


def bound_log(log: Path, limit: int, *, room: int = 0) -> None:
    """Truncate a log file that would be larger than `limit` with `room` more bytes, after copying its end.

    Raises:
        OSError: The copy could not be written. The log is truncated nevertheless.
    """
    size = log.stat().st_size
    if size + room <= limit:
        return
    try:
        with log.open("rb") as source, open_private(log.with_suffix(".log.1"), "wb") as copy:
            source.seek(max(size - limit, 0))
            copy.write(source.read(limit))
    finally:
        # Not renamed: other processes would continue to write to the renamed file.
        os.truncate(log, 0)
