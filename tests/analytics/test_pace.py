"""Whether the model looks often enough to follow people, by the times of its frames."""

from __future__ import annotations

import pytest

from rededge_nb.analytics.counted import PEOPLE, Counted
from rededge_nb.analytics.pace import REPEAT_MS, Pace
from rededge_nb.analytics.tracking import Tracker

FRAME = (768, 576)


def look(pace: Pace, seconds: float, fps: float, *, start_ms: int = 1000, moved: bool = True) -> int:
    """Looks so often for so many seconds; returns how often people could not be followed."""
    times = [start_ms + round(1000 * number / fps) for number in range(round(seconds * fps) + 1)]
    return sum(pace.looked(ts_ms, followed=True, moved=moved) for ts_ms in times)


@pytest.mark.parametrize(("fps", "too_few"), [(0.1, True), (1, True), (3, True), (3.6, False), (10, False)])
def test_people_are_followed_from_three_and_a_half_frames_a_second_on(fps: float, too_few: bool) -> None:
    pace = Pace()
    assert bool(look(pace, max(20, 10 / fps), fps)) is too_few
    assert pace.fps == pytest.approx(fps, rel=0.02)


def test_a_pause_is_no_reason_however_long_it_is() -> None:
    pace, start_ms = Pace(), 1000
    for pause_s in (1, 5, 3600):
        assert look(pace, 8, 5, start_ms=start_ms) == 0
        start_ms += 8000 + 1000 * pause_s


def test_frames_between_which_nobody_moves_or_nobody_is_there_are_no_reason() -> None:
    pace = Pace()
    assert look(pace, 60, 1, moved=False) == 0
    assert not any(pace.looked(70_000 + 1000 * at, followed=False, moved=False) for at in range(60))
    pace.still()
    for second in range(60):
        assert not pace.looked(200_000 + 2000 * second, followed=True, moved=True)
        pace.still()
    assert pace == Pace(looked_ms=-1)


def test_it_is_said_once_an_hour_and_again_when_the_time_goes_back() -> None:
    pace = Pace()
    assert look(pace, 10, 1)
    assert [pace.tells(at) for at in (9000, 9001, 9000 + REPEAT_MS - 1, 9000 + REPEAT_MS, 5000)] == [
        True, False, False, True, True
    ]  # fmt: skip


def test_the_event_says_who_can_do_something() -> None:
    slow, busy = Pace(), Pace()
    look(slow, 10, 1)
    for number in range(100):
        if number % 5:
            busy.not_looked()
        else:
            busy.looked(1000 + 100 * number, followed=True, moved=True)
    camera, model = slow.event(9000, PEOPLE), busy.event(9000, Counted("car"))
    assert camera["kind"] == "too_few_frames"
    assert camera["severity"] == "warning"
    assert (camera["value"], model["value"]) == (1.0, 2.0)
    assert "saw 1.0 frames a second while people moved" in str(camera["reason"])
    assert "1.0 frames a second came: let the camera send 5 or more" in str(camera["reason"])
    assert "saw 2.0 frames a second while cars moved" in str(model["reason"])
    assert "10.0 frames a second came, but the model has no time for them" in str(model["reason"])


def test_the_state_is_data_of_the_same_size_for_ever() -> None:
    pace = Pace()
    assert pace.to_data() is None
    look(pace, 100, 1)
    data = pace.to_data()
    assert data is not None
    assert len(data) == 6
    assert Pace.from_data(data).looked(102_000, followed=True, moved=True)
    for damaged in ([1], "no", [None] * 6, 5, [1, 1, 1, float("inf"), 1, 1], {"seconds": 1}):
        with pytest.raises((TypeError, ValueError)):
            Pace.from_data(damaged)


def box(x: float, confidence: float = 0.9) -> tuple[float, ...]:
    return (x, 200, x + 40, 300, confidence)


def test_who_has_moved_is_elsewhere_or_somebody_else() -> None:
    tracker = Tracker()
    moved = []
    for ts_ms, boxes in (
        (0, [box(100), box(500)]),
        (1000, [box(102), box(499)]),  # they stand
        (2000, [box(130), box(500)]),  # one walks, and is still the same
        (3000, [box(300), box(500)]),  # is somebody else for the tracker
        (4000, [box(500)]),  # is missed
        (5000, [box(500), box(700)]),  # somebody comes
        (9000, []),
        (13_000, [box(300)]),
        (17_000, [box(300)]),  # is somebody else after a pause
    ):
        tracker.step(boxes, ts_ms, FRAME)
        moved.append(tracker.moved)
    assert moved == [False, False, True, True, False, False, False, False, True]
