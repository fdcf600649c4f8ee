"""A stream runner's connection to Redis, with as few round trips as possible.

The commands that settle a batch are sent together with the command that reads the next one. The next batch is requested
before the chain runs over the current one, so that it has arrived when the chain ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import redis

from rededge_nb.edge.client import CommandArgs, check, next_reply, replies_to, send

Batch = tuple[bytes, list[Any]]
"""A stream and entries of it."""


class StreamLink:
    """One connection, kept: to take one from the pool for each batch costs as much as a small command.

    What is to be settled is lost when the connection breaks: the batch is still pending then. So is one read ahead.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.unsettled: list[CommandArgs] = []
        """What counts and acknowledges the last batch; it goes before the next command."""
        self._pool = client.connection_pool
        self._connection: Any = None
        self._due: int | None = None
        """While the replies to read_ahead() are under way: how many come before that of its command."""
        self._ahead: Any = None
        """What that has read, until it is taken."""

    def command(self, words: CommandArgs) -> Any:
        """The reply to a command, once all is settled.

        Raises:
            redis.ResponseError: it failed, or what was to be settled.
        """
        (reply,) = self._exchange([words])
        return _checked(reply)

    def read(self, words: CommandArgs) -> list[Batch]:
        """The batches that a command reads.

        Raises:
            redis.ResponseError: the command failed, or one that settles the last batch.
        """
        return self.command(words) or []

    def read_ahead(self, words: CommandArgs) -> None:
        """Send what read() would, and wait for nothing: the replies are for taken_ahead()."""
        self._make_ready()
        unsettled, self.unsettled = self.unsettled, []
        with self._whole():
            send(self._connection, [*unsettled, words])
        self._due = len(unsettled)

    def taken_ahead(self) -> list[Batch]:
        """The batches that were read ahead, if any.

        Raises:
            redis.ResponseError: that failed, or what was to be settled.
        """
        self._take_replies()
        reply, self._ahead = self._ahead, None
        return _checked(reply) or []

    def ahead_of(self, stream: bytes) -> list[Any]:
        """The entries of a stream that were read ahead, which are still to be taken."""
        self._take_replies()
        ahead = self._ahead if isinstance(self._ahead, list) else []
        return [entry for key, entries in ahead if key == stream for entry in entries]

    def drop_ahead(self, stream: bytes) -> None:
        """Leave those entries pending."""
        self._take_replies()
        if isinstance(self._ahead, list):
            self._ahead = [batch for batch in self._ahead if batch[0] != stream]

    def settle(self) -> None:
        """Have settled what is to be.

        Raises:
            redis.ResponseError: that failed.
        """
        if self.unsettled:
            self.command(("PING",))
        self._take_replies()

    def _exchange(self, commands: Sequence[CommandArgs]) -> list[Any]:
        self._make_ready()
        unsettled, self.unsettled = self.unsettled, []
        with self._whole():
            replies = replies_to(self._connection, [*unsettled, *commands])
        check(replies[: len(unsettled)])
        return replies[len(unsettled) :]

    def _take_replies(self) -> None:
        """Take the replies to read_ahead()."""
        if self._due is None:
            return
        due, self._due = self._due, None
        with self._whole():
            settled = [next_reply(self._connection) for _ in range(due)]
            self._ahead = next_reply(self._connection)
        check(settled)

    def _make_ready(self) -> None:
        """Have a connection on which nothing is under way."""
        self._take_replies()
        if self._connection is None:
            self._connection = self._pool.get_connection()
        elif self._is_stale():
            self._connection.disconnect()  # what is sent next connects anew

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Close the connection where the block does not end: replies may be under way."""
        try:
            yield
        except BaseException:
            self._connection.disconnect()
            raise

    def _is_stale(self) -> bool:
        """Whether the server has closed the connection, or sent what was not asked for."""
        try:
            return bool(self._connection.can_read())
        except redis.ConnectionError:
            return True


def _checked(reply: Any) -> Any:
    if isinstance(reply, redis.ResponseError):
        raise reply
    return reply
