"""Positions in a video: seconds from its first frame, from timestamps that may be missing, disordered or jump.

A video that was joined from several, or whose encoder was restarted, has timestamps that jump by seconds or hours,
ahead or back. Nothing was recorded in between, so that the positions go on at the usual distance; the jump is reported.
FFmpeg does the same, for the same formats: MPEG-TS and others whose timestamps may start again at any point. In other
formats, such as MP4, a gap is part of the recording, as of a camera that records movement only.
"""

from __future__ import annotations

from collections.abc import Callable

LONGEST_GAP = 5.0
"""Seconds between two frames that are not a jump, in formats whose timestamps may start again."""
LONGEST_GAP_ELSEWHERE = 30 * 3600.0
"""The same in all other formats; above it a timestamp is taken for damaged."""
_USUAL_INTERVALS = 10
"""A gap of fewer usual intervals is no jump either: a video may have one frame in ten seconds."""


class TimestampGuess:
    """Chooses between the two timestamps of a decoded frame: when to show it, and when its data was to be decoded.

    Some formats, such as AVI with B-frames, have the first of them in disorder. As FFmpeg's `guess_correct_pts` does,
    the one that was out of order less often is taken.
    """

    def __init__(self) -> None:
        self._last_pts = self._last_dts = float("-inf")
        self._faulty_pts = self._faulty_dts = 0

    def best(self, pts: int | None, dts: int | None) -> int | None:
        """The better one of the two, in their unit; None where there is none."""
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        return pts if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts) else dts


class Timeline:
    """Turns the timestamps of frames, in the order of the frames, into positions that never go back.

    Args:
        interval: Seconds between two frames, as far as that is known before the second one.
        longest_gap: LONGEST_GAP or LONGEST_GAP_ELSEWHERE.
        on_jump: Called with the position of a jump, and how many seconds it is ahead, or back if negative.
    """

    def __init__(self, interval: float, longest_gap: float, on_jump: Callable[[float, float], None]) -> None:
        self._interval = interval
        self._longest_gap = longest_gap
        self._on_jump = on_jump
        self._zero: float | None = None
        """The timestamp of position 0."""
        self._position: float | None = None

    def position(self, timestamp: float | None) -> float:
        """The position of the next frame, from its timestamp in seconds."""
        if self._position is None:
            self._zero, self._position = timestamp, 0.0
            return 0.0
        expected = self._position + self._interval
        if timestamp is None:
            self._position = expected
            return expected
        if self._zero is None:
            self._zero = timestamp - expected
        gap = timestamp - self._zero - self._position
        if gap < -LONGEST_GAP or gap > max(self._longest_gap, _USUAL_INTERVALS * self._interval):
            self._on_jump(self._position, gap)
            self._zero = timestamp - expected
        elif gap > 0:
            self._interval = gap
        self._position = max(self._position, timestamp - self._zero)
        return self._position

    def expected(self, timestamp: float) -> float | None:
        """The position that a timestamp will have if there is no jump; None where that is not known yet."""
        return None if self._zero is None else timestamp - self._zero
