"""Redis clients as this package uses them everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a connection."""
MAX_CONNECTIONS = 2_000
"""Connections that a client may have at once: far more than threads, far fewer than a server takes.

redis-py's own limit of 100 is an error to whoever comes next, a sign of life among them.
"""

RETRY_DELAY = 0.2
"""Seconds before the next attempt, after the server was away or refused a command for a while."""

_Item = TypeVar("_Item")

CommandArgs = Sequence[Any]
"""A command: its name and arguments, as redis-py takes them."""


def client_from_url(
    url: str, *, db: int | None = None, name: str | None = None, timeout: float | None = None
) -> redis.Redis:
    """A client with bytes replies that speaks RESP2, waits as long as a command takes, and never repeats one.

    redis-py's own defaults would end blocking calls after 5 s, send a command again after a broken connection
    (a second XADD), and lose parts of TS.INFO under RESP3.

    Args:
        url: address of the server.
        db: database, instead of the one in the address.
        name: what CLIENT LIST shows.
        timeout: seconds to wait for a reply; without it a server that hangs is waited for.
    """
    options: dict[str, object] = {} if db is None else {"db": db}
    return redis.Redis.from_url(
        url,
        protocol=2,
        decode_responses=False,
        socket_timeout=timeout,
        socket_connect_timeout=CONNECT_TIMEOUT,
        max_connections=MAX_CONNECTIONS,
        retry=Retry(NoBackoff(), 0),
        client_name=name,
        **options,
    )


# What is done for every frame goes without redis-py's pipelines and retries: they cost more than what they send.


@contextlib.contextmanager
def connection_of(client: redis.Redis) -> Iterator[Any]:
    """A connection of the client's; after anything but an error of Redis it is closed, for replies may be under way."""
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
    """The replies to several commands that are sent at once, errors among them as they are."""
    send(connection, commands)
    return [next_reply(connection) for _ in commands]


def send(connection: Any, commands: Sequence[CommandArgs]) -> None:
    """Send several commands at once; next_reply() gives what comes of them."""
    connection.send_packed_command(connection.pack_commands(commands))


def next_reply(connection: Any) -> Any:
    """The next reply, or the error that it is."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def in_transaction(commands: Sequence[CommandArgs]) -> list[CommandArgs]:
    """The commands between MULTI and EXEC."""
    return [("MULTI",), *commands, ("EXEC",)]


def transact(client: redis.Redis, commands: Sequence[CommandArgs]) -> None:
    """Execute commands in a transaction.

    Raises:
        redis.ResponseError: one of them failed.
    """
    with connection_of(client) as connection:
        check(replies_to(connection, in_transaction(commands)))


def check(replies: Sequence[Any]) -> None:
    """Raise the first error among replies, or among those that EXEC gave.

    Raises:
        redis.ResponseError: there is one.
    """
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
        if isinstance(reply, list):
            check(reply)


def is_transient(error: Exception) -> bool:
    """Whether a command may succeed later: the server is away, or its memory or disk is full."""
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | redis.exceptions.OutOfMemoryError) or (
        isinstance(error, redis.ResponseError) and "MISCONF" in str(error)
    )


def pairs(flat: Sequence[_Item]) -> dict[_Item, _Item]:
    """A reply that lists names and values in turn, as a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
