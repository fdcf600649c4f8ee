"""Zones and scripted walkers: entries, exits, dwell times and people inside, at four frame rates, also with jitter.

The zone `desk` is the rectangle from (284, 200) to (484, 400).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import atan2, hypot, pi

import pytest

from rededge_nb.analytics.geometry import polygon_problem, turn
from rededge_nb.analytics.occupancy import PlacedZone, place_zone
from rededge_nb.analytics.scene import Scene, Zone
from tests.analytics.running import Counted, run, zone
from tests.analytics.walkers import HEIGHT, RATES, WIDTH, Walker, frames, stop, straight, way

DESK = zone((284, 200), (484, 200), (484, 400), (284, 400))
HORSESHOE = zone(  # open at the top
    (150, 150), (280, 150), (280, 380), (480, 380), (480, 150), (610, 150), (610, 500), (150, 500)
)
TRIANGLE = zone((200, 480), (384, 150), (568, 480))
RIGHT_EDGE = zone((600, 150), (WIDTH, 150), (WIDTH, 520), (600, 520))
BOTTOM = zone((200, 480), (560, 480), (560, HEIGHT), (200, HEIGHT))
DRAWN_BY_HAND = zone((200, 480), (560, 480), (560, HEIGHT - 5), (200, HEIGHT - 5))
WHOLE_FRAME = zone((0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT))
STRIP = zone((284, 290), (484, 290), (484, 310), (284, 310))


@dataclass(frozen=True)
class Case:
    """A case; `dwells` are the seconds of each stay, `most` the largest number of people inside at a time."""

    name: str
    scene: Scene
    walkers: list[Walker]
    dwells: list[float]
    most: int = 1

    def __str__(self) -> str:
        return self.name


THROUGH_S = 200 / 95  # the width of the desk at walking speed

CASES = [
    Case("walks through", DESK, [Walker(straight(100, 700))], [THROUGH_S]),
    Case("walks past above", DESK, [Walker(straight(100, 700, 180))], [], 0),
    Case("walks past below", DESK, [Walker(straight(100, 700, 420))], [], 0),
    Case("stands outside near the border", DESK, [Walker([(0, 265, 300), (20, 265, 300)])], [], 0),
    Case("waits inside", DESK, [Walker(stop(way((100, 300), (384, 300), (700, 300)), 1, 30))], [30 + THROUGH_S]),
    Case("walks in and out on the same side", DESK, [Walker(way((100, 300), (384, 300), (100, 300)))], [THROUGH_S]),
    Case("in and out three times", DESK, [Walker(way((100, 300), *[(384, 300), (100, 300)] * 3))], [THROUGH_S] * 3),
    Case("is inside from the start", DESK, [Walker(stop(way((384, 300), (700, 300)), 0, 10))], [10 + 100 / 95]),
    Case("is inside from the start until the track ends", DESK, [Walker([(0, 384, 300), (10, 384, 300)])], [10]),
    Case("comes in, and the track ends inside", DESK, [Walker(straight(100, 384))], [100 / 95]),
    Case("cuts a corner for a moment", DESK, [Walker(way((270, 180), (284, 215), (250, 215)))], [], 0),
    Case(
        "steps in for 0.2 s",
        DESK,
        [Walker([(0, 230, 300), (2, 280, 300), (2.1, 290, 300), (2.2, 270, 300), (5, 150, 300)])],
        [],
        0,
    ),
    Case(
        "leans out for 0.2 s",
        DESK,
        [
            Walker(
                [
                    (0, 100, 300),
                    (3, 384, 300),
                    (8, 480, 300),
                    (8.1, 490, 300),
                    (8.2, 478, 300),
                    (10, 384, 300),
                    (13, 100, 300),
                ]
            )
        ],
        [9.11],
    ),
    Case(
        "hidden for 1 s inside",
        DESK,
        [Walker(stop(way((100, 300), (384, 300), (700, 300)), 1, 10), hidden=[(6, 7)])],
        [10 + THROUGH_S],
    ),
    Case(
        "hidden for 2 s while leaving",
        DESK,
        [Walker(stop(way((100, 300), (384, 300), (700, 300)), 1, 5), hidden=[(8.5, 10.5)])],
        [8.5],
        1,
    ),
    Case("jumps over the zone while hidden", DESK, [Walker(straight(100, 700, speed=190), hidden=[(0.9, 2.1)])], [], 0),
    Case(
        "two at the same time", DESK, [Walker(straight(100, 700)), Walker(straight(700, 100, 340))], [THROUGH_S] * 2, 2
    ),
    Case(
        "a group of four",
        DESK,
        [Walker(stop(way((100, 250 + 30 * i), (350, 250 + 30 * i), (100, 250 + 30 * i)), 1, 5)) for i in range(4)],
        [5 + 132 / 95] * 4,
        4,
    ),
    Case(
        "one after the other", DESK, [Walker(straight(100, 700)), Walker(straight(100, 700, start=8))], [THROUGH_S] * 2
    ),
    Case("runs through", DESK, [Walker(straight(50, 740, speed=300))], [200 / 300]),
    Case("through the two arms of a horseshoe", HORSESHOE, [Walker(straight(60, 710, 280))], [130 / 95] * 2),
    Case("stands in the notch of a horseshoe", HORSESHOE, [Walker([(0, 380, 300), (15, 380, 300)])], [], 0),
    Case("through the bottom of a horseshoe", HORSESHOE, [Walker(straight(60, 710, 440))], [460 / 95]),
    Case("through a triangle", TRIANGLE, [Walker(straight(100, 680, 400))], [278.8 / 95]),
    Case("leaves the frame from inside", RIGHT_EDGE, [Walker(straight(450, 900, 300))], [175 / 95]),
    Case("enters the frame inside", RIGHT_EDGE, [Walker(straight(900, 450, 300))], [155 / 95]),
    Case(
        "waits at the edge of the frame",
        RIGHT_EDGE,
        [Walker(stop(way((450, 300), (755, 300), (450, 300)), 1, 10))],
        [10 + 2 * 155 / 95],
    ),
    Case("feet at the lower edge", BOTTOM, [Walker(straight(60, 710, HEIGHT - 1))], [360 / 95]),
    Case("feet below the lower edge", BOTTOM, [Walker(straight(60, 710, HEIGHT + 40), height=180)], [360 / 95]),
    Case(
        "feet below the lower edge, zone almost up to it",
        DRAWN_BY_HAND,
        [Walker(straight(60, 710, HEIGHT + 40), height=180)],
        [360 / 95],
    ),
    Case("leaves at the bottom", BOTTOM, [Walker(way((380, 350), (380, 800)))], [175 / 95]),
    Case("a zone of the whole frame", WHOLE_FRAME, [Walker([(0, 380, 400), (10, 380, 400)])], [10]),
    Case(
        "stops on a narrow strip",
        STRIP,
        [Walker(stop(way((100, 300), (384, 300), (700, 300)), 1, 10))],
        [10 + THROUGH_S],
    ),
    Case(
        "small and far away",
        zone((300, 180), (400, 180), (400, 220), (300, 220)),
        [Walker(straight(250, 450, 200, speed=25), height=30)],
        [4],
    ),
]


def tolerance_s(fps: int, drop_third: bool) -> float:
    """A track starts with the third frame; entry and exit are seen a frame late at most."""
    gap = (2 if drop_third else 1) / fps
    return 3 * gap + 0.02


@pytest.mark.parametrize(("fps", "drop_third"), RATES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases_are_exact(case: Case, fps: int, drop_third: bool) -> None:
    check(case, run(case.scene, frames(case.walkers, fps, drop_third=drop_third)), tolerance_s(fps, drop_third))


@pytest.mark.parametrize(("jitter", "slow_s"), [(0.01, 0.0), (0.02, 0.3), (0.03, 0.0), (0.03, 0.3)])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases_are_exact_with_jitter(case: Case, jitter: float, slow_s: float) -> None:
    for seed, (fps, drop_third) in enumerate(RATES):
        walking = frames(case.walkers, fps, drop_third=drop_third, jitter=jitter, slow_s=slow_s, seed=seed)
        check(case, run(case.scene, walking), tolerance_s(fps, drop_third) + 0.3)


def check(case: Case, counted: Counted, within_s: float) -> None:
    found = counted.dwells.get("desk", [])
    assert len(found) == len(case.dwells), found
    assert sorted(found) == pytest.approx(sorted(case.dwells), abs=within_s)
    assert counted.entries["desk"] == len(case.dwells)
    assert max(counted.people["desk"]) == case.most
    assert counted.people["desk"][-1] == 0


@pytest.mark.parametrize("slow_s", [0.0, 0.3], ids=["fast", "slow"])
@pytest.mark.parametrize("jitter", [0.01, 0.02, 0.03])
@pytest.mark.parametrize(("fps", "drop_third"), RATES)
def test_who_trembles_at_the_border_does_not_enter_again_and_again(
    fps: int, drop_third: bool, jitter: float, slow_s: float
) -> None:
    standing = [Walker(stop(way((100, 300), (284, 300), (100, 300)), 1, 60))]
    for seed in range(3):
        counted = run(DESK, frames(standing, fps, drop_third=drop_third, jitter=jitter, slow_s=slow_s, seed=seed))
        assert counted.entries["desk"] <= (1 if jitter < 0.03 else 2)


def test_overlapping_zones_are_counted_independently() -> None:
    scene = zone((384, 250), (600, 250), (600, 350), (384, 350), name="till", scene=DESK)
    counted = run(scene, frames([Walker(straight(100, 700))], 25))
    assert counted.dwells["desk"] == [pytest.approx(200 / 95, abs=0.1)]
    assert counted.dwells["till"] == [pytest.approx(216 / 95, abs=0.1)]
    both = [a and b for a, b in zip(counted.people["desk"], counted.people["till"], strict=True)]
    assert sum(both) == pytest.approx(25 * 100 / 95, abs=12)


def test_entry_and_exit_have_the_times_of_the_first_frames_inside_and_outside() -> None:
    counted = run(DESK, frames([Walker(straight(100, 700))], 25, start_ms=0))
    (entry,) = [entry for counts in counted.frames for entry in counts.entries]
    (leaving,) = [leaving for counts in counted.frames for leaving in counts.exits]
    assert (entry.track, entry.zone) == (leaving.track, leaving.zone) == (1, "desk")
    assert entry.ts_ms == pytest.approx(1000 * 184 / 95, abs=41)
    assert leaving.ts_ms == pytest.approx(1000 * 384 / 95, abs=41)
    assert leaving.seconds == (leaving.ts_ms - entry.ts_ms) / 1000


def test_longest_is_the_one_who_is_there_for_the_longest_time() -> None:
    first, second = (
        Walker(stop(way((100, 300), (384, 300), (700, 300)), 1, 10)),
        Walker([(5, 400, 350), (20, 400, 350)]),
    )
    counted = run(DESK, frames([first, second], 10, start_ms=0))
    at = {counts.ts_ms: counts.zones["desk"] for counts in counted.frames}
    assert at[1000] == (0, 0.0, None)
    assert at[4000][2] == 1
    assert at[4000][1] == pytest.approx(4 - 184 / 95, abs=0.15)
    assert at[9000][:1] == (2,)
    assert at[9000][2] == 1
    assert at[18000][2] == 2
    assert at[18000][1] == pytest.approx(13, abs=0.3)


def test_a_hidden_person_is_not_counted_but_keeps_the_dwell_time() -> None:
    walker = Walker(stop(way((100, 300), (384, 300), (700, 300)), 1, 10), hidden=[(6, 8)])
    counted = run(DESK, frames([walker], 10, start_ms=0))
    at = {counts.ts_ms: counts.zones["desk"] for counts in counted.frames}
    assert at[6200].people == 1  # the tracker predicts the box
    assert at[7000].people == 0
    assert at[7000].longest_s == pytest.approx(5.9 - 184 / 95, abs=0.15)
    assert at[8000].people == 1
    assert counted.entries["desk"] == 1


def test_a_zone_of_the_whole_frame_has_the_people_of_the_frame() -> None:
    walkers = [Walker(straight(-60, 830, 250 + 60 * i, start=i)) for i in range(4)]
    walkers += [Walker(straight(-60, 830, 400 + 100 * i, start=5 + i), height=300) for i in range(3)]
    walking = list(frames(walkers, 10))
    assert run(WHOLE_FRAME, walking).people["desk"] == [len(frame.people) for frame in walking]


def test_a_track_that_ends_just_outside_left_when_it_was_first_seen_there() -> None:
    counted = run(DESK, frames([Walker([(0, 380, 300), (5, 480, 300), (5.2, 494, 300)])], 25, start_ms=0))
    (leaving,) = [leaving for counts in counted.frames for leaving in counts.exits]
    assert leaving.ts_ms == 5080


def test_the_summary_of_a_track_adds_its_stays() -> None:
    counted = run(DESK, frames([Walker(way((100, 300), *[(384, 300), (100, 300)] * 2))], 25))
    (summary,) = [summary for counts in counted.frames for summary in counts.finished]
    assert summary.stayed == {"desk": pytest.approx(400 / 95, abs=0.2)}
    assert summary.crossed == {}


def random_polygon(rng: random.Random, low: int, high: int) -> list[tuple[int, int]]:
    """A polygon with corners at whole numbers, convex or not."""
    while True:
        points = [(rng.randint(low, high), rng.randint(low, high)) for _ in range(rng.randint(3, 7))]
        if polygon_problem(points) is None:
            return points


def winding_number(points: list[tuple[int, int]], x: float, y: float) -> float:
    """How often a polygon goes around a point: another method than that of `PlacedZone.contains`."""
    total = 0.0
    for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True):
        angle = atan2(y2 - y, x2 - x) - atan2(y1 - y, x1 - x)
        total += (angle + pi) % (2 * pi) - pi
    return abs(total) / (2 * pi)


def test_points_inside_polygons_also_at_the_height_of_corners() -> None:
    rng = random.Random(3)
    for _ in range(200):
        points = random_polygon(rng, 0, 16)
        placed = placed_zone(points)
        for x in range(-1, 18):
            for y in range(-1, 18):
                if placed_distance(points, x, y) > 0.01:  # on the border it may be either
                    assert placed.contains(x, y) == (winding_number(points, x, y) > 0.5), (points, x, y)


def test_distances_from_the_border() -> None:
    rng = random.Random(4)
    for _ in range(200):
        points = random_polygon(rng, 2, 14)  # away from the edges of the frame
        placed = placed_zone(points)
        for _ in range(20):
            x, y = rng.uniform(0, 16), rng.uniform(0, 16)
            assert placed.distance(x, y) == pytest.approx(placed_distance(points, x, y))


def placed_zone(points: list[tuple[int, int]]) -> PlacedZone:
    """A zone in a frame of 16 x 16: sixteenths have no rounding errors in five decimals."""
    return place_zone(Zone("z", tuple((x / 16, y / 16) for x, y in points)), (16, 16))


def placed_distance(points: list[tuple[int, int]], x: float, y: float) -> float:
    """Distance from the nearest edge: of the corner, or of the foot of the perpendicular where that is on the edge."""
    nearest = min(hypot(x - a, y - b) for a, b in points)
    for a, b in zip(points, points[1:] + points[:1], strict=True):
        length = hypot(b[0] - a[0], b[1] - a[1])
        along = ((x - a[0]) * (b[0] - a[0]) + (y - a[1]) * (b[1] - a[1])) / length
        if 0 <= along <= length:
            nearest = min(nearest, abs(turn(a, b, (x, y))) / length)
    return nearest
