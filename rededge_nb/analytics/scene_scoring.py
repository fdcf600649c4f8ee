"""How good the crossings and dwell times are, compared with those of labelled people.

The labelled people and those who were found are counted at the same lines and in the same zones, by the code that the
gear uses. So a difference comes from boxes and ids alone, not from another rule of counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rededge_nb.analytics.assignment import assign
from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.counting import SceneCounter
from rededge_nb.analytics.counting_state import CountingState
from rededge_nb.analytics.counts import Crossing
from rededge_nb.analytics.scene import Scene

SLACK_S = 1.0
"""A crossing was found if one in the same direction was counted at most so many seconds earlier or later."""
LEAST_OVERLAP = 0.5
"""A stay was found if one in the same zone has at least this share of the time of both together."""


class Walker(NamedTuple):
    """Somebody in a frame.

    Attributes:
        id: The same in each frame.
        box: In pixels of the frame.
        confidence: 0 for somebody who was not seen in this frame.
    """

    id: int
    box: Box
    confidence: float = 1.0


class Stay(NamedTuple):
    """Somebody was in a zone.

    Attributes:
        zone: Name of the zone.
        start_ms: Time of the first frame inside.
        end_ms: Time of the first frame outside, or of the last frame of somebody who was not seen outside.
    """

    zone: str
    start_ms: int
    end_ms: int

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.end_ms - self.start_ms) / 1000


@dataclass(frozen=True)
class LineScore:
    """Crossings of a line in a direction.

    Attributes:
        line: Name of the line.
        direction: `forward` or `backward`.
        truth: Crossings of the labelled people.
        found: Crossings that were counted.
        matched: Those of them that are crossings of labelled people: in the same direction and within `SLACK_S`.
    """

    line: str
    direction: str
    truth: int
    found: int
    matched: int

    @property
    def error(self) -> int:
        """Above 0 where too many were counted."""
        return self.found - self.truth


@dataclass(frozen=True)
class ZoneScore:
    """Stays in a zone.

    Attributes:
        zone: Name of the zone.
        truth: Stays of the labelled people.
        found: Stays that were counted.
        matched: Those of them that are stays of labelled people: at the same time, by `LEAST_OVERLAP`.
        truth_mean_s: Mean length of the labelled people's stays; None without stays.
        found_mean_s: Mean length of the stays that were counted.
        mae_s: Mean absolute error of the length of matched stays.
    """

    zone: str
    truth: int
    found: int
    matched: int
    truth_mean_s: float | None
    found_mean_s: float | None
    mae_s: float | None


@dataclass(frozen=True)
class SceneScores:
    """Scores of the lines and zones of a scene, in its order."""

    lines: tuple[LineScore, ...]
    zones: tuple[ZoneScore, ...]


def score_scene(
    truth: Mapping[int, Sequence[Walker]],
    found: Mapping[int, Sequence[Walker]],
    frames: Iterable[int],
    scene: Scene,
    frame_wh: tuple[int, int],
    fps: float,
) -> SceneScores:
    """Compare crossings and stays.

    Args:
        truth: The labelled people of each frame.
        found: The people of each frame who were found.
        frames: Numbers of the frames; those without people, too.
        scene: Lines and zones.
        frame_wh: Width and height of the frames in pixels.
        fps: Frames per second; the numbers of frames count at this rate.
    """
    numbers = sorted(frames)
    true_crossings, true_stays = count_in_scene(truth, numbers, scene, frame_wh, fps)
    crossings, stays = count_in_scene(found, numbers, scene, frame_wh, fps)
    lines = []
    for line in scene.lines:
        for direction in ("forward", "backward"):
            expected, counted = (
                [each.ts_ms for each in every if (each.line, each.direction) == (line.name, direction)]
                for every in (true_crossings, crossings)
            )
            matched = _matched_times(expected, counted)
            lines.append(LineScore(line.name, direction, len(expected), len(counted), matched))
    zones = [
        _score_zone(zone.name, *([each for each in every if each.zone == zone.name] for every in (true_stays, stays)))
        for zone in scene.zones
    ]
    return SceneScores(tuple(lines), tuple(zones))


def count_in_scene(
    people: Mapping[int, Sequence[Walker]],
    frames: Sequence[int],
    scene: Scene,
    frame_wh: tuple[int, int],
    fps: float,
) -> tuple[list[Crossing], list[Stay]]:
    """The crossings and stays of people; whoever is in a zone in the last frame stays until then."""
    counter, state = SceneCounter(scene), CountingState()
    last_frame = {each.id: frame for frame in frames for each in people.get(frame, ())}
    crossings: list[Crossing] = []
    stays: list[Stay] = []
    for frame in frames:
        present = people.get(frame, ())
        ts_ms = round(1000 * (frame - frames[0]) / fps)
        # in the frame after their last one, tracks have ended; the loop below ends those of the last frame
        counts, state = counter.count(state, present, ts_ms, frame_wh, _ended(state, last_frame, frame))
        crossings += counts.crossings
        stays += [Stay(each.zone, each.ts_ms - round(1000 * each.seconds), each.ts_ms) for each in counts.exits]
    counts, _ = counter.count(state, (), ts_ms if frames else 0, frame_wh, list(state.tracks))
    crossings += counts.crossings
    stays += [Stay(each.zone, each.ts_ms - round(1000 * each.seconds), each.ts_ms) for each in counts.exits]
    return crossings, stays


def _ended(state: CountingState, last_frame: Mapping[int, int], frame: int) -> list[int]:
    return [track for track in state.tracks if last_frame[track] < frame]


def _matched_times(expected: Sequence[int], counted: Sequence[int]) -> int:
    """How many pairs of times there are, each used once, that differ by no more than the slack."""
    slack_ms = 1000 * SLACK_S
    edges = [
        (row, column, 1 + slack_ms - abs(a - b))
        for row, a in enumerate(expected)
        for column, b in enumerate(counted)
        if abs(a - b) <= slack_ms
    ]
    return len(assign(edges))


def _score_zone(zone: str, expected: Sequence[Stay], counted: Sequence[Stay]) -> ZoneScore:
    overlaps = [
        (row, column, share)
        for row, a in enumerate(expected)
        for column, b in enumerate(counted)
        if (share := _overlap(a, b)) >= LEAST_OVERLAP
    ]
    errors = [abs(expected[row].seconds - counted[column].seconds) for row, column in assign(overlaps)]
    return ZoneScore(
        zone,
        len(expected),
        len(counted),
        len(errors),
        _mean([each.seconds for each in expected]),
        _mean([each.seconds for each in counted]),
        _mean(errors),
    )


def _overlap(a: Stay, b: Stay) -> float:
    """The time that two stays have in common, as a share of the time of both together."""
    together = max(a.end_ms, b.end_ms) - min(a.start_ms, b.start_ms)
    common = min(a.end_ms, b.end_ms) - max(a.start_ms, b.start_ms)
    return 1.0 if together <= 0 else max(0.0, common / together)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
