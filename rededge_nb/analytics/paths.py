"""The path of a person, simplified while it grows, in bounded memory.

SQUISH-E: whenever leaving out a point changes the path by less than a tolerance, it is left out; and where there are
too many points, the one that changes the path least. The change is the distance between the point and where one would
be at its time on the straight line between its neighbours. Errors add up: a point remembers the largest change by
neighbours that were left out. Muckell et al., "Compression of trajectory data: a comprehensive evaluation and new
approach", GeoInformatica 18, 2014.

Coordinates are whole numbers, ten-thousandths of the frame's width and height, so that a state is short.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import chain
from math import hypot
from typing import Any, NamedTuple

UNITS = 10_000
"""Steps from one side of the frame to the other."""
TOLERANCE = 100
"""A point may be left out when this changes the path by no more than so many units: 1 % of the frame."""
POINTS_MOST = 20
"""How many points a path keeps; beyond that the tolerance grows."""


class PathPoint(NamedTuple):
    """Where a person stood, and when.

    Attributes:
        ts_ms: Time in milliseconds.
        x: 0 (left) to 1 (right side of the frame).
        y: 0 (top) to 1 (bottom of the frame).
    """

    ts_ms: int
    x: float
    y: float


_Point = tuple[int, int, int, int]  # milliseconds since the start, x, y, the change so far by points left out
_CHANGE_MOST = 2**16 - 1
_PACKED = "QHHH"


class Path:
    """Points of a path, oldest first."""

    __slots__ = ("_points",)

    def __init__(self, points: Iterable[Any] = ()) -> None:
        self._points: list[_Point] = list(points)

    @classmethod
    def from_bytes(cls, packed: bytes) -> Path:
        """The path that `to_bytes` packed; `struct.error` where it is none."""
        return cls(struct.iter_unpack("<" + _PACKED, packed))

    def to_bytes(self) -> bytes:
        """The path in 14 bytes for each point, exactly."""
        return struct.pack("<" + _PACKED * len(self._points), *chain.from_iterable(self._points))

    def add(self, since_ms: int, x: float, y: float) -> None:
        """Appends where the person is now.

        Args:
            since_ms: Milliseconds since the start of the path, not less than the last point's.
            x: 0 to 1, as in `PathPoint`; what lies outside is moved to the rim.
            y: The same from top to bottom.
        """
        points = self._points
        points.append((since_ms, _units(x), _units(y), 0))
        while len(points) > 2 and _change(*points[-3:]) <= TOLERANCE:
            self._leave_out(len(points) - 2)
        if len(points) > POINTS_MOST:
            changes = [_change(*points[at - 1 : at + 2]) for at in range(1, len(points) - 1)]
            self._leave_out(1 + min(range(len(changes)), key=changes.__getitem__))

    def points(self, start_ms: int) -> tuple[PathPoint, ...]:
        """The path with times and coordinates as others read them."""
        return tuple(PathPoint(start_ms + since, x / UNITS, y / UNITS) for since, x, y, _ in self._points)

    def _leave_out(self, at: int) -> None:
        before, point, after = self._points[at - 1 : at + 2]
        change = _change(before, point, after)
        self._points[at - 1 : at + 2] = [(*before[:3], max(before[3], change)), (*after[:3], max(after[3], change))]


def _units(share: float) -> int:
    return min(max(round(share * UNITS), 0), UNITS)


def _change(before: _Point, point: _Point, after: _Point) -> int:
    """How far the path moves where this point is left out, earlier changes included."""
    span = after[0] - before[0]
    share = (point[0] - before[0]) / span if span else 0.0
    dx = before[1] + share * (after[1] - before[1]) - point[1]
    dy = before[2] + share * (after[2] - before[2]) - point[2]
    return min(point[3] + round(hypot(dx, dy)), _CHANGE_MOST)
