"""Notices connections that were lost without notice, and has the worker connect again.

A firewall or a proxy can drop what is sent on the existing connections while new ones work. Nothing reports this: a
thread that waits for a call, or for the reply to a command without a time limit, would wait for ever. TCP keepalive
(edge/client/connecting.py) finds this only if the other computer does not answer; a proxy does.

So a thread asks on a connection of its own. If there is no answer, but one on a new connection, and the old one remains
silent after that, then all connections of this process are closed. Threads that wait on them get an error and connect
again. If Redis was only busy, both answer. The worker also asks the server to close its end of the old connections: it
would send calls to them.
"""

from __future__ import annotations

import contextlib
import logging
import threading

import redis

from rededge_nb.edge.client import RETRY_DELAY, close_connections, worker_client

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two PINGs."""
ANSWER_TIMEOUT = 4.0
"""Seconds to wait for an answer before a new connection is tried."""
LATE_ANSWER_TIMEOUT = 1.0
"""Seconds that the old connection gets after the new one has answered."""


def close_lost_connections(url: str, until: threading.Event) -> None:
    """Ask the server at `url` every second, until the event is set; see the module's text."""
    with worker_client(url, timeout=ANSWER_TIMEOUT, name="rededge-worker-partition") as client:
        _watch(client.connection_pool, until)


def _watch(pool: redis.ConnectionPool, until: threading.Event) -> None:
    connection: redis.Connection | None = None
    while True:
        try:
            if connection is None:
                connection = pool.get_connection()
            if until.wait(INTERVAL):
                return
            connection.send_command("PING")
            if connection.can_read(ANSWER_TIMEOUT):
                connection.read_response()
                continue
        except redis.RedisError:
            _given_back(pool, connection)
            connection = None
            if until.wait(RETRY_DELAY):
                return
            continue
        other = _that_answers(pool, connection, until)
        if other is None or _answers(connection, LATE_ANSWER_TIMEOUT):
            _given_back(pool, other)
            continue
        logger.warning("connections to Redis were lost without notice: connecting again")
        close_connections(but=other)
        _given_back(pool, connection)
        connection = other


def _that_answers(pool: redis.ConnectionPool, old: redis.Connection, until: threading.Event) -> redis.Connection | None:
    """A new connection on which the server answers, however long that takes; None if the old one answers first."""
    while not until.is_set():
        if _answers(old, 0):
            return None
        new: redis.Connection | None = None
        try:
            new = pool.get_connection()
            new.send_command("PING")
            new.read_response()
            return new
        except redis.RedisError:
            _given_back(pool, new)
            until.wait(RETRY_DELAY)
    return None


def _answers(connection: redis.Connection, timeout: float) -> bool:
    """Whether the reply to the PING has come; an error is a reply, too, since then the loss is known."""
    try:
        if not connection.can_read(timeout):
            return False
        connection.read_response()
    except redis.RedisError:
        connection.disconnect()
    return True


def _given_back(pool: redis.ConnectionPool, connection: redis.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(redis.RedisError):
            connection.disconnect()
        pool.release(connection)
