"""Points, segments and polygons of a frame: y grows downwards.

Coordinates are from 0 to 1 of the frame's width and height where a scene is checked, and pixels where people are
counted. Nothing here depends on which of the two it is, except the limits in `segment_problem` and `polygon_problem`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import Final

Point = tuple[float, float]

MIN_LENGTH: Final = 0.01
"""Shortest line, from 0 to 1 of the frame."""
MIN_AREA: Final = 0.0001
"""Smallest zone or mask, as a part of the frame: a hundredth of its width times a hundredth of its height."""


def turn(a: Point, b: Point, p: Point) -> float:
    """Above 0 if `p` is to the right of somebody who walks from `a` to `b` over the image, below 0 if to the left.

    The image is looked at as a map: of a line from the left edge to the right edge, the left side is the upper one.
    """
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def segments_meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments `a`-`b` and `c`-`d` have a point in common, their ends included."""
    c_side, d_side, a_side, b_side = turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)
    if c_side * d_side < 0 and a_side * b_side < 0:
        return True
    touching = ((c_side, a, b, c), (d_side, a, b, d), (a_side, c, d, a), (b_side, c, d, b))
    return any(side == 0 and _in_box(start, end, point) for side, start, end, point in touching)


def _in_box(a: Point, b: Point, p: Point) -> bool:
    return min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])


def area(points: Sequence[Point]) -> float:
    """The area of a polygon (shoelace formula)."""
    previous, total = points[-1], 0.0
    for point in points:
        total += previous[0] * point[1] - point[0] * previous[1]
        previous = point
    return abs(total) / 2


def segment_problem(a: Point, b: Point) -> str | None:
    """Why `a`-`b` cannot be a line of a scene, or None if it can."""
    length = hypot(b[0] - a[0], b[1] - a[1])
    if length == 0:
        return "has no length: its two ends are the same point"
    if length < MIN_LENGTH:
        return f"is too short: its length is {length:.2g} of the frame, must be at least {MIN_LENGTH:g}"
    return None


def polygon_problem(points: Sequence[Point]) -> str | None:
    """Why `points` cannot be a zone or mask of a scene, or None if they can."""
    count = len(points)
    if count < 3:
        return f"a polygon needs at least 3 points, found {count}"
    if points[0] == points[-1]:
        return "the last point repeats the first one: leave it out, a polygon is closed by itself"
    for i in range(1, count):
        if points[i] == points[i - 1]:
            return f"points[{i}] repeats points[{i - 1}]"
    if problem := _own_crossing(points):
        return problem
    if area(points) < MIN_AREA:
        return f"is too small: its area is {area(points):.2g} of the frame, must be at least {MIN_AREA:g}"
    return None


def _own_crossing(points: Sequence[Point]) -> str | None:
    """Where a polygon meets itself, or None."""
    count = len(points)
    edges = [(points[i], points[(i + 1) % count]) for i in range(count)]
    for i, (a, b) in enumerate(edges):
        c = edges[(i + 1) % count][1]
        if turn(a, b, c) == 0 and (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < 0:
            return f"turns back on itself at points[{(i + 1) % count}]"
        for j in range(i + 2, count - (i == 0)):
            if segments_meet(a, b, *edges[j]):
                return (
                    f"crosses or touches itself: the edge from points[{i}] to points[{i + 1}] "
                    f"and the edge from points[{j}] to points[{(j + 1) % count}]"
                )
    return None
