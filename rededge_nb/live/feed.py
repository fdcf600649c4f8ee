"""A thread that reads Redis for those who show live data."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable

import redis

from rededge_nb.edge.client import blocking_client

RETRY_INTERVAL = 1.0
"""Seconds from a step that failed to the next."""

_EXIT_TIMEOUT = 5.0

_log = logging.getLogger(__name__)


class Feed:
    """A thread that runs one step of reading after the other, with a Redis client of its own.

    It begins with the first `start`, rests between `pause` and the next `start`, and ends with `close` or with the
    interpreter. A step that fails does not end it: the error is told, and a second later the step is run again, over a
    new connection, so that a server may go and come back.

    Args:
        client: Tells where the server is.
        step: Reads what is new and hands it on. Called in the thread, again and again; should wait for what it reads
            (`streams.new_entries`) or else `wait`, and return within a second.
        on_error: Called in the thread with what a step raised, and with None after the first step that went well again.
        name: Of the thread.
    """

    def __init__(
        self,
        client: redis.Redis,
        step: Callable[[redis.Redis], None],
        *,
        on_error: Callable[[Exception | None], None],
        name: str = "rededge feed",
    ) -> None:
        self._client = client
        self._step = step
        self._on_error = on_error
        self._name = name
        self._active = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def active(self) -> bool:
        """Whether steps are being run."""
        return self._active.is_set() and not self._closed.is_set()

    @property
    def closed(self) -> bool:
        """Whether it was closed, and cannot be started again."""
        return self._closed.is_set()

    def start(self) -> None:
        """Run steps from now on; does nothing if that is so already, or the feed is closed."""
        with self._lock:
            if self._closed.is_set():
                return
            self._active.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                atexit.register(self.close)
                self._thread.start()

    def pause(self) -> None:
        """Run no further step until `start`; returns at once, while the present step goes on to its end."""
        self._active.clear()

    def wait(self, seconds: float) -> bool:
        """Wait within a step; ends early, with True, when the feed is closed."""
        return self._closed.wait(seconds)

    def close(self) -> None:
        """End the thread and wait until it has; may be called again."""
        with self._lock:
            self._closed.set()
            self._active.set()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_EXIT_TIMEOUT)
        atexit.unregister(self.close)

    def _work(self) -> None:
        failed = False
        while not self._closed.is_set():
            try:
                with blocking_client(self._client) as own:
                    while self._active.wait() and not self._closed.is_set():
                        self._step(own)
                        if failed:
                            failed = False
                            self._tell(None)
            except Exception as error:  # noqa: BLE001  told to the owner, who shows it
                _log.debug("%s: a step failed", self._name, exc_info=error)
                failed = True
                self._tell(error)
                self._closed.wait(RETRY_INTERVAL)

    def _tell(self, error: Exception | None) -> None:
        try:
            self._on_error(error)
        except Exception:  # noqa: BLE001  an owner that cannot be told must not end its feed
            _log.exception("%s: cannot tell %r", self._name, error)
