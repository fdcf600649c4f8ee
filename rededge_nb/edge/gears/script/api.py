"""The functions of the gear API: the names in the globals of a script.

Stored gears refer to them by the names in NAMES, so a name must stay once it is there (state/stored_code.py).
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable
from typing import Any

import redis

from rededge_nb.edge.client import shard
from rededge_nb.edge.gears.runtime import connection_state
from rededge_nb.edge.gears.runtime.atomic import atomic as atomic
from rededge_nb.edge.gears.runtime.atomic import current_block
from rededge_nb.edge.gears.runtime.context import current
from rededge_nb.edge.gears.runtime.errors import GearsError, GearsFlatError
from rededge_nb.edge.gears.runtime.futures import (
    GearsFuture,
    create_future,
    run_coroutine,
    set_future_exception,
    set_future_results,
)
from rededge_nb.edge.gears.runtime.hooked import CANNOT_WAIT, WaitingCommand
from rededge_nb.edge.gears.runtime.values import from_redis, to_argument
from rededge_nb.edge.gears.script.builder import GearsBuilder
from rededge_nb.edge.gears.script.reader_functions import create_keys_only_reader, shard_reader_callback

logger = logging.getLogger("rededge_nb.gears")

LOG_LEVELS = {
    "debug": logging.DEBUG,
    "verbose": logging.DEBUG,
    "notice": logging.INFO,
    "warning": logging.WARNING,
}
BLOCKING = {
    "RG.PYEXECUTE": "Can not run gears inside a multi exec, lua, or when blocking is not allowed",
    "RG.TRIGGER": CANNOT_WAIT,
}
BLOCKING["RG.TRIGGERONKEY"] = BLOCKING["RG.TRIGGER"]
BLOCKING["RG.GETRESULTSBLOCKING"] = BLOCKING["RG.PYEXECUTE"]


def execute(*words: object) -> Any:
    """Run a Redis command and return its reply: str, bytearray where it is not UTF-8, int, None or list.

    Inside `with atomic():` the command is sent when the block ends, or when its reply is used.

    Raises:
        GearsError: Redis answered with an error.
    """
    if not words:
        return []
    command = words[0]
    if not isinstance(command, str):
        raise GearsError("the given command must be a string")
    arguments = [to_argument(value) for value in words[1:]]
    sent = (command, *arguments)
    context = current()
    block = current_block()
    name = command.upper()
    if name == "RG.TRIGGER" and block is None and arguments:
        return context.executor.run_trigger([name.encode(), *arguments])
    if name in BLOCKING:
        raise GearsError(BLOCKING[name])
    connection_state.check(sent, atomic=block is not None)
    try:
        hooked = context.executor.run_hooks([command.encode(), *arguments], in_place=block is None)
        if hooked is not None:
            return hooked[0]
        if block is not None:
            return block.queue(sent)
        return from_redis(context.command(*sent))
    except redis.ResponseError as error:
        raise GearsError(shard.describe_error(error)) from None


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


def config_get(key: str) -> str | None:
    """An option that a user added with RG.CONFIGSET."""
    return current().executor.user_option(key)


def gears_config_get(key: str, default: Any = None) -> Any:
    """An option that a user added with RG.CONFIGSET, or the default."""
    value = config_get(key)
    return default if value is None else value


def hashtag() -> str:
    """A hash tag of keys on this shard; without a Redis Cluster, one of slot 0."""
    return shard.tag(current().executor.raw_client) or shard.tag_of_slot(0)


def override_reply(value: object) -> None:
    """Replace the reply to the command that waits for this execution.

    Raises:
        GearsError: no command waits for it, or the reply has been replaced before.
    """
    _waiting_command().override(value)


def get_command() -> list[str]:
    """The words of the command that waits for this execution.

    Raises:
        GearsError: no command waits for it.
    """
    return list(_waiting_command().words)


def call_next(*arguments: object) -> Any:
    """Run the next hook of the command that this hook answers, or the command itself.

    Args:
        arguments: Its arguments, without its name.

    Raises:
        GearsError: the running code is no hook, or the reply is an error.
    """
    context = current()
    if context.hooked is None:
        raise GearsError("Can not get CommandHook ctx")
    try:
        return context.executor.call_next(context.hooked, [to_argument(value) for value in arguments])
    except redis.ResponseError as error:
        raise GearsError(shard.describe_error(error)) from None


def _waiting_command() -> WaitingCommand:
    waiting = current().waiting
    if waiting is None:
        raise GearsError("Can not get command ctx")
    return waiting


def is_async_allow() -> bool:
    """Whether the running code may wait for a future."""
    context = current()
    return context.execution is not None and context.script is None and context.can_wait


def is_in_atomic_block() -> bool:
    """Whether the running code is inside `with atomic():`."""
    return current_block() is not None


def register_timer(seconds: float, function: Callable[[], Any], key: str | None = None) -> None:
    """Call a function every so many seconds until it raises; with a key, for as long as the key exists."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise GearsError("time argument must be a long")
    if not callable(function):
        raise GearsError("callback argument must be a function")
    current().executor.start_timer(float(seconds), function, key)


NAMES: dict[str, Any] = {
    "ConfigGet": config_get,
    "GB": GearsBuilder,
    "GearsBuilder": GearsBuilder,
    "GearsConfigGet": gears_config_get,
    "GearsFuture": GearsFuture,
    "Log": log,
    "asyncio": asyncio,
    "atomic": atomic,
    "call_next": call_next,
    "configGet": config_get,
    "copy": copy,
    "createFuture": create_future,
    "createKeysOnlyReader": create_keys_only_reader,
    "execute": execute,
    "flat_error": flat_error,
    "gearsConfigGet": gears_config_get,
    "gearsCtx": GearsBuilder,
    "gearsFuture": GearsFuture,
    "get_command": get_command,
    "hashtag": hashtag,
    "isAsyncAllow": is_async_allow,
    "isInAtomicBlock": is_in_atomic_block,
    "log": log,
    "override_reply": override_reply,
    "registerTE": register_timer,
    "runCoroutine": run_coroutine,
    "setFutureException": set_future_exception,
    "setFutureResults": set_future_results,
    "shardReaderCallback": shard_reader_callback,
}
"""The globals of every script, besides the module `redisgears`."""


def script_globals() -> dict[str, Any]:
    """A fresh globals dict for a script."""
    import redisgears  # type: ignore[import-not-found]

    return {"__name__": "not_main", "redisgears": redisgears, "rg": redisgears, **NAMES}
