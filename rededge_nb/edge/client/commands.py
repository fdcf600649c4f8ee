"""Sending commands over one connection and reading their replies.

Whatever is done for every frame uses these functions. redis-py's pipelines and retries take more time than the commands
themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import hiredis
import redis

from rededge_nb.edge.client.reply_timeouts import ReplyTimeouts

ALWAYS_ACCEPTED_BYTES = 1024**2 - 1024
"""Size of a value that any server accepts."""
DEFAULT_MAX_VALUE_BYTES = 512 * 1024**2
"""Redis's default limit for a value."""
_LIMIT = "proto-max-bulk-len"
"""The server's limit for a value; it cannot be less than 1 MB."""
_Item = TypeVar("_Item")

CommandArgs = Sequence[Any]
"""The name and the arguments of a command, as redis-py takes them."""


@contextlib.contextmanager
def connection_of(client: redis.Redis) -> Iterator[Any]:
    """A connection of the client's pool.

    If an error other than an error reply leaves the block, the connection is closed: replies may still arrive on it.
    """
    connection = client.connection_pool.get_connection()
    try:
        yield connection
    except redis.ResponseError:
        raise
    except BaseException:
        connection.disconnect()
        raise
    finally:
        client.connection_pool.release(connection)


def replies_to(connection: Any, commands: Sequence[CommandArgs]) -> list[Any]:
    """The replies to several commands that are sent at once; error replies are not raised but are in the list."""
    send(connection, commands)
    return [next_reply(connection) for _ in commands]


def send(connection: Any, commands: Sequence[CommandArgs]) -> None:
    """Send several commands at once; next_reply() reads their replies."""
    packed = _packed(connection, commands)
    if isinstance(connection, ReplyTimeouts):
        connection.expect_replies_to(commands)
    connection.send_packed_command(packed)


def _packed(connection: Any, commands: Sequence[CommandArgs]) -> list[bytes]:
    """Commands as they are sent. redis-py takes five times as long as hiredis, but accepts more."""
    try:
        if not any(" " in command[0] for command in commands):  # redis-py splits `CONFIG GET`
            return [b"".join([hiredis.pack_command(tuple(command)) for command in commands])]
    except TypeError:  # an argument such as a memoryview
        pass
    packed: list[bytes] = connection.pack_commands(commands)
    return packed


def next_reply(connection: Any) -> Any:
    """The next reply; an error reply is returned, not raised."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return redis.exceptions.OutOfMemoryError(str(error)) if is_full_at_exec(error) else error


def is_full_at_exec(error: BaseException) -> bool:
    """Whether the memory was full at EXEC only: others have written since the commands were queued."""
    return isinstance(error, redis.exceptions.ExecAbortError) and "because of: OOM" in str(error)


def in_transaction(commands: Sequence[CommandArgs]) -> list[CommandArgs]:
    """The commands between MULTI and EXEC."""
    return [("MULTI",), *commands, ("EXEC",)]


def even_if_full(key: str, *command: Any) -> CommandArgs:
    """A command that is executed although the server has reached its `maxmemory`.

    For the few bytes of heartbeats and leases only: without them a worker counts as dead, and its work stops.

    Args:
        key: The key that the command writes.
        command: Name and arguments of the command.
    """
    return ("EDGE.QUIET", "EVAL", "#!lua flags=allow-oom\nreturn redis.call(unpack(ARGV))", 1, key, *command)


def max_value_bytes(client: redis.Redis, size: int) -> int:
    """How large a value the server accepts. It closes the connection of a client that sends a larger one.

    Args:
        client: A client of the server.
        size: The size of the value. If any server accepts that, the server is not asked.
    """
    if size <= ALWAYS_ACCEPTED_BYTES:
        return ALWAYS_ACCEPTED_BYTES
    try:
        value = client.config_get(_LIMIT)[_LIMIT]
    except (redis.ResponseError, KeyError):
        return DEFAULT_MAX_VALUE_BYTES  # managed servers refuse CONFIG
    return int(value or DEFAULT_MAX_VALUE_BYTES)


def transact(client: redis.Redis, commands: Sequence[CommandArgs]) -> None:
    """Execute commands in a transaction.

    Raises:
        redis.ResponseError: One of them failed.
    """
    with connection_of(client) as connection:
        check(replies_to(connection, in_transaction(commands)))


def check(replies: Sequence[Any]) -> None:
    """Raise the first error among replies, those in the reply to EXEC included.

    Raises:
        redis.ResponseError: There is one.
    """
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
        if isinstance(reply, list):
            check(reply)


def pairs(flat: Sequence[_Item]) -> dict[_Item, _Item]:
    """A reply with names and values in turn as a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
