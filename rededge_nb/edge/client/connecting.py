"""Making Redis clients, and what an error of Redis means."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rededge_nb.addresses import has_unencoded_characters, shown_address
from rededge_nb.edge.client.commands import is_full_at_exec
from rededge_nb.edge.client.reply_timeouts import with_reply_timeouts, without_reply_timeouts
from rededge_nb.errors import ConfigurationError, ServerUnavailableError

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a connection."""
COMMAND_TIMEOUT = 10.0
"""Seconds in which a worker must have the reply to a command that does not wait for other clients."""
READ_TIMEOUT = 15.0
"""Seconds to wait for the reply to a command that takes at most a second."""
MARKED_USERS = (None, "", "default", "worker", "notebook", "capture", "init", "lab")
"""Users who may mark their connections as ours."""
MAX_CONNECTIONS = 2_000
"""How many connections a client may have at the same time: more than there are threads, fewer than a server accepts.

With redis-py's default of 100, the next thread gets an error, even if it is the one that sends the heartbeat.
"""
KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (
        ("TCP_KEEPIDLE", 5),
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 10_000),
    )
    if hasattr(socket, name)
}
"""Options of TCP connections: one to a computer that does not answer is closed after about ten seconds, whether this
process waits for data or has sent some. See tcp(7); the first three are seconds and a number, the last milliseconds."""
_CLIENT_ID = "rededge_client_id"
"""An attribute of connections: their id at the server."""
_connections: weakref.WeakSet[Any] = weakref.WeakSet()
"""The marked connections of this process, for close_connections()."""
RETRY_DELAY = 0.2
"""Seconds before the next attempt, after the server was not available or did not accept a command for the moment."""


def client_from_url(
    url: str, *, db: int | None = None, name: str | None = None, timeout: float | None = None
) -> redis.Redis:
    """A client with bytes replies that speaks RESP2, waits as long as each command may take (reply_timeouts.py), and
    sends no command twice.

    With redis-py's defaults a blocking call would end after 5 s, a command would be sent again after a broken
    connection (a second XADD), and parts of TS.INFO would be lost under RESP3.

    Args:
        url: Address of the server.
        db: The database, in place of the one in the address.
        name: The name in CLIENT LIST.
        timeout: Seconds to wait for the reply to any command; by default it depends on the command.

    Raises:
        ConfigurationError: The address is not a Redis address.
    """
    client = _client(url, db=db, name=name, timeout=timeout)
    if timeout is None:
        client.connection_pool.connection_class = with_reply_timeouts(client.connection_pool.connection_class)
    return client


def _client(url: str, *, db: int | None, name: str | None, timeout: float | None) -> redis.Redis:
    options: dict[str, object] = {} if db is None else {"db": db}
    if not url.startswith("unix:"):
        options |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    if has_unencoded_characters(url):
        raise ConfigurationError(
            f"the user name or password in the Redis address {shown_address(url)} has a character that must be "
            "percent-encoded: write %2F for /, %3F for ?, %23 for #, %40 for @ and %20 for a space"
        )
    try:
        return redis.Redis.from_url(
            url,
            protocol=2,
            decode_responses=False,
            socket_timeout=timeout,
            socket_connect_timeout=CONNECT_TIMEOUT,
            max_connections=MAX_CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
            client_name=name,
            redis_connect_func=_connect,
            **options,
        )
    except ValueError:  # its text quotes parts of the address
        raise ConfigurationError(
            f"{shown_address(url)!r} is not a Redis address: it must be like redis://user:password@host:6379/0, "
            "rediss://… or unix:///path/of/redis.sock"
        ) from None


def _connect(connection: Any) -> None:
    """Log in, and mark the connection as one of ours: edge/server/client_watch.py closes only others.

    The user `viewer` has no permission for that: it is not trusted to read what it asks for.
    """
    connection.on_connect()
    if connection.username not in MARKED_USERS:
        return
    connection.send_packed_command(
        connection.pack_commands([("CLIENT", "NO-EVICT", "ON"), ("CLIENT", "ID")]), check_health=False
    )
    with contextlib.suppress(redis.ResponseError):
        connection.read_response()
    with contextlib.suppress(redis.ResponseError):
        setattr(connection, _CLIENT_ID, connection.read_response())
        _connections.add(connection)


def client_id(connection: Any) -> int | None:
    """The id of a marked connection at the server; None if it has not been opened, or may not be marked."""
    return getattr(connection, _CLIENT_ID, None)


def close_connections(*, but: Any) -> None:
    """Close all connections of this process to the server of one connection, at both ends, except for that one.

    Threads that wait for a reply on one of them get redis.ConnectionError.
    """
    server = _server_of(but)
    for connection in [one for one in _connections if one is not but and _server_of(one) == server]:
        if not _shut_down(connection):
            continue
        with contextlib.suppress(redis.RedisError):
            but.send_command("CLIENT", "KILL", "ID", getattr(connection, _CLIENT_ID))
            but.read_response()


def interrupt(client: redis.Redis) -> None:
    """Let the threads that wait for a reply of this client get redis.ConnectionError.

    The pool's `disconnect()` would also take the connection away from a thread that is about to log in. redis-py then
    connects it once more in the middle of that, and the thread waits for a reply that nobody sends.
    """
    pool = client.connection_pool
    with pool._lock:
        for connection in [*pool._in_use_connections, *pool._available_connections]:
            _shut_down(connection)


