from __future__ import annotations

import random

import numpy as np
import pytest

from rededge_nb.analytics.tracking import ONE_SIZE, TWO_SIZES, FrameResult, Person, Tracker, TrackerSettings
from rededge_nb.errors import ConfigurationError
from tests.analytics.drawn_scene import CROWD, FRAME_WH, YARD, Row, Scene, Stop, Walker, frames, times
from tests.analytics.following import follow, walk

EVERYONE = len(YARD.walkers)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fps", [30, 25, 10, 7])
def test_ids_are_exact_for_people_who_cross_stop_and_hide(fps: float, seed: int) -> None:
    story = follow(frames(YARD, times(YARD, fps), seed))
    assert len(story.seen) == len(story.ids) == EVERYONE
    assert story.switches == 0


@pytest.mark.parametrize("seed", range(10))
def test_at_five_frames_a_second_one_switch_at_most(seed: int) -> None:
    story = follow(frames(YARD, times(YARD, 5), seed))
    assert story.switches <= 1
    assert EVERYONE <= len(story.seen) <= EVERYONE + 1


@pytest.mark.parametrize("seed", range(5))
def test_frames_that_are_missing_change_no_id(seed: int) -> None:
    chance = random.Random(seed)
    kept = [ts_ms for ts_ms in times(YARD, 15) if chance.random() < 0.6]
    story = follow(frames(YARD, kept, seed))
    assert (len(story.seen), story.switches) == (EVERYONE, 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_rate_that_changes_changes_no_id(seed: int) -> None:
    fast, slow = times(YARD, 25), times(YARD, 7)
    mixed = [each for each in fast if each // 2000 % 2] + [each for each in slow if not each // 2000 % 2]
    story = follow(frames(YARD, sorted(mixed), seed))
    assert (len(story.seen), story.switches) == (EVERYONE, 0)


def test_uneven_times_change_no_id() -> None:
    chance = random.Random(1)
    uneven = [max(each + chance.randint(-35, 35), 0) for each in times(YARD, 10)]
    story = follow(frames(YARD, uneven, 1))
    assert (len(story.seen), story.switches) == (EVERYONE, 0)


def test_a_crowd_of_sixty_keeps_its_ids() -> None:
    story = follow(frames(CROWD, times(CROWD, 10), 1))
    assert len(story.seen) == len(CROWD.walkers) == 60
    assert story.switches == 0
    assert {len(result.people) for result in story.results[5:]} <= {58, 59, 60}


def test_boxes_follow_the_people() -> None:
    story = follow(frames(YARD, times(YARD, 10), 3))
    for ts_ms, result in zip(times(YARD, 10), story.results, strict=True):
        visible = YARD.visible(ts_ms / 1000)
        for person in result.people:
            who = next(number for number, ids in story.ids.items() if person.id in ids)
            if person.confidence and visible[who][1] > 0.99:
                assert person.box == pytest.approx(visible[who][0], abs=12)


def test_a_person_is_confirmed_by_three_detections_or_by_two_that_are_far_apart() -> None:
    def seen_at(times_ms: list[int]) -> int:
        tracker = Tracker()
        tracker.step([], times_ms[0] - 100, FRAME_WH)
        return next(ts_ms for ts_ms, boxes in walk(times_ms) if tracker.step(boxes, ts_ms, FRAME_WH).seen)

    assert seen_at([1000, 1040, 1080, 1120]) == 1080
    assert seen_at([1000, 1100, 1200, 1300]) == 1200
    assert seen_at([1000, 1300, 1600]) == 1300


def test_in_the_first_frame_everybody_counts() -> None:
    [(ts_ms, boxes)] = walk([5000])
    result = Tracker().step(boxes, ts_ms, FRAME_WH)
    assert result.seen == (1,)
    assert result.people == ((1, boxes[0][:4], 0.8, 5000),)


def test_one_box_that_comes_and_goes_is_nobody() -> None:
    tracker = Tracker()
    tracker.step([], 0, FRAME_WH)
    for ts_ms, boxes in walk(range(100, 3000, 100)):
        result = tracker.step(boxes if ts_ms % 300 else [], ts_ms, FRAME_WH)
        assert (result.people, result.seen) == ((), ())


def test_detections_of_low_confidence_keep_a_person_but_start_none() -> None:
    tracker = Tracker()
    for ts_ms, boxes in walk(range(0, 500, 100)):
        tracker.step(boxes, ts_ms, FRAME_WH)
    for ts_ms, boxes in walk(range(500, 3000, 100), confidence=0.4):
        result = tracker.step([*boxes, (600, 200, 640, 300, 0.6)], ts_ms, FRAME_WH)
        assert [(person.id, person.confidence) for person in result.people] == [(1, 0.4)]


def step_through(tracker: Tracker, times_ms: range, *, missing: range) -> dict[int, FrameResult]:
    return {ts_ms: tracker.step([] if ts_ms in missing else boxes, ts_ms, FRAME_WH) for ts_ms, boxes in walk(times_ms)}


@pytest.mark.parametrize("interval_ms", [20, 40, 100])
def test_somebody_who_is_missed_is_shown_a_moment_longer_where_expected(interval_ms: int) -> None:
    results = step_through(Tracker(), range(0, 3001, interval_ms), missing=range(1000, 2001))
    missed = {ts_ms: result.people for ts_ms, result in results.items() if ts_ms in range(1000, 2001)}
    last = 1000 - interval_ms
    assert all(len(people) == (ts_ms <= last + 500) for ts_ms, people in missed.items())
    assert {person.confidence for people in missed.values() for person in people} == {0.0}
    expected = 100 + 80 * (last + 300 - 300 % interval_ms) / 1000
    [shown] = missed[last + 300 - 300 % interval_ms]
    assert (shown.box[0] + shown.box[2]) / 2 == pytest.approx(expected, abs=3)
    assert [person.id for person in results[3000].people] == [1]


def test_whoever_walks_out_of_the_frame_is_not_shown_outside() -> None:
    tracker = Tracker()
    shown: list[Person] = []
    for ts_ms, boxes in walk(range(0, 2000, 100), x=650, speed=150):
        found = [box for box in boxes if box[0] < FRAME_WH[0] - 20]
        shown += tracker.step(found, ts_ms, FRAME_WH).people
    assert shown
    for person in shown:
        assert person.confidence or (person.box[0] + person.box[2]) / 2 < FRAME_WH[0]


def test_somebody_else_who_enters_where_one_left_is_somebody_else() -> None:
    scene = Scene([Walker([Stop(0, 600, 400), Stop(2.1, 768, 400)]), Walker([Stop(2.9, 768, 410), Stop(5, 600, 410)])])
    story = follow(frames(scene, times(scene, 10), 1))
    assert (len(story.seen), story.switches) == (2, 0)


def test_the_id_is_kept_for_three_seconds_and_then_the_track_is_finished() -> None:
    kept = step_through(Tracker(), range(0, 6000, 100), missing=range(1000, 3800))
    assert [result.seen for result in kept.values() if result.seen] == [(1,)]
    assert [result.finished for result in kept.values() if result.finished] == []

    lost = step_through(Tracker(), range(0, 6000, 100), missing=range(1000, 4100))
    assert [(ts_ms, result.seen) for ts_ms, result in lost.items() if result.seen] == [(0, (1,)), (4300, (2,))]
    [(ts_ms, finished)] = [(ts_ms, result.finished) for ts_ms, result in lost.items() if result.finished]
    assert (ts_ms, [(each.id, each.first_ms, each.last_ms) for each in finished]) == (4000, [(1, 0, 900)])


def test_a_finished_track_has_the_path_of_the_feet() -> None:
    tracker = Tracker()
    for ts_ms, boxes in walk(range(10_000, 14_001, 100), x=-700):
        tracker.step(boxes, ts_ms, FRAME_WH)
    [finished] = tracker.finish()
    assert (finished.id, finished.first_ms, finished.last_ms) == (1, 10_000, 14_000)
    assert [point.ts_ms for point in (finished.path[0], finished.path[-1])] == [10_000, 14_000]
    for point in finished.path:
        assert point.x == pytest.approx((-700 + 0.08 * point.ts_ms) / FRAME_WH[0], abs=0.01)
        assert point.y == pytest.approx(400 / FRAME_WH[1], abs=0.01)
    assert tracker.finish() == ()
    assert tracker.step(walk([0])[0][1], 0, FRAME_WH).seen == (2,)


def test_what_was_never_a_person_is_not_finished() -> None:
    tracker = Tracker()
    tracker.step([], 0, FRAME_WH)
    tracker.step(walk([100])[0][1], 100, FRAME_WH)
    assert tracker.finish() == ()


@pytest.mark.parametrize(
    ("jump_ms", "reason"), [(3001, "pause"), (3_600_000, "pause"), (-1, "order"), (-5000, "order")]
)
def test_tracking_starts_again_with_new_ids(jump_ms: int, reason: str) -> None:
    tracker = Tracker()
    for ts_ms, boxes in walk(range(10_000, 11_001, 100)):
        tracker.step(boxes, ts_ms, FRAME_WH)
    result = tracker.step(walk([11_000])[0][1], 11_000 + jump_ms, FRAME_WH)
    assert (result.restarted, result.seen, [each.id for each in result.finished]) == (reason, (2,), [1])
    assert tracker.last_ms == 11_000 + jump_ms
    assert tracker.step([], 11_100 + jump_ms, FRAME_WH).restarted is None


@pytest.mark.parametrize("jump_ms", [0, 1, 3000])
def test_a_pause_within_the_memory_is_no_restart(jump_ms: int) -> None:
    tracker = Tracker()
    for ts_ms, boxes in walk(range(0, 1001, 100), speed=0):
        tracker.step(boxes, ts_ms, FRAME_WH)
    result = tracker.step(walk([0], speed=0)[0][1], 1000 + jump_ms, FRAME_WH)
    assert (result.restarted, result.seen, [person.id for person in result.people]) == (None, (), [1])


def test_another_resolution_keeps_ids_and_another_shape_does_not() -> None:
    tracker = Tracker()
    for ts_ms, boxes in walk(range(0, 1000, 100)):
        tracker.step(boxes, ts_ms, (768, 576))
    for ts_ms, boxes in walk(range(1000, 2000, 100)):
        halves = [(*(side / 2 for side in box[:4]), box[4]) for box in boxes]
        result = tracker.step(halves, ts_ms, (384, 288))
        assert [person.id for person in result.people] == [1]
        assert result.people[0].box == pytest.approx([side / 2 for side in boxes[0][:4]], abs=1)
    turned = tracker.step([(100, 100, 140, 200, 0.8)], 2000, (288, 384))
    assert (turned.restarted, turned.seen) == ("frame size", (2,))


def test_next_id_continues_where_a_state_was_lost() -> None:
    assert Tracker(next_id=412).step(walk([0])[0][1], 0, FRAME_WH).seen == (412,)
    with pytest.raises(ConfigurationError, match="next_id is 0"):
        Tracker(next_id=0)


def test_numpy_arrays_are_boxes_too() -> None:
    tracker, plain = Tracker(), Tracker()
    for ts_ms, boxes in walk(range(0, 1000, 100)):
        result = tracker.step(np.array(boxes), ts_ms, FRAME_WH)
        assert result == plain.step(boxes, ts_ms, FRAME_WH)
    assert {type(side) for side in result.people[0].box} == {float}
    assert tracker.step(np.empty((0, 5), np.float32), 1000, FRAME_WH).people


def test_boxes_without_an_area_are_left_out() -> None:
    flat: list[Row] = [(10, 10, 10, 90, 0.9), (10, 90, 50, 10, 0.9)]
    assert Tracker().step(flat, 0, FRAME_WH).people == ()


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([(0, 0, 10, 10)], "box 0 has 4 numbers"),
        ([(0, 0, 10, 10, 0.9), (0, 0, float("nan"), 10, 0.9)], "box 1 is .*nan"),
        ([(0, 0, float("inf"), 10, 0.9)], "pixels of the frame are needed"),
        ([(0, 0, 10, 10, 1.5)], "confidence of box 0 is 1.5"),
        ([(0, 0, 10, 10, float("nan"))], "confidence of box 0 is nan"),
    ],
)
def test_wrong_boxes_are_refused_and_change_nothing(boxes: list[Row], message: str) -> None:
    tracker = Tracker()
    for ts_ms, found in walk(range(0, 500, 100)):
        tracker.step(found, ts_ms, FRAME_WH)
    before = tracker.to_state()
    with pytest.raises(ConfigurationError, match=message):
        tracker.step(boxes, 500, FRAME_WH)
    assert tracker.to_state() == before


