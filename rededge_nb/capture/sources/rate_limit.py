"""Leaving frames out, so that no more come in a second than are wanted."""

from __future__ import annotations

JITTER = 0.2
"""Part of the interval by which a camera's frame may come early."""
_EPSILON = 1e-6


class RateLimit:
    """Chooses the first frame in each interval.

    Args:
        fps: Frames per second wanted; None for all.
        jitter: Part of an interval by which a frame may come early and be taken all the same.
    """

    def __init__(self, fps: float | None, jitter: float = 0.0) -> None:
        self._interval = 1 / fps if fps else 0.0
        self._early = jitter * self._interval + _EPSILON
        self._next = 0.0

    @property
    def not_before(self) -> float:
        """The time, in seconds, before which no frame is wanted."""
        return self._next - self._early

    def wants(self, seconds: float) -> bool:
        """Whether the frame of a time is wanted; to be asked once for each frame, in their order."""
        if seconds < self.not_before:
            return False
        if self._interval:
            following = self._next + self._interval
            self._next = following if seconds < following else seconds + self._interval
        return True

    def start_after(self, seconds: float) -> None:
        """Leave out everything up to a time."""
        self._next = seconds + 2 * self._early
