"""The names that a gear script finds in its globals."""

from __future__ import annotations

import asyncio
import copy
import logging
from types import TracebackType
from typing import Any

import lazy_object_proxy
import redis

from rededge_nb.edge.gears.builder import GearsBuilder
from rededge_nb.edge.gears.context import Context, current
from rededge_nb.edge.gears.errors import GearsError, GearsFlatError
from rededge_nb.edge.gears.values import from_redis, to_argument

logger = logging.getLogger("rededge_nb.gears")

LOG_LEVELS = {
    "debug": logging.DEBUG,
    "verbose": logging.DEBUG,
    "notice": logging.INFO,
    "warning": logging.WARNING,
}


def execute(command: str, *args: object) -> Any:
    """Run a Redis command and return its reply: str, bytearray where it is not UTF-8, int, None or list.

    Inside `with atomic():` the command is held back until the block ends; its reply can be used from then on.

    Raises:
        GearsError: Redis answered with an error.
    """
    if not isinstance(command, str):
        raise GearsError("the given command must be a string")
    words = (command, *(to_argument(value) for value in args))
    context = current()
    if context.queued is not None:
        return _reply_after_block(context, context.queued, words)
    try:
        return from_redis(context.client.execute_command(*words))
    except redis.ResponseError as error:
        raise GearsError(str(error)) from None


def _reply_after_block(context: Context, queued: list[tuple[Any, ...]], words: tuple[Any, ...]) -> Any:
    replies, position = context.replies, len(queued)
    queued.append(words)

    def reply() -> Any:
        if position >= len(replies):
            raise GearsError(f"the reply to {words[0]} is known only after its atomic block has ended")
        return replies[position]

    return lazy_object_proxy.Proxy(reply)


class atomic:  # noqa: N801 - RedisGears' name
    """`with atomic():` runs the block's commands as one unit, in one round trip (MULTI/EXEC).

    RedisGears holds the server's lock meanwhile and answers each command at once. From outside the server nobody can
    do that: so the commands are sent when the block ends, and their replies can be used only then.
    """

    def __enter__(self) -> None:
        """Begin to hold commands back."""
        context = current()
        if context.queued is not None:
            raise GearsError("Already inside an atomic block")
        context.queued, context.replies = [], []

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        """Send the commands; after an exception inside the block, none."""
        context = current()
        commands, context.queued = context.queued, None
        if kind is not None or not commands:
            return
        pipeline = context.client.pipeline(transaction=True)
        for words in commands:
            pipeline.execute_command(*words)
        replies = pipeline.execute(raise_on_error=False)
        context.replies.extend(from_redis(reply) for reply in replies)
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise GearsError(str(reply))


def log(message: str, level: str = "notice") -> None:
    """Write a line to the worker's log; level is debug, verbose, notice or warning."""
    if not isinstance(message, str):
        raise GearsError("log message must be a string")
    if level not in LOG_LEVELS:
        raise GearsError(f"unknown log level {level!r}: use one of {', '.join(LOG_LEVELS)}")
    logger.log(LOG_LEVELS[level], "GEARS: %s", message)


def flat_error(message: str) -> None:
    """Raise an error that is reported by its message alone."""
    raise GearsFlatError(message)


def script_globals() -> dict[str, Any]:
    """A fresh globals dict for a script."""
    import redisgears  # type: ignore[import-not-found]

    return {
        "__name__": "not_main",
        "GearsBuilder": GearsBuilder,
        "GB": GearsBuilder,
        "asyncio": asyncio,
        "atomic": atomic,
        "copy": copy,
        "execute": execute,
        "flat_error": flat_error,
        "log": log,
        "redisgears": redisgears,
        "rg": redisgears,
    }
