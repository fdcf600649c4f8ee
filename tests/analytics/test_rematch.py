from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest

from rededge_nb.analytics.detections import COLOURS
from rededge_nb.analytics.rematch import hellinger_distance
from rededge_nb.analytics.tracking import ColourSettings, FrameResult, Tracker, TrackerSettings
from rededge_nb.errors import ConfigurationError
from tests.analytics.drawn_scene import FRAME_WH
from tests.analytics.following import saved_and_loaded

WITH_COLOURS = TrackerSettings(colours=ColourSettings())
RED_AND_BLACK, BLUE_AND_GREY = (0, 11), (5, 21)
Person = tuple[float, tuple[int, int]]  # from left to right, and what they wear


def wearing(kinds: tuple[int, int], noise: float = 0.0) -> list[float]:
    """Mostly two colours, one of the torso and one of the legs, and something of all others."""
    chance = random.Random(noise)
    weights = [noise * chance.random() for _ in range(COLOURS)]
    for kind in kinds:
        weights[kind] += 1
    return [weight / sum(weights) for weight in weights]


def run(tracker: Tracker, moments: Mapping[range, Sequence[Person]], y: float = 400) -> list[FrameResult]:
    """One frame each 100 ms; in each range of times these people stand there."""
    results = []
    for ts_ms in range(0, max(span.stop for span in moments), 100):
        people = [person for span, there in moments.items() if ts_ms in span for person in there]
        boxes = [(x - 20, y - 100, x + 20, y, 0.9) for x, _ in people]
        colours = [wearing(kinds, noise=ts_ms / 1e5) for _, kinds in people]
        tracker = saved_and_loaded(tracker)
        results.append(tracker.step(boxes, ts_ms, FRAME_WH, colours))
    return results


def counts(results: list[FrameResult]) -> tuple[int, int]:
    different = [result.different for result in results]
    assert None not in different
    return sum(len(result.seen) for result in results), sum(number or 0 for number in different)


@pytest.mark.parametrize(("gap_ms", "moved"), [(3500, 0), (4500, 150), (2000, 180), (2000, 250)])
def test_somebody_who_comes_back_in_the_same_colours_is_not_counted_again(gap_ms: int, moved: float) -> None:
    back = range(1000 + gap_ms, 3000 + gap_ms)
    results = run(Tracker(WITH_COLOURS), {range(1000): [(300, RED_AND_BLACK)], back: [(300 + moved, RED_AND_BLACK)]})
    assert counts(results) == (2, 1)


@pytest.mark.parametrize(
    ("gap_ms", "moved", "kinds"),
    [
        (3500, 0, BLUE_AND_GREY),  # other colours
        (5500, 0, RED_AND_BLACK),  # too late
        (2000, 460, RED_AND_BLACK),  # too far away
    ],
)
def test_somebody_else_is_counted(gap_ms: int, moved: float, kinds: tuple[int, int]) -> None:
    back = range(1000 + gap_ms, 3000 + gap_ms)
    results = run(Tracker(WITH_COLOURS), {range(1000): [(300, RED_AND_BLACK)], back: [(300 + moved, kinds)]})
    assert counts(results) == (2, 2)


def test_one_person_is_taken_for_one_only() -> None:
    two = [(300, RED_AND_BLACK), (420, RED_AND_BLACK)]
    results = run(Tracker(WITH_COLOURS), {range(1000): [(300, RED_AND_BLACK)], range(4500, 6000): two})
    assert counts(results) == (3, 2)


def test_one_person_is_not_taken_again_by_somebody_who_comes_later() -> None:
    moments = {
        range(1000): [(300, RED_AND_BLACK)],
        range(1800, 3500): [(450, RED_AND_BLACK)],
        range(2400, 3501): [(180, RED_AND_BLACK)],
    }
    assert counts(run(Tracker(WITH_COLOURS), moments)) == (3, 2)


def test_places_in_a_frame_of_another_shape_are_not_compared() -> None:
    tracker = Tracker(WITH_COLOURS)
    box = (280, 300, 320, 400, 0.9)
    tracker.step([box], 0, FRAME_WH, [wearing(RED_AND_BLACK)])
    result = tracker.step([box], 1000, FRAME_WH[::-1], [wearing(RED_AND_BLACK)])
    assert (result.restarted, result.seen, result.different) == ("frame size", (2,), 1)


def test_when_the_lost_person_is_found_again_there_were_two() -> None:
    """Somebody in the same colours appears near by, and then the first one comes out from behind the post."""
    results = run(
        Tracker(WITH_COLOURS),
        {
            range(1000): [(300, RED_AND_BLACK)],
            range(2000, 5000): [(450, RED_AND_BLACK)],
            range(3500, 5001): [(300, RED_AND_BLACK)],
        },
    )
    assert [sum(result.different or 0 for result in part) for part in (results[:35], results[35:])] == [1, 1]
    assert counts(results)[0] == 2
    assert {person.id for person in results[-1].people} == {1, 2}


def test_after_a_pause_people_are_known_by_their_colours() -> None:
    tracker = Tracker(WITH_COLOURS)
    box = (280, 300, 320, 400, 0.9)
    for ts_ms in range(0, 1000, 100):
        tracker.step([box], ts_ms, FRAME_WH, [wearing(RED_AND_BLACK)])
    result = tracker.step([box], 4900, FRAME_WH, [wearing(RED_AND_BLACK)])
    assert (result.restarted, result.seen, result.different) == ("pause", (2,), 0)
    result = tracker.step([box], 4000, FRAME_WH, [wearing(RED_AND_BLACK)])
    assert (result.restarted, result.seen, result.different) == ("order", (3,), 1)


def test_the_estimate_changes_no_id() -> None:
    moments = {range(1000): [(300, RED_AND_BLACK)], range(4500, 6000): [(300, RED_AND_BLACK)]}
    plain, estimating = run(Tracker(), moments), run(Tracker(WITH_COLOURS), moments)
    assert {result.different for result in plain} == {None}
    assert [result._replace(different=None) for result in estimating] == plain


def test_people_without_colours_are_all_different() -> None:
    tracker = Tracker(WITH_COLOURS)
    results = [
        tracker.step([(280, 300, 320, 400, 0.9)] if ts_ms < 1000 or ts_ms > 4500 else [], ts_ms, FRAME_WH)
        for ts_ms in range(0, 6000, 100)
    ]
    assert counts(results) == (2, 2)


def test_distances() -> None:
    assert hellinger_distance(wearing(RED_AND_BLACK), wearing(RED_AND_BLACK)) == pytest.approx(0, abs=1e-7)
    assert hellinger_distance(wearing(RED_AND_BLACK), wearing(BLUE_AND_GREY)) == 1
    assert hellinger_distance(wearing(RED_AND_BLACK), wearing((0, 21))) == pytest.approx(0.5**0.5)


@pytest.mark.parametrize(
    ("colours", "message"),
    [
        ([[1.0]], "box 0 has 1 colours: 24 are needed"),
        ([[-0.5] + [0.0] * 23], "the colours of box 0 are"),
        ([[float("nan")] * 24], "the colours of box 0 are"),
        ([], "there are 0 colours for 1 boxes"),
    ],
)
def test_wrong_colours_are_refused(colours: list[list[float]], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Tracker(WITH_COLOURS).step([(0, 0, 40, 100, 0.9)], 0, FRAME_WH, colours)
