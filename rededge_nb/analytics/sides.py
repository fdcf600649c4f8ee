"""On which side of a border a person is: left or right of a line, inside or outside of a zone.

Boxes jitter by 1 to 3 % of their height from frame to frame, and people who stand still shift their weight. So a new
side is believed only when the person was seen there for 3 frames and 0.3 s without interruption, and

- is clear of the border: 0.1 heights of the box away from it, or
- was well away from it (0.15 heights) on the old side, and is beyond it by 0.03 heights on average.

Where the model leaves out frames because it is busy, two detections that are 0.2 s apart are enough (`LEAVES_OUT`).

The second case is everybody who walks up to a border and across it. The first one is for people who linger at a border:
they must be clear of it before their side changes again.

Why not only "held for 3 frames or 0.3 s"? A simulated person who stands on a line, with a jitter of 1 to 3 % of the
height, is then counted up to 34 times a minute. With these rules it is once at most with a jitter of 1 or 2 %,
and with one of 3 % that lasts over several frames about once more in two minutes. On the sample video, with three
lines, the numbers of the two rules differ by two at most, and by none or one in nearly all cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

POSITIVE: Final = "P"
"""Right of a line, inside a zone. A small letter is for people who were not well away from the border on this side."""
NEGATIVE: Final = "N"
"""Left of a line, outside of a zone."""
UNKNOWN: Final = "-"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What it takes until a new side is believed; distances are parts of the height of the person's box.

    Attributes:
        frames: Number of frames in which the person was seen there without interruption.
        seconds: Time from the first to the last of them. Both are needed.
        clear: Distance from the border at which a person is clear of it.
        away: Distance from the border at which a person is well away from it.
        beyond: Mean distance beyond the border in these frames, for people who were well away on the old side.
        seldom_frames: What is enough in place of `frames` where the person was detected there less often than every
            `SELDOM_S` seconds.
        seldom_seconds: The same for `seconds`.
    """

    frames: int = 3
    seconds: float = 0.3
    clear: float = 0.1
    away: float = 0.15
    beyond: float = 0.03
    seldom_frames: int = 3
    seldom_seconds: float = 0.3


SELDOM_S: Final = 0.15
"""Where detections of a person are further apart than this many seconds, on average, they are few."""
LEAVES_OUT: Final = Tolerance(seldom_frames=2, seldom_seconds=0.2)
"""For a model that leaves out frames when it is busy. At five runs per second, three detections take 0.4 s, and
people who are beyond a line for a shorter time would be lost."""


class NewSide(NamedTuple):
    """A side that is not yet believed.

    Attributes:
        border: Index of the line or zone.
        side: POSITIVE or NEGATIVE.
        frames: In how many frames the person was seen there.
        since: Time of the first of them, ms.
        depth: Sum of the distances from the border in these frames, in thousandths of the height of the box.
        passed: For a line: whether the person came there between its two ends.
        leaving: For a line: whether the box touches an edge of the frame that lies beyond the line.
    """

    border: int
    side: str
    frames: int
    since: int
    depth: int
    passed: bool = False
    leaving: bool = False


def seen_there(
    new: NewSide | None, border: int, side: str, depth: float, ts_ms: int, passed: bool = False, leaving: bool = False
) -> NewSide:
    """The new side after one more frame in which the person was seen there.

    Args:
        new: The new side before this frame, if there was one.
        border: Index of the line or zone.
        side: The side in this frame.
        depth: Distance from the border in this frame, in heights of the box.
        ts_ms: Time of this frame.
        passed: As in `NewSide`, if this is the first frame on that side.
        leaving: As in `NewSide`.
    """
    thousandths = round(1000 * min(depth, 1.0))  # depth may be infinite: a zone that is the whole frame
    if new is None or new.side != side:
        return NewSide(border, side, 1, ts_ms, thousandths, passed, leaving)
    return NewSide(border, side, new.frames + 1, new.since, new.depth + thousandths, new.passed, leaving)


def is_believed(old: str, new: NewSide, depth: float, ts_ms: int, tolerance: Tolerance) -> bool:
    """Whether the person has changed from the side `old` to the side `new`.

    Args:
        old: The side believed so far; UNKNOWN for a person who was never on a side.
        new: The other side, this frame included.
        depth: Distance from the border in this frame, in heights of the box.
        ts_ms: Time of this frame.
        tolerance: What it takes.
    """
    clear = depth >= tolerance.clear
    lasted_ms = ts_ms - new.since
    held = new.frames >= tolerance.frames and lasted_ms >= 1000 * tolerance.seconds
    if lasted_ms > 1000 * SELDOM_S * (new.frames - 1):
        held |= new.frames >= tolerance.seldom_frames and lasted_ms >= 1000 * tolerance.seldom_seconds
    if old == UNKNOWN:
        return clear or held
    came_from_away = old.isupper() and new.depth >= 1000 * tolerance.beyond * new.frames
    return held and (clear or came_from_away)


def letter(side: str, depth: float, tolerance: Tolerance) -> str:
    """The side as it is kept: a small letter unless the person is well away from the border."""
    return side if depth >= tolerance.away else side.lower()
