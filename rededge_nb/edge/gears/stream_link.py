"""A stream runner's way to Redis, in as few round trips as there can be.

What settles a batch goes with the command that reads the next one; so do questions about the models that it may run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from rededge_nb.edge.client import Words, check, next_reply
from rededge_nb.edge.gears.looked_up import LookedUp
from rededge_nb.edge.packing import pack


class StreamLink:
    """One connection, kept: to take one from the pool for each batch costs as much as a small command.

    What is to be settled is lost when the connection breaks: the batch is still pending then.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.looked_up = LookedUp()
        self.unsettled: list[Words] = []
        """What counts and acknowledges the last batch; it goes with the next command."""
        self._pool = client.connection_pool
        self._connection: Any = None
        self._owed = 0
        """Replies, to what was sent behind a command, that were not read yet."""

    def command(self, words: Words) -> Any:
        """The reply to a command, once all is settled.

        Raises:
            redis.ResponseError: it failed, or what was to be settled.
        """
        (reply,) = self._exchange([words], settle_first=True)
        return _checked(reply)

    def batch(self, words: Words, *, settle_first: bool) -> Any:
        """The reply to a command that reads a batch.

        Args:
            words: The command.
            settle_first: Whether it comes after what is to be settled. That is not waited for otherwise, and the
                command must not block then.

        Raises:
            redis.ResponseError: it failed, or what was to be settled, now or with the last batch.
        """
        reply, *answers = self._exchange([words, *self.looked_up.questions()], settle_first=settle_first)
        self.looked_up.answered(answers)
        return _checked(reply)

    def settle(self) -> None:
        """Have settled what is to be.

        Raises:
            redis.ResponseError: that failed.
        """
        if self.unsettled or self._owed:
            self.command(("PING",))

    def _exchange(self, commands: Sequence[Words], *, settle_first: bool) -> list[Any]:
        self._make_ready()
        unsettled, self.unsettled = self.unsettled, []
        try:
            together = [*unsettled, *commands] if settle_first else [*commands, *unsettled]
            self._connection.send_packed_command(pack(together))
            settled = self._next(len(unsettled)) if settle_first else []
            replies = self._next(len(commands))
        except BaseException:
            self._connection.disconnect()  # replies may be under way
            raise
        self._owed = 0 if settle_first else len(unsettled)
        check(settled)
        return replies

    def _make_ready(self) -> None:
        if self._connection is None:
            self._connection = self._pool.get_connection()
        owed, self._owed = self._owed, 0
        if not owed and self._is_stale():
            self._connection.disconnect()  # the next command connects anew
        try:
            settled = self._next(owed)
        except BaseException:
            self._connection.disconnect()
            raise
        check(settled)

    def _is_stale(self) -> bool:
        """Whether the server has closed the connection, or sent what was not asked for."""
        try:
            return bool(self._connection.can_read())
        except redis.ConnectionError:
            return True

    def _next(self, count: int) -> list[Any]:
        return [next_reply(self._connection) for _ in range(count)]


def _checked(reply: Any) -> Any:
    if isinstance(reply, redis.ResponseError):
        raise reply
    return reply
