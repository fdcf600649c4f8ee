"""Connections that are used for one command or a few, and then by somebody else.

redis-py's pool takes longer for each of them than Redis for a command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import redis


class KeptConnections:
    """Takes connections of a pool, and keeps those that are given back. Safe to use from any thread."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._kept: deque[redis.Connection] = deque()

    def take(self) -> redis.Connection:
        """A connection that is open.

        Raises:
            redis.ConnectionError: The server does not answer.
        """
        while self._kept:
            try:
                connection = self._kept.pop()
            except IndexError:  # another thread was faster
                break
            if _is_usable(connection):
                return connection
            connection.disconnect()
            self._pool.release(connection)
        return self._pool.get_connection()

    def give_back(self, connection: redis.Connection) -> None:
        """Keep a connection of take() for the next one who needs it."""
        self._kept.append(connection)

    @contextmanager
    def used(self) -> Iterator[redis.Connection]:
        """A connection for this block. It is closed if an error leaves the block: replies may still arrive on it."""
        connection = self.take()
        try:
            yield connection
        except redis.ResponseError:
            raise
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self.give_back(connection)


def _is_usable(connection: redis.Connection) -> bool:
    """Whether it is open, and nothing has arrived that nobody has read."""
    try:
        return connection.is_connected and not connection.can_read()
    except (redis.ConnectionError, redis.TimeoutError):
        return False
