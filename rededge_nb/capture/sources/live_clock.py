"""When the frames of a camera were captured.

A frame is received later than it was captured, and how much later varies: the first ones wait until FFmpeg knows the
stream, others for the network, or for a following frame that they depend on. Their timestamps do not vary so, but begin
anywhere, and the camera's clock runs a little differently. So the time of a frame is its timestamp plus the smallest
difference to the time of its arrival that was seen lately.
"""

from __future__ import annotations

LONGEST_DELAY = 2.0
"""Seconds after which a frame is not late, but the timestamps are wrong."""
_DRIFT = 0.001
"""Seconds in one by which the clocks may differ."""


class LiveClock:
    """Turns positions into times."""

    def __init__(self) -> None:
        self._zero: float | None = None
        """The time of position 0, by our clock."""
        self._last = self._newest = 0.0

    def received(self, position: float, now: float) -> None:
        """Note when a frame arrived, in seconds of our clock."""
        zero = now - position
        if self._zero is None or zero - self._zero > LONGEST_DELAY:
            self._zero = zero
        else:
            self._zero = min(zero, self._zero + _DRIFT * max(0.0, position - self._last))
        self._last = position

    def time_of(self, position: float) -> float:
        """When the frame at a position was captured; never before the frame that was asked about last.

        `received` has to be called for it first.
        """
        self._newest = max(self._newest, (self._zero or 0.0) + position)
        return self._newest
