"""Counts scripted walkers, and what the tests want to know of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rededge_nb.analytics.counting import SceneCounter
from rededge_nb.analytics.counting_state import CountingState, read_state
from rededge_nb.analytics.counts import FrameCounts
from rededge_nb.analytics.scene import Scene
from tests.analytics.walkers import FRAME, HEIGHT, WIDTH, Frame

Pixels = tuple[float, float]


def part(x: float, y: float) -> tuple[float, float]:
    """A point in pixels as a scene has it."""
    return x / WIDTH, y / HEIGHT


def line(a: Pixels, b: Pixels, name: str = "door", scene: Scene | None = None) -> Scene:
    return (scene or Scene()).with_line(name, part(*a), part(*b))


def zone(*points: Pixels, name: str = "desk", scene: Scene | None = None) -> Scene:
    return (scene or Scene()).with_zone(name, [part(*point) for point in points])


@dataclass
class Counted:
    """The sum of all frames.

    Attributes:
        lines: How often each line was crossed: `{("door", "forward"): 1}`.
        entries: How many people entered each zone.
        dwells: For each zone the seconds of each stay that is over, in the order of the exits.
        people: For each zone the people in it, frame by frame.
        frames: Everything that the counter returned.
    """

    lines: Counter[tuple[str, str]] = field(default_factory=Counter)
    entries: Counter[str] = field(default_factory=Counter)
    dwells: dict[str, list[float]] = field(default_factory=dict)
    people: dict[str, list[int]] = field(default_factory=dict)
    frames: list[FrameCounts] = field(default_factory=list)

    def add(self, counts: FrameCounts) -> None:
        self.frames.append(counts)
        self.lines.update((crossing.line, crossing.direction) for crossing in counts.crossings)
        self.entries.update(entry.zone for entry in counts.entries)
        for leaving in counts.exits:
            self.dwells.setdefault(leaving.zone, []).append(leaving.seconds)
        for name, now in counts.zones.items():
            self.people.setdefault(name, []).append(now.people)

    def crossed(self, name: str = "door") -> tuple[int, int]:
        """Forward and backward."""
        return self.lines[name, "forward"], self.lines[name, "backward"]


def run(scene: Scene, frames: Iterable[Frame], *, reload: bool = False) -> Counted:
    """Counts all frames; with `reload` the state is written and read between every two of them."""
    counter, state, counted = SceneCounter(scene), CountingState(), Counted()
    for frame in frames:
        counts, state = counter.count(state, frame.people, frame.ts_ms, FRAME, frame.finished)
        counted.add(counts)
        if reload:
            state = read_state(json.loads(json.dumps(state.to_data())))
            counter = SceneCounter(scene)
    return counted