def _shut_down(connection: Any) -> bool:
    """End the reading and writing of a connection, whose thread then closes it; False if it is not open."""
    opened = connection._sock  # redis-py has no way to interrupt another thread
    if opened is None:
        return False
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    return True


def _close_in_child() -> None:
    """Close the connections that a forked process has inherited, at its end only.

    It could not use them. While it has them, the server takes the process that had opened them for alive, even after
    its death, and sends calls there.
    """
    for connection in list(_connections):
        opened = connection._sock  # disconnect() would end the connection of the parent process, too
        if opened is not None:
            with contextlib.suppress(OSError):
                opened.close()


os.register_at_fork(after_in_child=_close_in_child)


def _server_of(connection: Any) -> tuple[object, object]:
    return getattr(connection, "host", None), getattr(connection, "port", None)


def worker_client(url: str, *, name: str, db: int | None = None, timeout: float | None = None) -> redis.Redis:
    """A client for a worker, as client_from_url(): hooks do not apply to its commands.

    They would have to wait for the worker itself, among others. Without `timeout` it waits for ever for any reply: a
    worker waits until Redis is back, and edge/worker/partition.py closes connections that were lost.
    """
    client = _client(url, db=db, name=name, timeout=timeout)
    client.connection_pool.connection_kwargs["redis_connect_func"] = _connect_as_worker
    return client


def client_like(client: redis.Redis, *, over_tcp: bool = False, **changes: Any) -> redis.Redis:
    """A client with its own connections and the settings of another one, except for `changes`.

    Args:
        client: The other client.
        over_tcp: Connect to `host` and `port`, even if the other client uses a unix socket.
        changes: Settings of its connections, as redis.Connection takes them.
    """
    pool = client.connection_pool
    # redis-py enables maintenance notifications by default, and refuses them when they are passed with RESP2
    kept = {name: value for name, value in pool.connection_kwargs.items() if "maint_notifications" not in name}
    connection_class = pool.connection_class
    if over_tcp and kept.pop("path", None) is not None:
        is_limited = connection_class is not without_reply_timeouts(connection_class)
        connection_class = with_reply_timeouts(redis.Connection) if is_limited else redis.Connection
        kept |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    if "socket_timeout" in changes:  # this one applies to every command
        connection_class = without_reply_timeouts(connection_class)
    return redis.Redis.from_pool(redis.ConnectionPool(connection_class=connection_class, **(kept | changes)))


@contextmanager
def blocking_client(client: redis.Redis) -> Iterator[redis.Redis]:
    """A client of the same server for blocking reads, with bytes replies.

    redis-py repeats a command ten times when a connection breaks. Then a frame would be added twice, and it would take
    long to notice that the server is gone; this client does not repeat commands.

    Raises:
        ServerUnavailableError: As server_errors(), which applies to the block.
    """
    own = client_like(
        client,
        protocol=2,
        decode_responses=False,
        socket_timeout=READ_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )
    try:
        with server_errors(client):
            yield own
    finally:
        own.close()


@contextmanager
def server_errors(client: redis.Redis) -> Iterator[None]:
    """Turn a lost or refused connection into ServerUnavailableError.

    Raises:
        ServerUnavailableError: The server does not answer, or refuses the password.
    """
    try:
        yield
    except redis.AuthenticationError as error:
        raise ServerUnavailableError(
            f"the Redis server at {_address(client)} refuses the password ({error}): `rededge url` prints the address "
            "with the password of an embedded server"
        ) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ServerUnavailableError(
            f"the Redis server at {_address(client)} does not answer ({error}): see whether it runs with "
            "`rededge status`, start it with `rededge up`"
        ) from error


def is_transient(error: BaseException) -> bool:
    """Whether the same command may succeed later without anybody changing a setting.

    That is so if the server is down or starting, if it executes a script that takes long, or cannot write because its
    memory or disk is full. A refused password is not transient, although redis-py's AuthenticationError is a
    ConnectionError: a new password needs a new start of whoever uses the old one.
    """
    if isinstance(error, ServerUnavailableError):
        return error.__cause__ is None or is_transient(error.__cause__)
    if isinstance(error, redis.AuthenticationError):
        return False
    if isinstance(error, redis.ResponseError):
        is_full = isinstance(error, redis.exceptions.OutOfMemoryError) or is_full_at_exec(error)
        return is_full or "MISCONF" in str(error) or is_busy_error(error)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError)


def is_busy_error(error: BaseException) -> bool:
    """Whether this is Redis's answer to all commands while a script or function takes longer than some seconds."""
    return isinstance(error, redis.ResponseError) and str(error).startswith("BUSY Redis")


def _connect_as_worker(connection: Any) -> None:
    _connect(connection)
    connection.send_command("EDGE.JOIN")
    try:
        connection.read_response()
    except redis.ResponseError as error:
        if "unknown command" not in str(error):  # the edge module of an earlier version has no hooks
            raise


def _address(client: redis.Redis) -> str:
    settings = client.connection_pool.connection_kwargs
    return str(settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}")
