"""A stream runner's connection to Redis, which needs few round trips.

Two things would otherwise cost a round trip for every frame:

- The commands that finish a batch (count, acknowledge, trim) are kept, and sent together with the next command.
- The next batch is requested before the chain runs over the current one, so it has arrived when the chain ends.

Both are safe because entries stay pending until they are acknowledged. If the connection breaks, commands that were
kept are lost, and so is a batch that was prefetched: the group still has these entries as pending, and the runner reads
them again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import redis

from rededge_nb.edge.client import CommandArgs, check, client_id, next_reply, replies_to, send

Batch = tuple[bytes, list[Any]]
"""A stream and entries of it."""


class StreamConnection:
    """One connection that is kept: getting one from the pool for each batch costs as much as a small command."""

    def __init__(self, client: redis.Redis) -> None:
        self.unsent: list[CommandArgs] = []
        """The commands that finish the last batch. They are sent before the next command."""
        self.client = client
        self._pool = client.connection_pool
        self._connection: Any = None
        self._unread: int | None = None
        """While the reply to prefetch() is awaited: how many replies come before it."""
        self._prefetched: Any = None
        """That reply, until prefetched() returns it."""

    def command(self, *arguments: Any) -> Any:
        """The reply to a command, after everything unsent was sent.

        Raises:
            redis.ResponseError: the command failed, or one that was unsent.
        """
        self._make_ready()
        unsent, self.unsent = self.unsent, []
        with self._closed_on_error():
            *replies, reply = replies_to(self._connection, [*unsent, arguments])
        check(replies)
        return _checked(reply)

    def unblock(self) -> None:
        """Let a command that waits for entries return without any; called by other threads."""
        waiting = client_id(self._connection)
        if waiting is not None:
            self.client.execute_command("CLIENT", "UNBLOCK", waiting)

    def read(self, command: CommandArgs) -> list[Batch]:
        """The batches that a command reads.

        Raises:
            redis.ResponseError: the command failed, or one that was unsent.
        """
        return self.command(*command) or []

    def prefetch(self, command: CommandArgs) -> None:
        """Send a command that reads batches, and do not wait: prefetched() returns them."""
        self._make_ready()
        unsent, self.unsent = self.unsent, []
        with self._closed_on_error():
            send(self._connection, [*unsent, command])
        self._unread = len(unsent)

    def prefetched(self) -> list[Batch]:
        """The batches that prefetch() has read, once.

        Raises:
            redis.ResponseError: its command failed, or one that was unsent.
        """
        self._receive()
        reply, self._prefetched = self._prefetched, None
        return _checked(reply) or []

    def prefetched_of(self, stream: bytes) -> list[Any]:
        """The entries of a stream among the batches that prefetched() would return."""
        self._receive()
        batches = self._prefetched if isinstance(self._prefetched, list) else []
        return [entry for key, entries in batches if key == stream for entry in entries]

    def drop_prefetched(self, stream: bytes) -> None:
        """Forget these entries. They stay pending."""
        self._receive()
        if isinstance(self._prefetched, list):
            self._prefetched = [batch for batch in self._prefetched if batch[0] != stream]

    def flush(self) -> None:
        """Send what is unsent, and wait until it is executed.

        Raises:
            redis.ResponseError: a command failed.
        """
        if self.unsent:
            self.command("PING")
        self._receive()

    def _receive(self) -> None:
        """Receive the replies to prefetch(), if there are any to come."""
        if self._unread is None:
            return
        count, self._unread = self._unread, None
        with self._closed_on_error():
            replies = [next_reply(self._connection) for _ in range(count)]
            self._prefetched = next_reply(self._connection)
        check(replies)

    def _make_ready(self) -> None:
        """Have a connection on which no reply is awaited."""
        self._receive()
        if self._connection is None:
            self._connection = self._pool.get_connection()
        elif self._is_stale():
            self._connection.disconnect()  # redis-py connects again when something is sent

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """Close the connection if the block is interrupted: replies may still come, and would be taken for others."""
        try:
            yield
        except BaseException:
            self._connection.disconnect()
            raise

    def _is_stale(self) -> bool:
        """Whether the server has closed the connection, or sent something that was not asked for."""
        try:
            return bool(self._connection.can_read())
        except redis.ConnectionError:
            return True


def _checked(reply: Any) -> Any:
    if isinstance(reply, redis.ResponseError):
        raise reply
    return reply