def test_the_size_of_the_frame_is_in_pixels() -> None:
    with pytest.raises(ConfigurationError, match=r"frame_wh is \(1, 1\)"):
        Tracker().step([], 0, (1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"high_confidence": 0.7}, "not in ascending order"),
        ({"low_confidence": 0.6}, "not in ascending order"),
        ({"new_confidence": 1.1}, "new_confidence is 1.1"),
        ({"least_iou": 0.0}, "least_iou is 0.0"),
        ({"memory_s": 0.0}, "memory_s is 0.0"),
        ({"coast_s": float("nan")}, "coast_s is nan"),
        ({"confirm_detections": 0}, "confirm_detections is 0"),
        ({"buffers": (0.2,)}, "two shares"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TrackerSettings(**change)  # type: ignore[arg-type]


def test_the_settings_for_one_size_take_boxes_of_lower_confidence() -> None:
    boxes = walk([0], confidence=0.6)[0][1]
    assert Tracker(ONE_SIZE).step(boxes, 0, FRAME_WH).seen == (1,)
    assert Tracker(TWO_SIZES).step(boxes, 0, FRAME_WH).seen == ()


@pytest.mark.parametrize("interval_ms", [500, 600, 1000, 2000, 5000])
def test_everybody_in_slow_frames_is_counted(interval_ms: int) -> None:
    """Who walks is elsewhere in each of them, so that no track goes on."""
    tracker = Tracker()
    for number in range(10):
        x = 80 * number * interval_ms / 1000 % 700
        boxes = [(left, top, left + 40, top + 100, 0.9) for left, top in ((x, 50), (700 - x, 400))]
        assert len(tracker.step(boxes, 1000 + number * interval_ms, (768, 576)).people) == 2
