"""What holds for any boxes at any times: no crash, no id twice, no number that is none."""

from __future__ import annotations

import random
from math import isfinite

import pytest

from rededge_nb.analytics.tracking import FrameResult, Tracker
from tests.analytics.drawn_scene import Row
from tests.analytics.following import saved_and_loaded


def random_boxes(chance: random.Random, around: list[Row]) -> list[Row]:
    """New boxes, the last ones moved a little, the same one twice, tiny, huge and flat ones."""
    rows: list[Row] = []
    for row in around:
        if chance.random() < 0.8:
            moved = [side + chance.gauss(0, 5) for side in row[:4]]
            rows.append((*moved, min(max(row[4] + chance.gauss(0, 0.1), 0), 1)))  # type: ignore[arg-type]
    for _ in range(chance.choice([0, 0, 1, 3, 20])):
        x, y, size = chance.uniform(-200, 900), chance.uniform(-200, 700), chance.choice([0.0, 1e-6, 0.5, 30, 100, 5e4])
        rows.append((x, y, x + size * chance.random(), y + size, chance.random()))
    if rows and chance.random() < 0.3:
        rows.append(chance.choice(rows))
    chance.shuffle(rows)
    return rows[:80]


def check(result: FrameResult, ts_ms: int, seen_before: set[int]) -> None:
    ids = [person.id for person in result.people]
    assert len(set(ids)) == len(ids)
    assert not seen_before & set(result.seen)
    for person in result.people:
        x1, y1, x2, y2 = person.box
        assert all(isfinite(side) for side in person.box)
        assert x1 < x2
        assert y1 < y2
        assert 0 <= person.confidence <= 1
        assert person.first_ms <= ts_ms
    for track in result.finished:
        assert track.first_ms <= track.last_ms
        times = [point.ts_ms for point in track.path]
        assert times == sorted(times)
        assert (times[0], times[-1]) == (track.first_ms, track.last_ms)
        assert all(0 <= point.x <= 1 and 0 <= point.y <= 1 for point in track.path)


@pytest.mark.parametrize("seed", range(60))
def test_any_boxes_at_any_times(seed: int) -> None:
    chance = random.Random(seed)
    tracker, ts_ms = Tracker(), chance.randrange(2**41)
    rows: list[Row] = []
    frame_wh = (640, 480)
    seen: set[int] = set()
    shown: set[int] = set()
    finished: list[int] = []
    for _ in range(80):
        rows = random_boxes(chance, rows)
        ts_ms += chance.choice([0, 1, 33, 40, 100, 100, 100, 500, 2900, 3500, -20])
        if chance.random() < 0.03:
            frame_wh = chance.choice([(640, 480), (1280, 960), (480, 640), (2, 2)])
        result = tracker.step(rows, ts_ms, frame_wh)
        check(result, ts_ms, seen)
        seen.update(result.seen)
        shown.update(person.id for person in result.people)
        finished += [track.id for track in result.finished]
        if chance.random() < 0.2:
            tracker = saved_and_loaded(tracker)
    finished += [track.id for track in tracker.finish()]
    assert sorted(seen) == list(range(1, tracker.next_id))
    assert shown <= seen
    assert sorted(finished) == sorted(seen)
