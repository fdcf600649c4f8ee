from __future__ import annotations

import random
from itertools import pairwise
from math import hypot, sin

import pytest

from rededge_nb.analytics.paths import POINTS_MOST, TOLERANCE, UNITS, Path, PathPoint


def place_at(points: tuple[PathPoint, ...], ts_ms: int) -> tuple[float, float]:
    for before, after in pairwise(points):
        if before.ts_ms <= ts_ms <= after.ts_ms:
            share = (ts_ms - before.ts_ms) / (after.ts_ms - before.ts_ms)
            return before.x + share * (after.x - before.x), before.y + share * (after.y - before.y)
    raise AssertionError(f"{ts_ms} is not in the path")


def test_a_straight_walk_is_two_points() -> None:
    path = Path()
    for step in range(101):
        path.add(step * 100, 0.1 + 0.008 * step, 0.5)
    assert path.points(5000) == (PathPoint(5000, 0.1, 0.5), PathPoint(15000, 0.9, 0.5))


def test_a_stop_is_in_the_path() -> None:
    path = Path()
    for step in range(31):
        path.add(step * 100, 0.1 + 0.01 * min(step, 10) + 0.01 * max(step - 20, 0), 0.5)
    assert [point.ts_ms for point in path.points(0)] == pytest.approx([0, 1000, 2000, 3000], abs=200)


@pytest.mark.parametrize("seed", range(10))
def test_no_moment_is_further_away_than_the_tolerance(seed: int) -> None:
    chance = random.Random(seed)
    path, walked = Path(), []
    for step in range(80):
        x, y = 0.1 + 0.01 * step + chance.gauss(0, 0.001), 0.5 + 0.1 * sin(step / 15)
        path.add(step * 100, x, y)
        walked.append((step * 100, x, y))
    points = path.points(0)
    assert len(points) < POINTS_MOST
    for ts_ms, x, y in walked:
        there = place_at(points, ts_ms)
        # rounding to units comes on top
        assert hypot(there[0] - x, there[1] - y) <= (TOLERANCE + 3) / UNITS


def test_someone_who_stays_for_hours_needs_no_more_memory() -> None:
    chance = random.Random(1)
    path = Path()
    x = y = 0.5
    for step in range(10_000):
        x, y = min(max(x + chance.gauss(0, 0.01), 0), 1), min(max(y + chance.gauss(0, 0.01), 0), 1)
        path.add(step * 200, x, y)
    points = path.points(0)
    assert len(points) == POINTS_MOST
    assert points[0][1:] == pytest.approx((0.5, 0.5), abs=0.05)
    assert points[-1].ts_ms == 9_999 * 200
    assert points[-1][1:] == pytest.approx((x, y), abs=1e-4)
    assert [point.ts_ms for point in points] == sorted({point.ts_ms for point in points})


def test_weeks_fit_into_the_bytes() -> None:
    path = Path()
    for week in range(60):
        path.add(week * 7 * 24 * 3_600_000, 0.5 + 0.4 * (-1) ** week, 0.5)
    assert Path.from_bytes(path.to_bytes()).points(0) == path.points(0)


def test_bytes_hold_all_that_matters() -> None:
    chance = random.Random(2)
    kept, renewed = Path(), Path()
    for step in range(300):
        x, y = chance.random(), chance.random()
        kept.add(step * 40, x, y)
        renewed.add(step * 40, x, y)
        renewed = Path.from_bytes(renewed.to_bytes())
        assert renewed.points(7) == kept.points(7)


def test_places_outside_are_moved_to_the_rim() -> None:
    path = Path()
    path.add(0, -0.2, 1.3)
    assert path.points(0) == (PathPoint(0, 0.0, 1.0),)
