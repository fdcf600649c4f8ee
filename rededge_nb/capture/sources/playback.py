"""When the frames of a recording are due, if it is played at its own speed."""

from __future__ import annotations

import time

LONGEST_PAUSE = 5.0
"""Seconds without a frame after which the clock starts again with the next one."""
_USUAL_INTERVALS = 10
"""A pause of fewer usual intervals is none: a recording may have one frame in ten seconds."""


class PlaybackClock:
    """Says when a frame is due, from its position.

    Args:
        interval: Seconds between two frames, on average.
        speed: How many seconds of the recording are played in one.
    """

    def __init__(self, interval: float, speed: float = 1.0) -> None:
        self._longest_pause = max(LONGEST_PAUSE, _USUAL_INTERVALS * interval)
        self._speed = speed
        self._started: float | None = None
        self._from = self._last = 0.0

    def due(self, position: float) -> float:
        """The time at which a frame is due, on the scale of `time.monotonic`."""
        if self._started is None or position - self._last > self._longest_pause:
            self._started, self._from = time.monotonic(), position
        self._last = position
        return self._started + (position - self._from) / self._speed

    def position(self) -> float:
        """The position that is due now."""
        return self._from if self._started is None else self._from + (time.monotonic() - self._started) * self._speed
