"""The browser pages that show a widget, and how many frames each of them has not confirmed yet."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

MAX_IN_FLIGHT = 2
"""At most so many frames are sent and not confirmed."""
SILENT_AFTER = 5.0
"""A page that was silent for so many seconds is forgotten, if another page could get a frame meanwhile."""


@dataclass
class _Page:
    confirmed: int
    heard: float


class Pages:
    """The pages that show a widget. The slowest one sets the pace.

    Attributes:
        sent: Frames sent.
        confirmed: Frames that the fastest page has painted, or skipped for newer ones.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.confirmed = 0
        self._pages: dict[str, _Page] = {}
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._blocked_since: float | None = None

    @property
    def seen(self) -> bool:
        """Whether any page shows the widget."""
        return bool(self._pages)

    @property
    def in_flight(self) -> int:
        """Frames that some page has not confirmed."""
        with self._lock:
            return self._in_flight()

    @property
    def blocked_for(self) -> float:
        """Seconds since the last time that a frame could be sent; 0 if one can be sent now."""
        since = self._blocked_since
        return 0.0 if since is None else time.monotonic() - since

    def show(self, page: str) -> None:
        """A page shows the widget. It need not confirm frames that were sent before."""
        with self._lock:
            self._pages[page] = _Page(self.sent, time.monotonic())
            self._update()

    def hide(self, page: str) -> None:
        """A page does not show the widget any more."""
        with self._lock:
            self._pages.pop(page, None)
            self._update()

    def shows(self, page: str) -> bool:
        """Whether this page is known to show the widget."""
        return page in self._pages

    def forget(self) -> None:
        """No page shows the widget any more: none has reported for a long time."""
        with self._lock:
            self._pages.clear()
            self._update()

    def confirm(self, page: str, sequence: int) -> None:
        """A page has painted the frame of this number, or skipped it for a newer one."""
        with self._lock:
            found = self._pages.get(page)
            if found is None or not found.confirmed < sequence <= self.sent:
                return
            found.confirmed, found.heard = sequence, time.monotonic()
            self.confirmed = max(self.confirmed, sequence)
            self._forget_silent()
            self._update()

    def next_sequence(self) -> int | None:
        """The number of the frame to send next; None if no frame may be sent, or no page shows the widget."""
        with self._lock:
            if not self._pages or self._in_flight() >= MAX_IN_FLIGHT:
                return None
            self.sent += 1
            self._update()
            return self.sent

    def wait_until_ready(self, seconds: float) -> bool:
        """Wait until another frame may be sent; returns whether it may."""
        with self._lock:
            self._forget_silent()
            self._update()
        return self._ready.wait(seconds)

    def _forget_silent(self) -> None:
        """A page that was closed without a message must not delay the others, which may wait for their first frame."""
        newest = max((page.confirmed for page in self._pages.values()), default=0)
        if self.sent - newest >= MAX_IN_FLIGHT:
            return
        now = time.monotonic()
        for name, page in list(self._pages.items()):
            if page.confirmed < newest and now - page.heard > SILENT_AFTER:
                del self._pages[name]

    def _in_flight(self) -> int:
        return max((self.sent - page.confirmed for page in self._pages.values()), default=0)

    def _update(self) -> None:
        if self._in_flight() < MAX_IN_FLIGHT:
            self._blocked_since = None
            self._ready.set()
        elif self._blocked_since is None:
            self._blocked_since = time.monotonic()
            self._ready.clear()
