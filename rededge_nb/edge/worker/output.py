"""What a worker and its gears print: it goes to a log file of bounded size, and is never the reason that a gear fails.

A gear may print any amount. So each write looks at the size of the log before. What programs and C code print does not
come this way; the supervisor truncates the log a moment later.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

from rededge_nb import settings
from rededge_nb.edge.log_files import MAX_LOG_BYTES, bound_log, open_private


class _Output(io.FileIO):
    """Standard output or error. What cannot be written is dropped: the disk is full, or nobody reads the pipe."""

    def __init__(self, descriptor: int, log: Path | None) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._log = log

    def write(self, data: Any) -> int:
        size = len(data)
        try:
            if self._log is None:
                return super().write(data) or size
            if not self._log.exists():  # somebody has deleted it
                _reopen(self._log)
            data = memoryview(data)[-MAX_LOG_BYTES:]
            bound_log(self._log, MAX_LOG_BYTES, room=len(data))
            super().write(data)
        except OSError:
            pass
        return size


def bound_output() -> None:
    """From now on, what this process prints is bounded, and printing raises no error."""
    log = settings.worker_log()
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(_Output(descriptor, log)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        for descriptor in (1, 2)
    )


def _reopen(log: Path) -> None:
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with open_private(log, "ab") as new:
        for descriptor in (1, 2):
            os.dup2(new.fileno(), descriptor)
