"""Replies that are sent outside the loops that take calls, through moments in which the server takes none."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

import redis

from rededge_nb.edge.client import RETRY_DELAY

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingReply:
    """A reply to a call."""

    command: str
    call_id: bytes
    payload: bytes


class PendingReplies:
    """Sends replies until the server has them: a caller whose reply is dropped would wait for nothing.

    Args:
        client: gives the client to send with.
    """

    def __init__(self, client: Callable[[], redis.Redis]) -> None:
        self._client = client
        self._unsent: queue.SimpleQueue[PendingReply] = queue.SimpleQueue()

    def send(self, reply: PendingReply) -> None:
        """Send a reply, now or, without holding up this thread, when it can be sent."""
        error = self._try_send(reply)
        if error is not None:
            logger.warning("the reply to %s is sent later: %s", reply.command, error)
            self.send_later(reply)

    def send_later(self, reply: PendingReply) -> None:
        """Leave a reply to serve()."""
        self._unsent.put(reply)

    def serve(self, until: threading.Event) -> None:
        """Send what could not be sent at once, for as long as the process lives."""
        while True:
            reply = self._unsent.get()
            # one time too many does no harm: the server drops a reply to a call that has had one
            while self._try_send(reply) is not None:
                if until.wait(RETRY_DELAY):
                    return

    def _try_send(self, reply: PendingReply) -> redis.RedisError | None:
        """Try to send a reply; the error, if it is one that passes."""
        try:
            self._client().execute_command("EDGE.REPLY", reply.call_id, reply.payload)
        except redis.RedisError as error:
            if isinstance(error, redis.ConnectionError | redis.TimeoutError) or is_busy(error):
                return error
            logger.error("the reply to %s was refused: %s", reply.command, error)
        return None


def is_busy(error: redis.RedisError) -> bool:
    """Whether the server is kept from everything else by a script."""
    return str(error).startswith("BUSY ")
