"""Whether redis-server answers: a thread asks it, so that nobody else has to wait for a server that hangs.

While a Lua script or function runs, Redis executes nothing else, and after some seconds it answers every command with
the error BUSY. A script without end would take the server from everybody for ever. So a script is ended after the time
after which a server without answers is killed. Redis refuses to end a script that has written; then the server counts
as silent, and the supervisor kills it. The append-only file has nothing of an unfinished script. The supervisor kills
the workers, too: if a gear has called the script, this counts as a crash, so that the gear is paused after the second.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import redis

from rededge_nb.edge.client import client_from_url, is_busy_error

logger = logging.getLogger(__name__)

PING_INTERVAL = 1.0
"""Seconds between two PINGs."""
ANSWER_TIMEOUT = 5.0
"""Seconds to wait for an answer."""
MIN_FAILURES = 3
"""A server counts as silent only after this many PINGs in a row without an answer. If this process was suspended, the
first answer after that shows that nothing is wrong."""


class Pings:
    """Sends a PING every second until it is closed.

    Args:
        url: Address of the server.
        script_timeout: Seconds after which a script is ended; 0 means never.
    """

    def __init__(self, url: str, *, script_timeout: float = 0.0) -> None:
        self._script_timeout = script_timeout
        self._busy_since = 0.0
        self.script_hangs = False
        """Whether the server is silent because of a script that cannot be ended."""
        self._url = url
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
        self._busy_since = 0.0
        self.script_hangs = False

    def close(self) -> None:
        """Send no more PINGs."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(PING_INTERVAL):
            try:
                self._client.ping()
            except (redis.BusyLoadingError, redis.ResponseError) as error:
                if is_busy_error(error):
                    self._note_script()
                else:
                    self.begin_again()  # an error is an answer: the server is loading its data
            except redis.RedisError:
                self._failures += 1
            else:
                self.begin_again()
        with contextlib.suppress(redis.RedisError):
            self._client.close()

    def _note_script(self) -> None:
        """Note that a script runs, and end it after its time."""
        now = time.monotonic()
        self._failures += 1
        self._busy_since = self._busy_since or now
        if not self._script_timeout or now - self._busy_since <= self._script_timeout:
            self._answered_at = now  # the server does not hang
            return
        reasons = []
        for kind in ("SCRIPT", "FUNCTION"):
            try:
                # while a script runs, a connection can log in, but not get a name
                with client_from_url(self._url, timeout=ANSWER_TIMEOUT) as nameless:
                    nameless.execute_command(f"{kind} KILL")
            except redis.ResponseError as error:  # it is of the other kind, has just ended, or has written
                reasons.append(str(error))
            else:
                logger.error("a script that ran for %.0f s was ended: nobody else got answers", self._script_timeout)
                return
        if not any(reason.startswith("UNKILLABLE") for reason in reasons):
            return  # tried again with the next PING, until the server counts as one that hangs
        logger.error("a script that runs for %.0f s cannot be ended: %s", self._script_timeout, "; ".join(reasons))
        self._answered_at = self._busy_since
        self.script_hangs = True
