"""Which browser pages show a widget, and how many of the frames sent each has not confirmed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

MAX_IN_FLIGHT = 2
"""Frames that were sent and not confirmed, at most."""
SILENT_AFTER = 5.0
"""Seconds without a word after which a page is not waited for, if another one confirms meanwhile."""


@dataclass
class _Page:
    confirmed: int
    heard: float


class Pages:
    """The pages on which a widget can be seen; the slowest one of them sets the pace.

    Attributes:
        sent: Frames sent.
        confirmed: Frames that the fastest page has painted, or passed over for newer ones.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.confirmed = 0
        self._pages: dict[str, _Page] = {}
        self._lock = threading.Lock()
        self._room = threading.Event()
        self._full_since: float | None = None

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
    def full_for(self) -> float:
        """Seconds for which there has been no room for another frame, 0 if there is."""
        since = self._full_since
        return 0.0 if since is None else time.monotonic() - since

    def show(self, page: str) -> None:
        """Note that a page shows the widget; what was sent before is not expected back from it."""
        with self._lock:
            self._pages[page] = _Page(self.sent, time.monotonic())
            self._update()

    def hide(self, page: str) -> None:
        """Note that a page does not show it any more."""
        with self._lock:
            self._pages.pop(page, None)
            self._update()

    def confirm(self, page: str, sequence: int) -> None:
        """Note that a page is done with the frame of this number, and with those before it."""
        now = time.monotonic()
        with self._lock:
            found = self._pages.get(page)
            if found is None or not found.confirmed < sequence <= self.sent:
                return
            found.confirmed, found.heard = sequence, now
            self.confirmed = max(self.confirmed, sequence)
            # a page that was closed without a word must not hold up the others
            for name, other in list(self._pages.items()):
                if other.confirmed < sequence and now - other.heard > SILENT_AFTER:
                    del self._pages[name]
            self._update()

    def send(self) -> int | None:
        """Take the number of the next frame; None if there is no room for it, or nobody to see it."""
        with self._lock:
            if not self._pages or self._in_flight() >= MAX_IN_FLIGHT:
                return None
            self.sent += 1
            self._update()
            return self.sent

    def wait_for_room(self, seconds: float) -> bool:
        """Wait until another frame may be sent; whether it may."""
        return self._room.wait(seconds)

    def _in_flight(self) -> int:
        return max((self.sent - page.confirmed for page in self._pages.values()), default=0)

    def _update(self) -> None:
        if self._in_flight() < MAX_IN_FLIGHT:
            self._full_since = None
            self._room.set()
        elif self._full_since is None:
            self._full_since = time.monotonic()
            self._room.clear()
