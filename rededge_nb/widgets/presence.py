"""Whether a page that has shown a widget still answers.

A kernel does not learn that its browser was closed, and jupyter_server keeps messages that nobody reads,
without a limit. So pages report regularly, and a widget whose page is absent sends nothing. While a cell runs, the
kernel cannot read the reports. So only the time counts in which it could have read them.
"""

from __future__ import annotations

import asyncio
import contextlib

PAGE_TIMEOUT = 150.0
"""Seconds without a report after which a page is absent. It reports every 20 s, or every 60 s if its tab is hidden."""


class Presence:
    """Counts the time since the last report. To be created in a cell; elsewhere a page is never absent."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):  # no kernel runs, so there is no page either
            self._loop = asyncio.get_running_loop()
        self._reported = False
        self._waiting = False
        self._unheard = 0.0

    @property
    def absent(self) -> bool:
        """Whether a page had reported, and then no page has for a long time."""
        return self._reported and self._unheard > PAGE_TIMEOUT

    def hear(self) -> None:
        """A page has reported."""
        self._reported = True
        self._unheard = 0.0

    def wait(self, seconds: float) -> None:
        """So much time has passed without a report. It counts if the kernel reads messages; returns at once."""
        if self._loop is None or self._waiting or self.absent:
            return
        self._waiting = True
        with contextlib.suppress(RuntimeError):  # the kernel ends
            self._loop.call_soon_threadsafe(self._count, seconds)

    def _count(self, seconds: float) -> None:
        self._waiting = False
        self._unheard += seconds
