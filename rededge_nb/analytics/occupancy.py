"""Who is in a zone, and since when.

A person enters or leaves a zone when the side of its border changes (see `sides.py`). The times that count are those of
the first frame inside and of the first frame outside, so that the delay does not change a dwell time. A person who is
first seen inside, clear of the border, is in the zone at once.

The edge of the frame is not a border: a zone drawn up to the edge goes on beyond it, positions below or beside the
frame are in it, and people who walk out of the frame from inside the zone leave it when they were last seen.

Zones may overlap and may be concave; each is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from rededge_nb.analytics.geometry import Point
from rededge_nb.analytics.positions import EDGE, Position
from rededge_nb.analytics.scene import Zone
from rededge_nb.analytics.sides import NEGATIVE, POSITIVE, UNKNOWN, NewSide, Tolerance, is_believed, letter, seen_there


@dataclass(frozen=True, slots=True)
class PlacedZone:
    """A zone in pixels of a frame.

    Attributes:
        name: As in the scene.
        frame_wh: Width and height of the frame.
        low: Smallest x and y of the corners.
        high: Largest x and y of the corners.
        edges: For each edge that is not horizontal: the smaller y, the larger y, the x at y = 0, and the change of x
            for each pixel of y.
        border: The edges that are a border, `(x1, y1, x2, y2)`: those that do not lie on the edge of the frame.
    """

    name: str
    frame_wh: tuple[float, float]
    low: Point
    high: Point
    edges: tuple[tuple[float, float, float, float], ...]
    border: tuple[tuple[float, float, float, float], ...]

    def contains(self, x: float, y: float) -> bool:
        """Whether a point is inside; on the border it may be either (even-odd rule)."""
        if x < self.low[0] or x > self.high[0] or y < self.low[1] or y > self.high[1]:
            return False
        inside = False
        for low, high, x_at_0, slope in self.edges:
            if low <= y < high and x < x_at_0 + slope * y:
                inside = not inside
        return inside

    def distance(self, x: float, y: float) -> float:
        """Distance of a point from the border in pixels; infinite if all edges lie on the edge of the frame."""
        nearest = float("inf")
        for x1, y1, x2, y2 in self.border:
            dx, dy = x2 - x1, y2 - y1
            part = ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy)
            part = 0.0 if part < 0 else 1.0 if part > 1 else part
            ex, ey = x - x1 - part * dx, y - y1 - part * dy
            nearest = min(nearest, ex * ex + ey * ey)
        return sqrt(nearest)


def place_zone(zone: Zone, frame_wh: tuple[float, float]) -> PlacedZone:
    """A zone of the scene in a frame of that width and height."""
    width, height = frame_wh
    points = [(x * width, y * height) for x, y in zone.points]
    edges, border = [], []
    for i, (x1, y1) in enumerate(points):
        x2, y2 = points[i - 1]
        if y1 != y2:
            slope = (x2 - x1) / (y2 - y1)
            edges.append((min(y1, y2), max(y1, y2), x1 - slope * y1, slope))
        if not _on_frame_edge(zone.points[i], zone.points[i - 1]):
            border.append((x1, y1, x2, y2))
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return PlacedZone(zone.name, frame_wh, (min(xs), min(ys)), (max(xs), max(ys)), tuple(edges), tuple(border))


def _on_frame_edge(a: Point, b: Point) -> bool:
    return any(max(a[i], b[i]) <= EDGE or min(a[i], b[i]) >= 1 - EDGE for i in (0, 1))


def inside_frame(x: float, y: float, frame_wh: tuple[float, float]) -> Point:
    """A position of a person as zones see it: not nearer to an edge of the frame than `EDGE`."""
    width, height = frame_wh
    low_x, low_y = EDGE * width, EDGE * height
    return (
        low_x if x < low_x else width - low_x if x > width - low_x else x,
        low_y if y < low_y else height - low_y if y > height - low_y else y,
    )


def sides_of_zones(zones: Sequence[PlacedZone], x: float, y: float) -> str:
    """For each zone whether a point, from `inside_frame`, is inside (POSITIVE) or outside."""
    return "".join([POSITIVE if zone.contains(x, y) else NEGATIVE for zone in zones])


def follow_zones(
    zones: Sequence[PlacedZone],
    there: str,
    sides: str,
    new_sides: tuple[NewSide, ...],
    now: Position,
    tolerance: Tolerance,
) -> tuple[str, tuple[NewSide, ...], list[NewSide]]:
    """One person at all zones, in a frame in which the person was seen.

    Args:
        zones: The zones of the scene.
        there: The sides on which the person is in this frame, from `sides_of_zones`.
        sides: For each zone the side that is believed: POSITIVE is inside.
        new_sides: Sides that are not yet believed.
        now: The position in this frame, with x and y from `inside_frame`.
        tolerance: When a new side is believed.

    Returns:
        The sides that are believed; those that are not yet believed; the entries (POSITIVE) and exits that this frame
        decides.
    """
    new_of = {new.border: new for new in new_sides}
    decided: list[NewSide] = []
    followed = list(sides)
    for i, zone in enumerate(zones):
        new = new_of.pop(i, None)
        if there[i] == sides[i]:
            continue
        depth = zone.distance(now.x, now.y) / now.height
        if there[i] == sides[i].upper():
            followed[i] = letter(there[i], depth, tolerance)
            continue
        new = seen_there(new, i, there[i], depth, now.ts_ms)
        if not is_believed(sides[i], new, depth, now.ts_ms, tolerance):
            new_of[i] = new
            continue
        followed[i] = letter(new.side, depth, tolerance)
        if sides[i] != UNKNOWN or new.side == POSITIVE:
            decided.append(new)
    return "".join(followed), tuple(new_of.values()), decided
