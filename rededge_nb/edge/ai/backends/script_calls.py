"""Redis commands that scripts call with redis.execute. This module does not need torch."""

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
"""Commands that would wait for the device on which the script itself is running."""

CHANGE_THE_CONNECTION = frozenset(
    (
        *("AUTH", "HELLO", "RESET", "QUIT", "SELECT", "CLIENT", "SCRIPT", "MONITOR"),
        *("MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "ASKING", "READONLY", "READWRITE"),
        *(f"{kind}{act}" for kind in ("", "P", "S") for act in ("SUBSCRIBE", "UNSUBSCRIBE")),
        *("SYNC", "PSYNC", "REPLCONF"),
    )
)
"""Commands that change the state of the connection, which is returned to a pool and used by others."""

BLOCKING = frozenset(
    (
        *("BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT", "WAITAOF"),
        *("RG.PYEXECUTE", "RG.TRIGGER", "RG.TRIGGERONKEY", "RG.GETRESULTSBLOCKING", "EDGE.NEXT"),
    )
)
"""Commands that wait for other clients, which may be waiting for the device of the script."""


def call(client: redis.Redis, command: str, args: Sequence[str]) -> Any:
    """The reply to a command, with str in place of bytes.

    Raises:
        RuntimeError: The command is refused, here or by Redis.
    """
    reason = refusal(command, args)
    if reason is not None:
        raise RuntimeError(f"Redis command returned an error: {reason}")
    with connection_of(client) as connection:
        try:
            connection.send_command(command, *args)
            return _readable(connection.read_response())
        except redis.ResponseError as error:
            raise RuntimeError(f"Redis command returned an error: {error}") from error


def refusal(command: str, args: Sequence[str]) -> str | None:
    """The error for a command that scripts cannot call; None for any other command."""
    words = [word.upper() for word in (*command.split(), *args)]  # redis-py splits the name of a command, too
    if not command.strip():
        return "ERR unknown command ''"  # Redis does not reply to an empty command
    name = words[0]
    if name in RUN_COMMANDS:
        return "ERR Cannot run RedisAI command within a transaction or a LUA script"
    options = words[: words.index("STREAMS")] if "STREAMS" in words else words
    blocks = name in BLOCKING or (name in ("XREAD", "XREADGROUP") and "BLOCK" in options)
    if blocks or name in CHANGE_THE_CONNECTION:
        return "ERR This Redis command is not allowed from script"
    return None


def _readable(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    return [_readable(element) for element in reply] if isinstance(reply, list) else reply
