"""When a person has crossed a line.

A line has a left and a right side (see `scene.Line`), and each person is on one of them. A crossing is counted when the
side changes (see `sides.py`). So people who stand on the line, or tremble across it, are not counted again and again,
and the same person is counted again in that direction only after going back.

A line is a segment with two ends. What decides is the step from the last position on the old side to the first position
on the new side: it must pass between the ends. People who walk around an end change the side without being counted.

People first seen on the line have no side yet. They get one, without being counted, as soon as they are clear of the
line or were seen on one side for a while.

Frames in which a person was not seen (the tracker predicts the box) neither count nor interrupt.

Somebody may cross a line near the edge of the frame and leave the frame within the 0.3 s. That is counted when the
track ends: the person was seen beyond the line, and the last box touches an edge of the frame that lies beyond it.
Tracks that end anywhere else before the time is over are not counted: there the tracker has lost the person, or has
mixed up two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from rededge_nb.analytics.geometry import Point
from rededge_nb.analytics.positions import EDGE, Position
from rededge_nb.analytics.scene import Line
from rededge_nb.analytics.sides import NEGATIVE, POSITIVE, UNKNOWN, NewSide, Tolerance, is_believed, letter, seen_there


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line in pixels of a frame.

    Attributes:
        name: As in the scene.
        normal_x: Unit vector that points to the right side.
        normal_y: The same.
        offset: `normal_x * x + normal_y * y + offset` is the distance of a point from the line, above 0 on the right.
        start: The end `a`.
        length: Pixels from `a` to `b`.
        low: Where the line begins, in pixels from `a` along the line; less than 0 where `a` touches the edge of the
            frame, as nobody can walk around that end.
        high: Where it ends; more than `length` where `b` touches the edge of the frame.
    """

    name: str
    normal_x: float
    normal_y: float
    offset: float
    start: Point
    length: float
    low: float
    high: float

    def distance(self, x: float, y: float) -> float:
        """Distance of a point from the line in pixels: above 0 on the right, below 0 on the left."""
        return self.normal_x * x + self.normal_y * y + self.offset

    def outwards(self, side: str, out_x: int, out_y: int) -> float:
        """How far one gets away from the line, on that side, by one pixel out of the frame.

        1 where the edge that the box touches is parallel to the line and beyond it, 0 or less where it is not beyond
        it; see `Position` for `out_x` and `out_y`.
        """
        outwards = self.normal_x * out_x + self.normal_y * out_y
        return outwards if side == POSITIVE else -outwards

    def passed(self, before: Point, after: Point) -> bool:
        """Whether the step from one side to the other passes between the ends of the line."""
        d0, d1 = self.distance(*before), self.distance(*after)
        part = d0 / (d0 - d1) if d0 * d1 < 0 else 0.0
        x, y = before[0] + part * (after[0] - before[0]), before[1] + part * (after[1] - before[1])
        along = (x - self.start[0]) * self.normal_y - (y - self.start[1]) * self.normal_x
        return self.low <= along <= self.high


def place_line(line: Line, frame_wh: tuple[float, float]) -> PlacedLine:
    """A line of the scene in a frame of that width and height."""
    width, height = frame_wh
    ax, ay, bx, by = line.a[0] * width, line.a[1] * height, line.b[0] * width, line.b[1] * height
    length = hypot(bx - ax, by - ay)
    normal_x, normal_y = (ay - by) / length, (bx - ax) / length
    return PlacedLine(
        name=line.name,
        normal_x=normal_x,
        normal_y=normal_y,
        offset=-(normal_x * ax + normal_y * ay),
        start=(ax, ay),
        length=length,
        low=float("-inf") if _leaves_frame(line.b, line.a) else 0.0,
        high=float("inf") if _leaves_frame(line.a, line.b) else length,
    )


def _leaves_frame(a: Point, b: Point) -> bool:
    """Whether the line from `a` to `b`, made a little longer, leaves the frame."""
    length = hypot(b[0] - a[0], b[1] - a[1])
    return any(not 0 <= b[i] + EDGE * (b[i] - a[i]) / length <= 1 for i in (0, 1))


def sides_of_lines(lines: Sequence[PlacedLine], x: float, y: float) -> str:
    """The side of each line on which a point is; NEGATIVE for a point on the line."""
    return "".join(
        [POSITIVE if line.normal_x * x + line.normal_y * y + line.offset > 0 else NEGATIVE for line in lines]
    )


def follow_lines(
    lines: Sequence[PlacedLine],
    there: str,
    sides: str,
    new_sides: tuple[NewSide, ...],
    before: Point | None,
    now: Position,
    tolerance: Tolerance,
) -> tuple[str, tuple[NewSide, ...], list[NewSide]]:
    """One person at all lines, in a frame in which the person was seen.

    Args:
        lines: The lines of the scene.
        there: The sides on which the person is in this frame, from `sides_of_lines`.
        sides: For each line the side that is believed: POSITIVE is right.
        new_sides: Sides that are not yet believed.
        before: The last position at which the person was seen, in pixels of this frame; None if this is the first one.
        now: The position in this frame.
        tolerance: When a new side is believed.

    Returns:
        The sides that are believed; those that are not yet believed; the crossings that this frame decides.
    """
    new_of = {new.border: new for new in new_sides}
    crossings: list[NewSide] = []
    followed = list(sides)
    for i, line in enumerate(lines):
        if there[i] == sides[i] and i not in new_of:
            continue
        distance = abs(line.distance(now.x, now.y))
        if distance == 0:  # on the line: neither here nor there
            continue
        new = new_of.pop(i, None)
        outwards = line.outwards(there[i], now.out_x, now.out_y)
        depth = distance / now.height
        if there[i] == sides[i].upper():
            if depth >= tolerance.away:
                followed[i] = there[i]
            continue
        passed = (
            (new is None or new.side != there[i])
            and (sides[i] != UNKNOWN and before is not None)
            and line.passed(before, (now.x, now.y))
        )
        new = seen_there(new, i, there[i], depth, now.ts_ms, passed, outwards > 0.5)
        if not is_believed(sides[i], new, depth, now.ts_ms, tolerance):
            new_of[i] = new
            continue
        followed[i] = letter(new.side, depth, tolerance)
        if new.passed:
            crossings.append(new)
    return "".join(followed), tuple(new_of.values()), crossings


def leaves_beyond(line: PlacedLine, new: NewSide, out_x: int, out_y: int) -> NewSide:
    """The new side of a person who was not seen in this frame, but whose predicted box touches these edges."""
    return new._replace(leaving=True) if line.outwards(new.side, out_x, out_y) > 0.5 else new


def crossed_at_the_end(new: NewSide) -> bool:
    """Whether a track that ends here has crossed the line on its way out of the frame."""
    return new.passed and new.leaving
