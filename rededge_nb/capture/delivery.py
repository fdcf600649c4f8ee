"""Sends the frames of a capture, also when the server is away for a while, and waits for the answers of the gear."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

import redis

from rededge_nb.capture.answers import Answers
from rededge_nb.capture.options import Settings
from rededge_nb.capture.producer import Producer, Sender
from rededge_nb.capture.sources import Captured, backoff
from rededge_nb.edge.client import is_transient, server_errors
from rededge_nb.errors import ServerUnavailableError

logger = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 0.1, 2.0
"""Seconds until the first try to reach a server that is away, and between two tries at most."""


class Delivery:
    """Sends the frames of one capture, and with `asap` waits for the gear to answer them.

    While the server is away it waits. Then it finds out whether the server has the last frame that was sent, and sends
    those again that the gear has not answered and the server has lost: one that was killed may lack its last second.

    Args:
        client: One from `blocking_client()`.
        options: Those of the capture.
        capture: Id of the capture.
        own_times: The frames have the times of a recording.
        make_room: Called before a frame is sent; its errors of the server are treated as those of sending.
        stop: Ends every wait.
        on_problem: Called with what is wrong while the server is away, and with None when it is back.
    """

    def __init__(
        self,
        client: redis.Redis,
        options: Settings,
        *,
        capture: str,
        own_times: bool,
        make_room: Callable[[Captured], None],
        stop: threading.Event,
        on_problem: Callable[[str | None], None],
    ) -> None:
        asap = options.pace == "asap"
        self._client = client
        self._camera = options.camera
        self._away_timeout = options.away_timeout
        self._make_room = make_room
        self._stop = stop
        self._on_problem = on_problem
        self._producer = Producer(
            client,
            options.camera,
            quality=options.quality,
            max_age=options.max_age,
            max_bytes=options.max_bytes,
            keep=asap,
            capture=capture,
            own_times=own_times,
        )
        self._sender = Sender(
            self._producer, must_not_lose=asap, timeout=options.stall_timeout, stop=stop, on_problem=on_problem
        )
        self._answers = Answers(client, options.camera, stall_timeout=options.stall_timeout) if asap else None
        self._lost: deque[Captured] = deque()

    @property
    def pending(self) -> int:
        """How many frames have no answer yet, of those whose answer is waited for."""
        return len(self._waiting) + len(self._lost)

    @property
    def last_count(self) -> int:
        """Number of the last frame."""
        return self._producer.count

    def send(self, captured: Captured) -> tuple[str, int] | None:
        """Send a frame; gives its entry id and size, or None if it was left out.

        A frame whose answer is waited for is kept until the server is back; otherwise a newer one is better.

        Raises:
            ServerUnavailableError: the server was away for `away_timeout` seconds, or refuses the password.
            ServerFullError: it had no room for too long.
        """
        while not self._stop.is_set():
            try:
                self._send_lost()
                self._make_room(captured)
                sent = self._sender.send(captured, not_answered=self._waiting)
            except (redis.RedisError, ServerUnavailableError) as error:
                sent = self._wait_for_server(error)
                if sent is None and self._answers:
                    continue
            if sent and self._answers:
                # as it was sent: what a mask hides is not kept here either
                self._answers.expect(sent[0], self._producer.last or captured)
            return sent
        return None

    def receive(self) -> bool:
        """Wait a little for answers; whether one came.

        Raises:
            ServerUnavailableError: as `send`.
            WaitTimeoutError: no gear answers.
        """
        if self._answers is None:
            return False
        try:
            self._send_lost()
            answered = self._answers.receive()
            if not answered:
                self._client.ping()  # a gear that cannot write its answers is no reason to give up on it
        except (redis.RedisError, ServerUnavailableError) as error:
            self._wait_for_server(error)
            return False
        else:
            return answered

    @property
    def _waiting(self) -> list[str]:
        return self._answers.waiting if self._answers else []

    def _send_lost(self) -> None:
        while self._lost and self._answers:
            sent = self._sender.send(self._lost[0], not_answered=self._waiting)
            if sent is None:  # asked to stop
                return
            self._answers.expect(sent[0], self._lost.popleft())

    def _wait_for_server(self, error: Exception) -> tuple[str, int] | None:
        """Return when the server answers, or at a stop: with the entry of the last frame, if the server has it."""
        began = time.monotonic()
        reported = False
        for delay in backoff.delays(first=FIRST_DELAY, longest=LONGEST_DELAY):
            if not is_transient(error) or time.monotonic() - began + delay > self._away_timeout:
                with server_errors(self._client):
                    raise error
            if not reported:
                logger.warning("camera %s: Redis is away (%s): trying again until it is back", self._camera, error)
                reported = True
            self._on_problem(f"Redis is away: {error}")
            if self._stop.wait(delay):
                break
            try:
                sent = self._resume()
            except (redis.RedisError, ServerUnavailableError) as again:
                error = again
                continue
            self._on_problem(None)
            logger.warning("camera %s: Redis is back after %.1f s", self._camera, time.monotonic() - began)
            return sent
        return None

    def _resume(self) -> tuple[str, int] | None:
        """Go on from what the server has."""
        self._client.ping()  # refused, as writes are, while the server cannot save any
        sent = self._producer.find_unconfirmed()
        if self._answers is None:
            return sent
        if sent and self._lost:  # it was one of these that was sent
            self._answers.expect(sent[0], self._lost.popleft())
            sent = None
        lost = self._answers.recover()
        if lost:
            logger.warning("camera %s: %d frames without answer were lost: sending them again", self._camera, len(lost))
        self._lost.extend(lost)
        return sent
