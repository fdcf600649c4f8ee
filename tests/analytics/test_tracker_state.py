from __future__ import annotations

import base64
import copy
import json
import struct
from collections.abc import Callable
from math import nan
from typing import Any

import pytest

from rededge_nb.analytics.tracking import Tracker, TrackerStateError
from tests.analytics.drawn_scene import CROWD, FRAME_WH, YARD, frames, times
from tests.analytics.following import follow, saved_and_loaded, walk


@pytest.mark.parametrize("fps", [25, 10, 3])
def test_a_run_that_is_saved_and_loaded_with_each_frame_says_the_same(fps: float) -> None:
    seen = list(frames(YARD, times(YARD, fps), 4))
    plain, renewed = Tracker(), Tracker()
    for frame in seen:
        renewed = saved_and_loaded(renewed)
        one = plain.step(frame.rows, frame.ts_ms, FRAME_WH)
        assert renewed.step(frame.rows, frame.ts_ms, FRAME_WH) == one
    assert renewed.to_state() == plain.to_state()
    assert saved_and_loaded(plain).finish() == plain.finish()


def test_a_saved_state_does_not_change_when_the_tracker_goes_on() -> None:
    tracker = Tracker()
    states = []
    ids: list[int] = []
    for ts_ms, boxes in walk(range(0, 2000, 100)):
        states.append((tracker.to_state(), copy.deepcopy(tracker.to_state())))
        ids += tracker.step(boxes, ts_ms, FRAME_WH).seen
    assert all(state == at_the_time for state, at_the_time in states)
    assert ids == [1]


def test_a_state_is_data_for_json() -> None:
    tracker = Tracker()
    follow(frames(YARD, times(YARD, 10)[:60], 1), tracker)
    state = tracker.to_state()
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    assert state["format"] == 1


def test_the_state_of_sixty_people_has_64_kilobytes_at_most() -> None:
    tracker = Tracker()
    largest = 0
    for lap in range(8):
        # the same people walk to and fro in curves, so that their paths have all the points that a path may have
        for frame in frames(CROWD, times(CROWD, 5)[:: -1 if lap % 2 else 1], lap):
            ts_ms = lap * 6200 + (6000 - frame.ts_ms if lap % 2 else frame.ts_ms)
            tracker.step(frame.rows, ts_ms, FRAME_WH)
            largest = max(largest, len(json.dumps(tracker.to_state(), separators=(",", ":"))))
    assert len(tracker.to_state()["tracks"]) >= 60
    assert 20_000 < largest <= 64 * 1024


def test_the_state_before_the_first_frame_is_one_too() -> None:
    tracker = saved_and_loaded(Tracker(next_id=7))
    assert (tracker.last_ms, tracker.next_id) == (None, 7)
    assert tracker.step(walk([0])[0][1], 0, FRAME_WH).seen == (7,)


def state_of_two() -> dict[str, Any]:
    tracker = Tracker()
    for ts_ms, boxes in walk(range(0, 2000, 100)):
        tracker.step([*boxes, (500, 200, 540, 300, 0.9)], ts_ms, FRAME_WH)
    return tracker.to_state()


def change(state: dict[str, Any], row: int, column: int, value: object) -> None:
    state["tracks"][row][column] = value


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("tracks"),
        lambda state: state.pop("gone"),
        lambda state: state.update(next_id="3"),
        lambda state: state.update(next_id=2),
        lambda state: state.update(last_ms=None),
        lambda state: state.update(last_ms=1.5),
        lambda state: state.update(frame_wh=[768]),
        lambda state: state.update(frame_wh=[0, 0]),
        lambda state: state.update(tracks=None),
        lambda state: state.update(tracks=[1]),
        lambda state: state.update(gone=[[1, 2]]),
        lambda state: state["tracks"][0].pop(),
        lambda state: change(state, 0, 0, 2),
        lambda state: change(state, 0, 0, -1),
        lambda state: change(state, 0, 1, None),
        lambda state: change(state, 0, 2, "1900"),
        lambda state: change(state, 0, 3, 2.5),
        lambda state: change(state, 0, 4, state["tracks"][0][4][:-8]),
        lambda state: change(state, 0, 4, base64.b64encode(struct.pack("<16d", *[1.0] * 15, nan)).decode()),
        lambda state: change(state, 0, 4, base64.b64encode(struct.pack("<16d", *[1.0] * 6, -1.0, *[1.0] * 9)).decode()),
        lambda state: change(state, 0, 4, "not base64!"),
        lambda state: change(state, 0, 4, "é"),
        lambda state: change(state, 0, 5, state["tracks"][0][5][4:]),
        lambda state: change(state, 0, 5, 5),
        lambda state: state["tracks"][0].extend([[0.5, 0.5], 0]),
    ],
)
def test_a_damaged_state_is_an_error(damage: Callable[[dict[str, Any]], object]) -> None:
    state = state_of_two()
    Tracker.from_state(state)
    damage(state)
    with pytest.raises(TrackerStateError, match=r"is damaged .*: start with a new tracker"):
        Tracker.from_state(state)


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_an_unknown_format_is_an_error_that_names_both(number: object) -> None:
    with pytest.raises(TrackerStateError, match=rf"has format {number!r}, this version reads 1"):
        Tracker.from_state(state_of_two() | {"format": number})


@pytest.mark.parametrize("state", [None, [], "{}", 5, {}, {"tracks": []}])
def test_what_is_no_state_is_an_error(state: object) -> None:
    with pytest.raises(TrackerStateError, match="not the state of a tracker"):
        Tracker.from_state(state)
