"""Replies that are sent by another thread than the one that took the call, and again if Redis did not accept them."""

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
    """The reply to a call."""

    command: str
    call_id: bytes
    payload: bytes


class PendingReplies:
    """Sends each reply until Redis has accepted it. Without its reply, a caller would wait until its call times out.

    Args:
        client: Returns the client to send with.
    """

    def __init__(self, client: Callable[[], redis.Redis]) -> None:
        self._client = client
        self._unsent: queue.SimpleQueue[PendingReply] = queue.SimpleQueue()

    def send(self, reply: PendingReply) -> None:
        """Send a reply now; if Redis does not accept it now, serve() sends it later."""
        error = self._try_send(reply)
        if error is not None:
            logger.warning("the reply to %s will be sent later: %s", reply.command, error)
            self.send_later(reply)

    def send_later(self, reply: PendingReply) -> None:
        """Leave a reply to serve()."""
        self._unsent.put(reply)

    def serve(self, until: threading.Event) -> None:
        """Send the replies that could not be sent; runs in a thread of its own until the process ends."""
        while True:
            reply = self._unsent.get()
            # To send a reply twice does no harm: the switchboard ignores a reply to a call that has been answered.
            while self._try_send(reply) is not None:
                if until.wait(RETRY_DELAY):
                    return

    def _try_send(self, reply: PendingReply) -> redis.RedisError | None:
        """Send a reply; returns the error if it makes sense to try again."""
        try:
            self._client().execute_command("EDGE.REPLY", reply.call_id, reply.payload)
        except redis.RedisError as error:
            if isinstance(error, redis.ConnectionError | redis.TimeoutError) or is_busy(error):
                return error
            logger.error("the reply to %s was refused: %s", reply.command, error)
        return None


def is_busy(error: redis.RedisError) -> bool:
    """Whether the server refuses all commands because a script has been running for too long."""
    return str(error).startswith("BUSY ")
