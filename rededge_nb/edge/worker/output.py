"""What a worker prints goes to a log, and must never be the reason that a gear fails."""

from __future__ import annotations

import io
import sys
from typing import Any


class _Lenient(io.FileIO):
    """A file that drops what it cannot write: whoever reads the pipe has ended, or the disk is full."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


def print_leniently() -> None:
    """From now on, print() and logging raise no error if the output cannot be written."""
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(_Lenient(descriptor, "wb", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        for descriptor in (1, 2)
    )
