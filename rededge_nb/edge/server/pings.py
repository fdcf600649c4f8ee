"""Whether redis-server answers: a thread asks it, so that nobody else has to wait for a server that hangs."""

from __future__ import annotations

import contextlib
import threading
import time

import redis

from rededge_nb.edge.client import client_from_url

PING_INTERVAL = 1.0
"""Seconds between two PINGs."""
ANSWER_TIMEOUT = 5.0
"""Seconds to wait for an answer."""
MIN_FAILURES = 3
"""A server counts as silent only after this many PINGs in a row without an answer. If this process was suspended, the
first answer after that shows that nothing is wrong."""


class Pings:
    """Sends a PING every second until it is closed."""

    def __init__(self, url: str) -> None:
        self._client = client_from_url(url, timeout=ANSWER_TIMEOUT, name="rededge-ping")
        self._closed = threading.Event()
        self._answered_at = time.monotonic()
        self._failures = 0
        threading.Thread(target=self._run, name="pings", daemon=True).start()

    def answers(self) -> bool:
        """Whether the server answered the last PING."""
        return self._failures == 0

    def silent_for(self) -> float:
        """Seconds since the last answer; 0 if the server answers."""
        return time.monotonic() - self._answered_at if self._failures >= MIN_FAILURES else 0.0

    def begin_again(self) -> None:
        """Forget the silence of a server that was started again."""
        self._failures = 0
        self._answered_at = time.monotonic()

    def close(self) -> None:
        """Send no more PINGs."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(PING_INTERVAL):
            try:
                self._client.ping()
            except (redis.BusyLoadingError, redis.ResponseError):
                self.begin_again()  # an error is an answer: the server is loading its data or running a long script
            except redis.RedisError:
                self._failures += 1
            else:
                self.begin_again()
        with contextlib.suppress(redis.RedisError):
            self._client.close()
