"""Runs the tracker over a drawn scene, and says who got which ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rededge_nb.analytics.tracking import FrameResult, Tracker, TrackerSettings
from tests.analytics.drawn_scene import FRAME_WH, Frame


@dataclass
class Story:
    """What the tracker said.

    Attributes:
        results: Of each frame.
        ids: For each person of the scene the ids they had, each change one more.
        seen: The ids that were announced as seen for the first time.
    """

    results: list[FrameResult] = field(default_factory=list)
    ids: dict[int, list[int]] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)

    @property
    def switches(self) -> int:
        return sum(len(ids) - 1 for ids in self.ids.values())


def follow(
    frames: Iterable[Frame], tracker: Tracker | None = None, renew: Callable[[Tracker], Tracker] | None = None
) -> Story:
    tracker, story = tracker or Tracker(), Story()
    for frame in frames:
        if renew is not None:
            tracker = renew(tracker)
        result = tracker.step(frame.rows, frame.ts_ms, FRAME_WH)
        story.results.append(result)
        story.seen += result.seen
        who = {row[4]: person for row, person in zip(frame.rows, frame.people, strict=True)}
        for person in result.people:
            if person.confidence:
                ids = story.ids.setdefault(who[person.confidence], [])
                if not ids or ids[-1] != person.id:
                    ids.append(person.id)
    return story


def saved_and_loaded(tracker: Tracker) -> Tracker:
    text = json.dumps(tracker.to_state(), separators=(",", ":"))
    return Tracker.from_state(json.loads(text), tracker.settings)


def walk(
    ts_ms: Iterable[int], *, x: float = 100, speed: float = 80, y: float = 400, confidence: float = 0.8
) -> list[tuple[int, list[tuple[float, float, float, float, float]]]]:
    """One person of 40 x 100 pixels, without errors: the time and the boxes of each frame."""
    return [
        (each, [(x + speed * each / 1000 - 20, y - 100, x + speed * each / 1000 + 20, y, confidence)]) for each in ts_ms
    ]


def settings(**changes: float) -> TrackerSettings:
    return TrackerSettings(**changes)  # type: ignore[arg-type]
