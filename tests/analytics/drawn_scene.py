"""Scenes with known people, seen by a detector that misses what is hidden: the tracker's input without a camera."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

FRAME_WH = (768, 576)
Box = tuple[float, float, float, float]
Row = tuple[float, float, float, float, float]


class Stop(NamedTuple):
    """Where a person's feet are at a time in seconds; between two of these they move in a straight line."""

    seconds: float
    x: float
    y: float


@dataclass(frozen=True)
class Walker:
    """A person of a scene, who is there from the first to the last stop."""

    stops: Sequence[Stop]
    height: float = 100.0

    def box(self, seconds: float) -> Box | None:
        for before, after in pairwise(self.stops):
            if before.seconds <= seconds <= after.seconds:
                share = (seconds - before.seconds) / (after.seconds - before.seconds)
                x, y = before.x + share * (after.x - before.x), before.y + share * (after.y - before.y)
                return (x - 0.2 * self.height, y - self.height, x + 0.2 * self.height, y)
        return None


@dataclass(frozen=True)
class Scene:
    walkers: Sequence[Walker]
    posts: Sequence[Box] = ()

    @property
    def seconds(self) -> float:
        return max(walker.stops[-1].seconds for walker in self.walkers)

    def visible(self, seconds: float) -> dict[int, tuple[Box, float]]:
        """For each person their box, and how much of it nothing hides. The lower in the frame, the nearer."""
        boxes = {number: box for number, walker in enumerate(self.walkers) if (box := walker.box(seconds)) is not None}
        seen = {}
        for number, box in boxes.items():
            nearer = [other for other in boxes.values() if other[3] > box[3]]
            seen[number] = box, 1.0 - max((hidden(box, other) for other in (*nearer, *self.posts)), default=0.0)
        return seen


def hidden(box: Box, by: Box) -> float:
    width, height = min(box[2], by[2]) - max(box[0], by[0]), min(box[3], by[3]) - max(box[1], by[1])
    return max(width, 0.0) * max(height, 0.0) / ((box[2] - box[0]) * (box[3] - box[1]))


class Frame(NamedTuple):
    ts_ms: int
    rows: list[Row]
    """What the detector found."""
    people: list[int]
    """Who each row is."""


def frames(scene: Scene, times_ms: Sequence[int], seed: int) -> Iterator[Frame]:
    """What a detector with errors of 2 % of the height finds: those who are mostly visible."""
    chance = random.Random(seed)
    for ts_ms in times_ms:
        rows, people = [], []
        for number, (box, share) in scene.visible(ts_ms / 1000).items():
            confidence = 0.8 * share + chance.gauss(0, 0.02)
            x1, y1, x2, y2 = (side + chance.gauss(0, 0.02) * (box[3] - box[1]) for side in box)
            if share > 0.35:
                rows.append((x1, y1, x2, y2, confidence))
                people.append(number)
        order = sorted(range(len(rows)), key=lambda at: -rows[at][4])
        yield Frame(ts_ms, [rows[at] for at in order], [people[at] for at in order])


def times(scene: Scene, fps: float, start_ms: int = 0) -> list[int]:
    return [start_ms + round(index * 1000 / fps) for index in range(int(scene.seconds * fps) + 1)]


POST = (390.0, 150.0, 440.0, 420.0)

YARD = Scene(
    [
        # two cross in the middle
        Walker([Stop(0, 60, 500), Stop(8, 700, 500)]),
        Walker([Stop(0, 700, 515), Stop(8, 60, 515)]),
        # one stops for three seconds, and turns round
        Walker([Stop(0.5, 60, 230), Stop(3.5, 300, 230), Stop(6.5, 300, 230), Stop(9.5, 60, 230)]),
        # one goes behind the post, waits there for a second, and returns
        Walker([Stop(1, 150, 370), Stop(4, 415, 370), Stop(5, 415, 370), Stop(8, 150, 370)]),
        # one goes behind the post, waits for a second, and comes out on the other side
        Walker([Stop(6, 700, 350), Stop(9.5, 415, 350), Stop(10.5, 415, 350), Stop(14, 130, 350)]),
        # one passes behind the post without a stop
        Walker([Stop(10, 700, 330), Stop(17, 120, 330)]),
    ],
    [POST],
)


CROWD = Scene(
    [
        # rows of ten, each row in its own direction and at its own pace
        Walker(
            [
                Stop(0, 60 + 70 * place, 150 + 80 * row),
                Stop(6, 60 + 70 * place + 60 * (-1) ** row, 150 + 80 * row + 10 * (row % 3)),
            ],
            height=70,
        )
        for row in range(6)
        for place in range(10)
    ]
)
