"""People who walk along a script: boxes over time as pure data, as a tracker would report them.

    walk = Walker([(0, 100, 400), (4, 600, 400)])                  # (seconds, x, y) of the feet, in pixels
    for frame in frames([walk], fps=25): frame.ts_ms, frame.people, frame.finished

What a tracker does to a person is done here, too: a track appears after three frames in which the person was seen, a
person who is missed is predicted for 0.3 s, and a track ends 3 s after the person was last seen. Boxes are cut off at
the edges of the frame, and a person of whom less than a third is visible is not seen.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import exp, sqrt
from typing import NamedTuple

from rededge_nb.capture.sources.walkers import Walker

WIDTH, HEIGHT = FRAME = (768, 576)
HITS = 3
COAST_S = 0.3
KEEP_S = 3.0

Box = tuple[float, float, float, float]
Path = list[tuple[float, float, float]]
"""`(seconds, x, y)` of the feet, in pixels."""

RATES = [(25, False), (25, True), (10, False), (10, True)]
"""Frames a second, and whether every third frame is missing."""


def straight(x0: float, x1: float, y: float = 300, *, speed: float = 95, start: float = 0) -> Path:
    """A path along a horizontal, `speed` in pixels a second."""
    return [(start, x0, y), (start + abs(x1 - x0) / speed, x1, y)]


def way(*points: tuple[float, float], speed: float = 95) -> Path:
    """A path along points at an even speed, in pixels a second."""
    path: Path = [(0.0, *points[0])]
    for x, y in points[1:]:
        t, x0, y0 = path[-1]
        path.append((t + max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5 / speed, 1e-3), x, y))
    return path


def stop(path: Path, after: int, seconds: float) -> Path:
    """The path with a stop at its point number `after`."""
    t, x, y = path[after]
    later = [(t0 + seconds, x0, y0) for t0, x0, y0 in path[after + 1 :]]
    return [*path[: after + 1], (t + seconds, x, y), *later]


def seen(walker: Walker, t: float, noise: Sequence[float]) -> Box | None:
    """What a detector reports of a person, or None where it sees nobody.

    Args:
        walker: The person.
        t: Seconds.
        noise: How far each edge is off, as a part of the height.
    """
    feet = walker.feet(t)
    if feet is None or walker.is_hidden(t):
        return None
    height = walker.height_at(t)
    left, upper, right, lower = (height * part for part in noise)
    x1, y1 = feet[0] - 0.2 * height + left, feet[1] - height + upper
    x2, y2 = feet[0] + 0.2 * height + right, feet[1] + lower
    cut = (max(x1, 0.0), max(y1, 0.0), min(x2, float(WIDTH)), min(y2, float(HEIGHT)))
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        return None
    visible = (cut[2] - cut[0]) * (cut[3] - cut[1]) / ((x2 - x1) * (y2 - y1))
    return cut if visible >= 1 / 3 else None


class Person(NamedTuple):
    id: int
    box: Box
    confidence: float = 0.9


@dataclass(frozen=True)
class Frame:
    ts_ms: int
    people: list[Person]
    finished: list[int]


@dataclass
class _Track:
    id: int | None = None
    hits: int = 0
    seen: float = 0.0
    boxes: list[tuple[float, Box]] = field(default_factory=list)

    def predicted(self, t: float) -> Box:
        """The last box, moved on as it moved before."""
        (t0, a), (t1, b) = self.boxes[0], self.boxes[-1]
        part = (t - t1) / (t1 - t0) if t1 > t0 else 0.0
        dx, dy = (b[0] + b[2] - a[0] - a[2]) / 2 * part, (b[3] - a[3]) * part
        return b[0] + dx, b[1] + dy, b[2] + dx, b[3] + dy


def frames(
    walkers: Sequence[Walker],
    fps: float,
    *,
    drop_third: bool = False,
    jitter: float = 0.0,
    slow_s: float = 0.0,
    seed: int = 1,
    start_ms: int = 1_700_000_000_000,
) -> Iterator[Frame]:
    """All frames until the last track has ended.

    Args:
        walkers: The people.
        fps: Frames a second.
        drop_third: Whether every third frame is missing.
        jitter: Standard deviation of each edge of a box, as a part of its height.
        slow_s: How long a deviation lasts, as the filter of a tracker makes it; 0 is new in every frame.
        seed: Of the jitter.
        start_ms: Time of the first frame.
    """
    rng = random.Random(seed)
    keep = exp(-1 / (fps * slow_s)) if slow_s else 0.0
    noise = [[rng.gauss(0, jitter) for _ in range(4)] for _ in walkers]
    tracks = [_Track() for _ in walkers]
    ids = iter(range(1, 10_000))
    end = max(walker.end for walker in walkers) + KEEP_S + 1
    for number in range(round(end * fps)):
        for edges in noise:
            edges[:] = [keep * edge + sqrt(1 - keep**2) * rng.gauss(0, jitter) for edge in edges]
        if drop_third and number % 3 == 2:
            continue
        t = number / fps
        people, finished = [], []
        for i, walker in enumerate(walkers):
            track, box = tracks[i], seen(walker, t, noise[i])
            if track.id is not None and t - track.seen > KEEP_S:
                finished.append(track.id)
                track = tracks[i] = _Track()
            if box is not None:
                track.hits, track.seen = track.hits + 1, t
                track.boxes = [*track.boxes[-3:], (t, box)]
                if track.id is None and track.hits >= HITS:
                    track.id = next(ids)
            elif track.id is None:
                tracks[i] = _Track()
            if track.id is None:
                continue
            if box is not None:
                people.append(Person(track.id, box))
            elif t - track.seen <= COAST_S:
                people.append(Person(track.id, track.predicted(t), 0.0))
        yield Frame(start_ms + round(1000 * t), people, finished)
