"""Errors that gear scripts see, with the names that RedisGears gave them, and the texts that clients get."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import redis

from rededge_nb.edge.gears.runtime.values import encodable

SCRIPT_FILE_NAME = "<string>"
"""File name of gear code in tracebacks."""
PACKAGE = str(Path(__file__).parents[3])
"""Folder of this package. Its frames are left out of tracebacks: the author of a script did not write them."""


class GearsError(Exception):
    """`gears.error`: raised by RedisGears itself, and by execute() for an error reply."""


class GearsFlatError(Exception):
    """Raised by flat_error(). Replies have its message alone, without a traceback."""


class NestedError(GearsError, GearsFlatError):
    """An error of gear code that other gear code has called, which itself was called so.

    It is reported by its text alone: a traceback inside a traceback doubles its backslashes at each level.
    """


class GearsForceStopped(Exception):  # noqa: N818 - RedisGears' name
    """`gears.forcestopped`: RG.ABORTEXECUTION raises it inside gear code, again and again until the code ends."""


class ServerAwayError(redis.ConnectionError):
    """The server of this worker went away. That is no failure of a gear: its records are delivered again.

    A gear may use other servers, too. If one of those is away, it is the gear's error: a plain redis.ConnectionError.
    """


class ExecutionAbortedError(BaseException):
    """Ends an execution that was aborted while it waited. Gear code sees it only where it handles a later record."""


GearsError.__module__, GearsError.__qualname__, GearsError.__name__ = "gears", "error", "error"
NestedError.__module__, NestedError.__qualname__, NestedError.__name__ = "gears", "error", "error"
GearsForceStopped.__module__, GearsForceStopped.__qualname__ = "gears", "forcestopped"
GearsForceStopped.__name__ = "forcestopped"


@contextlib.contextmanager
def own_server() -> Iterator[None]:
    """Mark the errors of a block that uses the server of this worker.

    Raises:
        ServerAwayError: that server went away inside the block.
    """
    try:
        yield
    except ServerAwayError:
        raise
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ServerAwayError(str(error)) from error


def error_text(error: BaseException, *, with_traceback: bool = True) -> str:
    """An error as replies and lastError have it: the repr of the list of the traceback's lines, in one line.

    Frames of this package are left out. Without a traceback (option PythonAttemptTraceback 0) the text is the error's
    type and value.
    """
    if isinstance(error, GearsFlatError):
        return _text(error)
    if not with_traceback:
        return f"Error type: {type(error)}, Value: {_text(error)}"
    described = traceback.TracebackException.from_exception(error)
    _hide_own_frames(described)
    return str(list(described.format()))


def _text(error: BaseException) -> str:
    """An error's message, in characters that can be sent."""
    try:
        return encodable(str(error))
    except Exception:  # noqa: BLE001 - a user's class, whose __str__ may fail; the error is reported all the same
        return "<exception str() failed>"  # as in tracebacks


def _hide_own_frames(described: traceback.TracebackException | None) -> None:
    while described is not None:
        shown = [frame for frame in described.stack if not frame.filename.startswith(PACKAGE)]
        described.stack = traceback.StackSummary.from_list(shown)
        _hide_own_frames(described.__cause__)
        described = described.__context__
