"""Errors that gear scripts see, under the names that RedisGears gave them."""

from __future__ import annotations

import traceback
from types import TracebackType

SCRIPT_FILE_NAME = "<string>"
"""File name of gear code in tracebacks."""


class GearsError(Exception):
    """`gears.error`: raised by RedisGears itself, and by execute() for an error reply."""


class GearsFlatError(Exception):
    """What flat_error() raises: reported by its message alone, without a traceback."""


GearsError.__module__, GearsError.__qualname__, GearsError.__name__ = "gears", "error", "error"


def error_text(error: BaseException) -> str:
    """The error as it stands in replies and in lastError: the repr of the traceback's lines, on one line.

    The frames of this package are left out: a script's author sees the script's own.
    """
    if isinstance(error, GearsFlatError):
        return str(error)
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != SCRIPT_FILE_NAME:
        frames = frames.tb_next
    return str(traceback.format_exception(type(error), error, frames))
