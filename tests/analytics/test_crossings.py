"""Crossings of scripted walkers: each case is exact at four frame rates, with and without jitter of the boxes.

The line `door` stands upright in the middle, from (384, 460) up to (384, 120), so that forward is from left to right.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rededge_nb.analytics.scene import Scene
from tests.analytics.running import line, run
from tests.analytics.walkers import HEIGHT, RATES, WIDTH, Frame, Path, Walker, frames, stop, straight, way

DOOR = line((384, 460), (384, 120))
ACROSS = line((0, 300), (WIDTH, 300))  # from the left to the right edge: forward is downwards
SLANTED = line((250, 450), (550, 150))
NEAR_RIGHT_EDGE = line((748, 500), (748, 50))
NEAR_BOTTOM = line((100, 562), (700, 562))


@dataclass(frozen=True)
class Case:
    name: str
    scene: Scene
    walkers: list[Walker]
    forward: int
    backward: int

    def __str__(self) -> str:
        return self.name


CASES = [
    Case("left to right", DOOR, [Walker(straight(150, 650))], 1, 0),
    Case("right to left", DOOR, [Walker(straight(650, 150))], 0, 1),
    Case("there and back", DOOR, [Walker(way((150, 300), (600, 300), (150, 300)))], 1, 1),
    Case("three times there and back", DOOR, [Walker(way((150, 300), *[(600, 300), (150, 300)] * 3))], 3, 3),
    Case(
        "ends on the other side after three crossings",
        DOOR,
        [Walker(way((150, 300), (550, 300), (200, 300), (650, 300)))],
        2,
        1,
    ),
    Case("turns back before the line", DOOR, [Walker(way((150, 300), (344, 300), (150, 300)))], 0, 0),
    Case("stops before the line for 5 s", DOOR, [Walker(stop(way((150, 300), (350, 300), (150, 300)), 1, 5))], 0, 0),
    Case(
        "stops just beyond the line, goes back",
        DOOR,
        [Walker(stop(way((150, 300), (400, 300), (150, 300)), 1, 3))],
        1,
        1,
    ),
    Case(
        "stops just beyond the line and stays",
        DOOR,
        [Walker(stop(way((150, 300), (400, 300), (401, 300)), 1, 20))],
        1,
        0,
    ),
    Case("stands near the line and never crosses", DOOR, [Walker([(0, 350, 300), (20, 350, 300)])], 0, 0),
    Case("stands on the line all the time", DOOR, [Walker([(0, 384, 300), (20, 384, 300)])], 0, 0),
    Case("starts on the line, goes right", DOOR, [Walker(way((384, 300), (650, 300)))], 0, 0),
    Case("starts on the line, goes left", DOOR, [Walker(way((384, 300), (150, 300)))], 0, 0),
    Case(
        "starts on the line, goes right and back through", DOOR, [Walker(way((384, 300), (600, 300), (150, 300)))], 0, 1
    ),
    Case("starts near the line, waits, crosses", DOOR, [Walker(stop(way((394, 300), (150, 300)), 0, 3))], 0, 1),
    Case("passes above the upper end", DOOR, [Walker(straight(150, 650, 105))], 0, 0),
    Case("passes below the lower end", DOOR, [Walker(straight(150, 650, 475))], 0, 0),
    Case("passes just inside the lower end", DOOR, [Walker(straight(150, 650, 445))], 1, 0),
    Case("passes just inside the upper end", DOOR, [Walker(straight(650, 150, 135))], 0, 1),
    Case(
        "walks around the end and back",
        DOOR,
        [Walker(way((200, 300), (250, 530), (550, 530), (600, 300), (550, 530), (250, 530), (200, 300)))],
        0,
        0,
    ),
    Case(
        "around the end, then back through the line",
        DOOR,
        [Walker(way((200, 300), (250, 530), (550, 530), (600, 300), (150, 300)))],
        0,
        1,
    ),
    Case(
        "circles around the end twice",
        DOOR,
        [Walker(way((200, 300), *[(600, 300), (550, 530), (250, 530), (200, 300)] * 2))],
        2,
        0,
    ),
    Case("walks along the line beside it", DOOR, [Walker(way((340, 150), (340, 450), (340, 150)))], 0, 0),
    Case("walks along on the line itself", DOOR, [Walker(way((384, 150), (384, 450)))], 0, 0),
    Case(
        "comes from the left, walks along on the line, goes on",
        DOOR,
        [Walker(way((200, 200), (384, 200), (384, 400), (600, 400)))],
        1,
        0,
    ),
    Case(
        "zigzag along the line", DOOR, [Walker(way((300, 140), (470, 200), (300, 260), (470, 320), (300, 380)))], 2, 2
    ),
    Case("hidden for 0.2 s at the line", DOOR, [Walker(straight(150, 650), hidden=[(2.4, 2.6)])], 1, 0),
    Case("hidden for 1 s while crossing", DOOR, [Walker(straight(150, 650), hidden=[(2.0, 3.0)])], 1, 0),
    Case("hidden for 2 s while crossing", DOOR, [Walker(straight(150, 650), hidden=[(1.5, 3.5)])], 1, 0),
    Case("hidden just after crossing", DOOR, [Walker(straight(150, 650), hidden=[(2.6, 3.4)])], 1, 0),
    Case("hidden while walking around the end", DOOR, [Walker(way((200, 480), (600, 480)), hidden=[(1.4, 2.6)])], 0, 0),
    Case(
        "stops behind a post before the line, turns back",
        DOOR,
        [Walker(stop(way((150, 300), (365, 300), (150, 300)), 1, 1.5), hidden=[(2.1, 3.9)])],
        0,
        0,
    ),
    Case(
        "lost for 5 s while crossing: two tracks, none crosses",
        DOOR,
        [Walker(stop(way((100, 300), (380, 300), (650, 300)), 1, 3), hidden=[(2.0, 7.0)])],
        0,
        0,
    ),
    Case("disappears in front of the line", DOOR, [Walker(straight(150, 370))], 0, 0),
    Case(
        "leans over the line for a moment",
        DOOR,
        [Walker([(0, 150, 300), (2, 340, 300), (3, 378, 300), (3.1, 390, 300), (3.2, 378, 300), (6, 150, 300)])],
        0,
        0,
    ),
    Case("runs", DOOR, [Walker(straight(100, 700, speed=380))], 1, 0),
    Case("creeps", DOOR, [Walker(straight(330, 440, speed=12))], 1, 0),
    Case(
        "two in opposite directions at once", DOOR, [Walker(straight(150, 650)), Walker(straight(650, 150, 320))], 1, 1
    ),
    Case("a group of five", DOOR, [Walker(straight(120, 650, 260 + 25 * i, start=0.2 * i)) for i in range(5)], 5, 0),
    Case("small and far away", DOOR, [Walker(straight(300, 470, 200, speed=25), height=30)], 1, 0),
    Case("large and near", DOOR, [Walker(straight(120, 680, 430, speed=250), height=330)], 1, 0),
    Case(
        "comes nearer through a line across the frame",
        ACROSS,
        [Walker(way((350, 200), (420, 520), speed=70), height=(60, 200))],
        1,
        0,
    ),
    Case(
        "goes away through a line across the frame",
        ACROSS,
        [Walker(way((420, 520), (350, 200), speed=70), height=(200, 60))],
        0,
        1,
    ),
    Case(
        "walks along a line across the frame",
        ACROSS,
        [Walker(straight(60, 700, 325)), Walker(straight(700, 60, 275))],
        0,
        0,
    ),
    Case("through a slanted line", SLANTED, [Walker(straight(150, 650, 300))], 1, 0),
    Case("along a slanted line", SLANTED, [Walker(way((290, 455), (590, 155)))], 0, 0),
    Case("leaves the frame just beyond the line", NEAR_RIGHT_EDGE, [Walker(straight(500, 900))], 1, 0),
    Case("leaves beside the end of the line", line((748, 300), (748, 50)), [Walker(straight(500, 900, 400))], 0, 0),
    Case("enters the frame and crosses at once", line((660, 500), (660, 50)), [Walker(straight(900, 300))], 0, 1),
    Case("leaves at the bottom just beyond the line", NEAR_BOTTOM, [Walker(way((400, 300), (400, 720)))], 1, 0),
    Case(
        "enters at the bottom through the line",
        line((100, 530), (700, 530)),
        [Walker(way((400, 720), (400, 300)))],
        0,
        1,
    ),
    Case(
        "walks along the edge of the frame, beside the line",
        NEAR_RIGHT_EDGE,
        [Walker(way((700, 200), (700, 450)))],
        0,
        0,
    ),
    Case(
        "feet below the frame, line up to the edge",
        line((384, HEIGHT - 4), (384, 200)),
        [Walker(straight(120, 650, 590), height=200)],
        1,
        0,
    ),
]

ON_THE_LINE = stop(way((150, 300), (384, 300), (650, 300)), 1, 30)
TO_THE_LINE_AND_BACK = stop(way((150, 300), (384, 300), (150, 300)), 1, 30)
SWAYING: Path = [(2.5 + 0.1 * i, 384 + (4 if i % 2 else -4), 290) for i in range(300)]


def test_there_are_enough_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize(("fps", "drop_third"), RATES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases_are_exact(case: Case, fps: int, drop_third: bool) -> None:
    counted = run(case.scene, frames(case.walkers, fps, drop_third=drop_third))
    assert counted.crossed() == (case.forward, case.backward)


@pytest.mark.parametrize(("jitter", "slow_s"), [(0.01, 0.0), (0.02, 0.3), (0.03, 0.0), (0.03, 0.3)])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases_are_exact_with_jitter(case: Case, jitter: float, slow_s: float) -> None:
    for seed, (fps, drop_third) in enumerate(RATES):
        walking = frames(case.walkers, fps, drop_third=drop_third, jitter=jitter, slow_s=slow_s, seed=seed)
        assert run(case.scene, walking).crossed() == (case.forward, case.backward), (fps, drop_third)


@pytest.mark.parametrize("slow_s", [0.0, 0.3], ids=["fast", "slow"])
@pytest.mark.parametrize("jitter", [0.0, 0.01, 0.02, 0.03])
@pytest.mark.parametrize(("fps", "drop_third"), RATES)
def test_who_trembles_on_the_line_and_goes_on_is_counted_once(
    fps: int, drop_third: bool, jitter: float, slow_s: float
) -> None:
    for path in (ON_THE_LINE, [(0.0, 150.0, 300.0), *SWAYING, (35.0, 650.0, 300.0)]):
        for seed in range(5):
            walking = frames([Walker(path)], fps, drop_third=drop_third, jitter=jitter, slow_s=slow_s, seed=seed)
            assert run(DOOR, walking).crossed() == (1, 0)


@pytest.mark.parametrize("slow_s", [0.0, 0.3], ids=["fast", "slow"])
@pytest.mark.parametrize("jitter", [0.0, 0.01, 0.02, 0.03])
@pytest.mark.parametrize(("fps", "drop_third"), RATES)
def test_who_trembles_on_the_line_and_goes_back_is_not_counted_again_and_again(
    fps: int, drop_third: bool, jitter: float, slow_s: float
) -> None:
    for path in (TO_THE_LINE_AND_BACK, [(0.0, 150.0, 300.0), *SWAYING, (35.0, 150.0, 300.0)]):
        for seed in range(5):
            walking = frames([Walker(path)], fps, drop_third=drop_third, jitter=jitter, slow_s=slow_s, seed=seed)
            crossed = run(DOOR, walking).crossed()
            # a jitter that leaves the feet beyond the line for 0.3 s cannot be told from a step beyond it
            assert crossed in ((0, 0), (1, 1))
            assert crossed == (0, 0) or jitter >= 0.02


@pytest.mark.parametrize("fps", [10, 25])
def test_who_stands_on_the_line_for_ten_minutes_is_hardly_ever_counted(fps: int) -> None:
    standing = [Walker([(0, 150, 300), (2.5, 384, 300), (600, 384, 300)])]
    crossed = run(DOOR, frames(standing, fps, jitter=0.02, slow_s=0.2)).crossed()
    assert sum(crossed) <= 1


def test_every_third_frame_only() -> None:
    for case in CASES:
        if case.name != "leans over the line for a moment":
            walking = (frame for i, frame in enumerate(frames(case.walkers, 25)) if i % 3 == 0 or frame.finished)
            assert run(case.scene, walking).crossed() == (case.forward, case.backward), case.name


def test_a_reversed_line_exchanges_the_directions() -> None:
    for case in CASES:
        counted = run(case.scene.reversed_line("door"), frames(case.walkers, 10))
        assert counted.crossed() == (case.backward, case.forward), case.name


@pytest.mark.parametrize(
    ("a", "b", "start", "end"),
    [
        ((0, 300), (768, 300), (384, 150), (384, 500)),  # drawn from left to right: forward is downwards
        ((768, 300), (0, 300), (384, 500), (384, 150)),  # drawn from right to left: forward is upwards
        ((384, 0), (384, 576), (600, 300), (150, 300)),  # drawn downwards: forward is to the left
        ((384, 576), (384, 0), (150, 300), (600, 300)),  # drawn upwards: forward is to the right
    ],
)
def test_forward_is_from_the_left_hand_of_who_walks_along_the_line(
    a: tuple[float, float], b: tuple[float, float], start: tuple[float, float], end: tuple[float, float]
) -> None:
    assert run(line(a, b), frames([Walker(way(start, end))], 10)).crossed() == (1, 0)


def test_a_crossing_has_the_time_of_the_first_frame_beyond_the_line() -> None:
    counted = run(DOOR, frames([Walker(straight(150, 650))], 25, start_ms=5000))
    (decided,) = [counts for counts in counted.frames if counts.crossings]
    (crossing,) = decided.crossings
    assert (crossing.track, crossing.line, crossing.direction) == (1, "door", "forward")
    assert crossing.ts_ms == pytest.approx(5000 + 1000 * (384 - 150) / 95, abs=40)
    assert 300 <= decided.ts_ms - crossing.ts_ms <= 340


def test_who_leaves_the_frame_beyond_the_line_is_counted_when_the_track_ends() -> None:
    counted = run(NEAR_RIGHT_EDGE, frames([Walker(straight(500, 900))], 25, start_ms=0))
    (decided,) = [counts for counts in counted.frames if counts.crossings]
    assert [summary.track for summary in decided.finished] == [1]
    assert decided.ts_ms - decided.crossings[0].ts_ms > 3000
    assert decided.finished[0].crossed == {"door": (1, 0)}


def test_who_leaves_the_frame_is_counted_by_the_last_box_or_by_the_predicted_one() -> None:
    leaving = list(frames([Walker(straight(500, 900))], 25))
    seen_only = [Frame(f.ts_ms, [p for p in f.people if p.confidence > 0], f.finished) for f in leaving]
    assert run(NEAR_RIGHT_EDGE, seen_only).crossed() == (1, 0)
    # last seen 8 pixels beyond the line, 28 pixels from the edge; the prediction reaches the edge
    early = line((708, 500), (708, 50))
    slim = [Walker(straight(500, 716, speed=60), height=60)]
    assert run(early, frames(slim, 25)).crossed() == (0, 0)
    fast = [Walker(straight(300, 730, speed=300), height=60)]
    assert run(early, frames(fast, 10)).crossed() == (1, 0)


@pytest.mark.parametrize("side", [-1, 1])
def test_who_follows_the_line_past_its_end_has_not_crossed_it(side: int) -> None:
    path = way((384 + 150 * side, 300), (384, 300), (384, 530), (384 - 150 * side, 530))
    assert run(DOOR, frames([Walker(path)], 25)).crossed() == (0, 0)


def test_a_track_that_ends_inside_the_frame_just_after_the_line_is_not_counted() -> None:
    path = [(0.0, 150.0, 300.0), (2.6, 392.0, 300.0)]
    assert run(DOOR, frames([Walker(path)], 25)).crossed() == (0, 0)


def test_a_track_that_ends_at_an_edge_that_is_not_beyond_the_line_is_not_counted() -> None:
    upright = line((384, HEIGHT), (384, 200))
    path = [(0.0, 340.0, 560.0), (0.5, 375.0, 570.0), (0.7, 392.0, 574.0)]
    assert run(upright, frames([Walker(path)], 25)).crossed() == (0, 0)


def test_two_lines_are_counted_independently() -> None:
    scene = line((500, 460), (500, 120), "second", DOOR)
    counted = run(scene, frames([Walker(way((150, 300), (440, 300), (150, 300)))], 10))
    assert counted.crossed("door") == (1, 1)
    assert counted.crossed("second") == (0, 0)


def test_lines_that_cross_each_other() -> None:
    scene = line((200, 300), (600, 300), "second", DOOR)
    counted = run(scene, frames([Walker(way((250, 180), (550, 430)))], 10))
    assert counted.crossed("door") == (1, 0)
    assert counted.crossed("second") == (1, 0)
