"""Ends runs of models that take too long, for backends that can be asked to stop."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

TICK = 0.25
"""Seconds between looks at what runs; so much later than its limit a run may be ended."""


class TimeLimit:
    """Calls `stop` for each run that takes longer than `seconds`; one thread watches all, and sleeps without runs."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._runs: dict[int, tuple[float, Callable[[], None]]] = {}
        self._next = 0
        self._asleep = False
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, stop: Callable[[], None]) -> Iterator[None]:
        """Watch what is run inside."""
        with self._changed:
            self._next += 1
            number = self._next
            self._runs[number] = (time.monotonic() + self._seconds, stop)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="model-time-limit", daemon=True)
                self._thread.start()
            elif self._asleep:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._runs.pop(number, None)

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._runs:
                    self._asleep = True
                    self._changed.wait()
                self._asleep = False
                now = time.monotonic()
                for number in [number for number, (deadline, _) in self._runs.items() if deadline <= now]:
                    self._runs.pop(number)[1]()
            time.sleep(TICK)
