"""A thread that reads Redis for a live view.

Every live view reads in a thread of its own, because a kernel runs one cell at a time: a view that read in the kernel's
main thread would stand still while a cell runs. A feed survives a server that goes away and returns.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable

import redis

from rededge_nb.edge.client import blocking_client, interrupt

RETRY_INTERVAL = 1.0
"""Seconds between a step that failed and the next attempt."""

_EXIT_TIMEOUT = 5.0

_log = logging.getLogger(__name__)


class Feed:
    """A thread that calls a function again and again, with a Redis client of its own.

    It starts with the first `start`, rests between `pause` and the next `start`, and ends with `close` or with the
    interpreter. If a step raises an error, `on_error` receives it; a second later the step is repeated over a new
    connection.

    Args:
        client: Defines the server to connect to.
        step: Reads what is new and passes it on. It is called in the thread, again and again. It should wait for what
            it reads (`streams.new_entries`), or else call `wait`, and return within a second.
        on_error: Is called in the thread with the error of a step, and with None after the next step that succeeds.
        name: Name of the thread.
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
        self._own: redis.Redis | None = None

    @property
    def active(self) -> bool:
        """Whether steps are being run."""
        return self._active.is_set() and not self._closed.is_set()

    @property
    def closed(self) -> bool:
        """Whether it was closed, and cannot be started again."""
        return self._closed.is_set()

    def start(self) -> None:
        """Run steps from now on; does nothing if it runs already or is closed."""
        with self._lock:
            if self._closed.is_set():
                return
            self._active.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                atexit.register(self.close)
                self._thread.start()

    def pause(self) -> None:
        """Run no further step until `start`. Returns at once; the present step is finished."""
        self._active.clear()

    def wait(self, seconds: float) -> bool:
        """Wait within a step; returns True early if the feed is closed."""
        return self._closed.wait(seconds)

    @property
    def ended(self) -> bool:
        """Whether it was closed and its thread has ended."""
        return self.closed and (self._thread is None or not self._thread.is_alive())

    def cancel(self) -> None:
        """Let the thread end soon, and do not wait for it; a command that waits for Redis is interrupted."""
        with self._lock:
            self._closed.set()
            self._active.set()
            own = self._own
        if own is not None:
            interrupt(own)
        atexit.unregister(self.close)

    def close(self) -> None:
        """End the thread and wait for it; may be called again."""
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
                    self._own = own
                    while self._active.wait() and not self._closed.is_set():
                        self._step(own)
                        if failed:
                            failed = False
                            self._report(None)
            except Exception as error:  # noqa: BLE001  the owner shows it
                if self._closed.is_set():
                    return
                _log.debug("%s: a step failed", self._name, exc_info=error)
                failed = True
                self._report(error)
                self._closed.wait(RETRY_INTERVAL)

    def _report(self, error: Exception | None) -> None:
        try:
            self._on_error(error)
        except Exception:  # noqa: BLE001  an owner that fails must not end its feed
            _log.exception("%s: the error handler failed on %r", self._name, error)
