"""A stream runner's way to Redis, in as few round trips as there can be.

What settles a batch goes with the command that reads the next one; so do questions about the models that it may run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from rededge_nb.edge.client import Words, check, replies_to
from rededge_nb.edge.gears.looked_up import LookedUp


class StreamLink:
    """One connection, kept: to take one from the pool for each batch costs as much as a small command.

    What is to be settled is lost when the connection breaks: the batch is still pending then.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.looked_up = LookedUp()
        self.unsettled: list[Words] = []
        """What counts and acknowledges the last batch; it goes before the next command."""
        self._pool = client.connection_pool
        self._connection: Any = None

    def command(self, words: Words) -> Any:
        """The reply to a command, once all is settled.

        Raises:
            redis.ResponseError: it failed, or what was to be settled.
        """
        (reply,) = self._exchange([words])
        return _checked(reply)

    def batch(self, words: Words) -> Any:
        """The reply to a command that reads a batch, as command() gets it; the batch's models are looked up with it.

        Raises:
            redis.ResponseError: it failed, or what was to be settled.
        """
        reply, *answers = self._exchange([words, *self.looked_up.questions()])
        self.looked_up.answered(answers)
        return _checked(reply)

    def settle(self) -> None:
        """Have settled what is to be.

        Raises:
            redis.ResponseError: that failed.
        """
        if self.unsettled:
            self.command(("PING",))

    def _exchange(self, commands: Sequence[Words]) -> list[Any]:
        if self._connection is None:
            self._connection = self._pool.get_connection()
        elif self._is_stale():
            self._connection.disconnect()  # what is sent next connects anew
        unsettled, self.unsettled = self.unsettled, []
        try:
            replies = replies_to(self._connection, [*unsettled, *commands])
        except BaseException:
            self._connection.disconnect()  # replies may be under way
            raise
        check(replies[: len(unsettled)])
        return replies[len(unsettled) :]

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
