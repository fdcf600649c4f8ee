"""Redis commands that TorchScript calls, apart from torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from rededge_nb.edge.client import connection_of

RUN_COMMANDS = frozenset(
    f"AI.{name}"
    for name in (
        *("MODELEXECUTE", "MODELRUN", "SCRIPTEXECUTE", "SCRIPTRUN"),
        *("DAGEXECUTE", "DAGEXECUTE_RO", "DAGRUN", "DAGRUN_RO"),
    )
)
"""Commands that would wait for the device that the script itself keeps busy."""

CHANGE_THE_CONNECTION = frozenset(
    (
        *("AUTH", "HELLO", "RESET", "QUIT", "SELECT", "CLIENT", "SCRIPT", "MONITOR"),
        *("MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "ASKING", "READONLY", "READWRITE"),
        *(f"{kind}{act}" for kind in ("", "P", "S") for act in ("SUBSCRIBE", "UNSUBSCRIBE")),
        *("SYNC", "PSYNC", "REPLCONF"),
    )
)
"""Commands after which a connection answers the next one, of whoever has it then, in another way or not at all."""

WAIT = frozenset(
    (
        *("BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT", "WAITAOF"),
        *("RG.PYEXECUTE", "RG.TRIGGER", "RG.TRIGGERONKEY", "RG.GETRESULTSBLOCKING", "EDGE.NEXT"),
    )
)
"""Commands that wait for others, who may be waiting for the script's device."""


def call(client: redis.Redis, command: str, args: Sequence[str]) -> Any:
    """The reply to a command, with text for bytes.

    Raises:
        RuntimeError: the command is refused, here or by Redis.
    """
    refusal = refusal_of(command, args)
    if refusal is not None:
        raise RuntimeError(f"Redis command returned an error: {refusal}")
    with connection_of(client) as connection:
        try:
            connection.send_command(command, *args)
            return _readable(connection.read_response())
        except redis.ResponseError as error:
            raise RuntimeError(f"Redis command returned an error: {error}") from error


def refusal_of(command: str, args: Sequence[str]) -> str | None:
    """Why a script may not call a command; None if it may."""
    words = [word.upper() for word in (*command.split(), *args)]  # as redis-py divides it
    if not command.strip():
        return "ERR unknown command ''"  # Redis does not answer one of no words
    name = words[0]
    if name in RUN_COMMANDS:
        return "ERR Cannot run RedisAI command within a transaction or a LUA script"
    options = words[: words.index("STREAMS")] if "STREAMS" in words else words
    waits = name in WAIT or (name in ("XREAD", "XREADGROUP") and "BLOCK" in options)
    if waits or name in CHANGE_THE_CONNECTION:
        return "ERR This Redis command is not allowed from script"
    return None


def _readable(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    return [_readable(element) for element in reply] if isinstance(reply, list) else reply
