"""Errors that gear scripts see, under the names that RedisGears gave them."""

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
"""Folder whose frames no script's author wants to see."""


class GearsError(Exception):
    """`gears.error`: raised by RedisGears itself, and by execute() for an error reply."""


class GearsFlatError(Exception):
    """What flat_error() raises: reported by its message alone, without a traceback."""


class GearsForceStopped(Exception):  # noqa: N818 - RedisGears' name
    """`gears.forcestopped`: raised inside gear code, again and again until it ends, by RG.ABORTEXECUTION."""


class ServerAwayError(redis.ConnectionError):
    """The server that the gears run on went away: no failure of the gear, its records come again.

    A gear may speak to other servers too. What breaks there is its own error, and a plain redis.ConnectionError.
    """


class ExecutionAbortedError(BaseException):
    """Ends an execution that waited for a future when it was aborted; gear code never sees it."""


GearsError.__module__, GearsError.__qualname__, GearsError.__name__ = "gears", "error", "error"
GearsForceStopped.__module__, GearsForceStopped.__qualname__ = "gears", "forcestopped"
GearsForceStopped.__name__ = "forcestopped"


@contextlib.contextmanager
def own_server() -> Iterator[None]:
    """Tell an absence of the gears' own server from that of any other.

    Raises:
        ServerAwayError: it went away inside the block.
    """
    try:
        yield
    except ServerAwayError:
        raise
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ServerAwayError(str(error)) from error


def error_text(error: BaseException, *, with_traceback: bool = True) -> str:
    """The error as it stands in replies and in lastError: the repr of the traceback's lines, on one line.

    The frames of this package are left out: a script's author sees the script's own. Without a traceback (option
    PythonAttemptTraceback 0) it is the error's type and value.
    """
    if isinstance(error, GearsFlatError):
        return _text(error)
    if not with_traceback:
        return f"Error type: {type(error)}, Value: {_text(error)}"
    described = traceback.TracebackException.from_exception(error)
    _hide_own_frames(described)
    return str(list(described.format()))


def _text(error: BaseException) -> str:
    """What an error says, in characters that can be sent."""
    try:
        return encodable(str(error))
    except Exception:  # noqa: BLE001 - a gear's own class, whose text must not cost us its being told
        return "<exception str() failed>"  # as in tracebacks


def _hide_own_frames(described: traceback.TracebackException | None) -> None:
    while described is not None:
        shown = [frame for frame in described.stack if not frame.filename.startswith(PACKAGE)]
        described.stack = traceback.StackSummary.from_list(shown)
        _hide_own_frames(described.__cause__)
        described = described.__context__
