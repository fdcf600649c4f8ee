"""Times of frames: of a camera from its timestamps, of a recording from its positions, and which are left out."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from rededge_nb.capture.sources.live_clock import LiveClock
from rededge_nb.capture.sources.playback import PlaybackClock
from rededge_nb.capture.sources.rate_limit import JITTER, RateLimit
from rededge_nb.capture.sources.timeline import LONGEST_GAP, LONGEST_GAP_ELSEWHERE, Timeline, TimestampGuess


def test_a_camera_has_even_times_however_its_frames_arrive() -> None:
    chance, clock = random.Random(1), LiveClock()
    times = []
    for number in range(500):
        position = 0.04 * number
        clock.received(position, 1000 + position + chance.expovariate(20))
        times.append(clock.time_of(position))
    assert np.abs(np.array(times[50:]) - (1000 + 0.04 * np.arange(50, 500))).max() < 0.02
    assert times == sorted(times)


@pytest.mark.parametrize("drift", [-2e-4, 2e-4])
def test_a_clock_that_runs_differently_is_followed(drift: float) -> None:
    clock = LiveClock()
    for number in range(0, 360_000, 10):
        position = 0.1 * number
        clock.received(position, 1000 + position * (1 + drift))
        assert abs(clock.time_of(position) - (1000 + position * (1 + drift))) < 0.01


def test_timestamps_that_stop_making_sense_are_given_up() -> None:
    clock = LiveClock()
    clock.received(0.0, 1000.0)
    clock.received(0.1, 1010.0)  # silence that the timestamps do not know of
    assert clock.time_of(0.1) == 1010.0
    clock.received(0.2, 1010.1)
    assert clock.time_of(0.2) == pytest.approx(1010.1)


def test_a_recording_is_due_at_its_own_speed_and_a_long_pause_is_none() -> None:
    clock = PlaybackClock(0.1)
    began = clock.due(2.0)
    assert abs(began - time.monotonic()) < 1
    assert clock.due(2.5) == pytest.approx(began + 0.5)
    assert clock.due(6.5) == pytest.approx(began + 4.5)
    before = time.monotonic()
    assert before <= clock.due(600.0) <= time.monotonic()
    assert clock.due(600.5) - before == pytest.approx(0.5, abs=0.4)
    slow = PlaybackClock(10.0)
    assert slow.due(10.0) - slow.due(0.0) == pytest.approx(10.0, abs=0.1)
    fast = PlaybackClock(0.1, speed=4)
    assert fast.due(2.0) - fast.due(0.0) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("native", "asked"), [(25, 10), (30, 10), (12, 10), (10, 10), (10.01, 10), (60, 1), (25, 24)])
def test_a_camera_is_thinned_to_the_rate_that_is_asked_for(native: float, asked: float) -> None:
    chance, limit = random.Random(1), RateLimit(asked, JITTER)
    times = [number / native + chance.uniform(0, 0.1) / native for number in range(2000)]
    taken = [each for each in times if limit.wants(each)]
    assert len(taken) / (times[-1] - times[0]) == pytest.approx(min(native, asked), rel=0.03)


def test_without_a_rate_every_frame_is_wanted() -> None:
    limit = RateLimit(None)
    assert all(limit.wants(each) for each in (0.0, 0.0, 0.1, 0.1, 50.0))
    limit.start_after(60.0)
    assert [limit.wants(each) for each in (59.0, 60.0, 60.1)] == [False, False, True]


def test_a_long_pause_does_not_let_a_crowd_through() -> None:
    limit = RateLimit(1)
    assert limit.wants(0.0)
    assert [limit.wants(100 + 0.1 * each) for each in range(10)] == [True] + [False] * 9


def timeline(longest_gap: float, jumps: list[tuple[float, float]]) -> Timeline:
    return Timeline(0.1, longest_gap, lambda position, gap: jumps.append((position, gap)))


def test_positions_begin_at_nothing_and_never_go_back() -> None:
    jumps: list[tuple[float, float]] = []
    positions = timeline(LONGEST_GAP, jumps)
    stamps = [50.0, 50.1, None, 50.3, 50.25, 50.4, 55.0, 900.0, 900.1, 10.0, 10.1]
    found = [positions.position(each) for each in stamps]
    assert found == pytest.approx([0, 0.1, 0.2, 0.3, 0.3, 0.4, 5.0, 9.6, 9.7, 9.8, 9.9])
    assert [(round(position, 3), round(gap, 3)) for position, gap in jumps] == [(5.0, 845.0), (9.7, -890.1)]


def test_a_gap_is_no_jump_where_timestamps_do_not_start_anew() -> None:
    jumps: list[tuple[float, float]] = []
    positions = timeline(LONGEST_GAP_ELSEWHERE, jumps)
    assert [positions.position(each) for each in (None, 0.1, 40.0, 3600.0)] == pytest.approx([0, 0.1, 40.0, 3600.0])
    assert jumps == []
    positions.position(10.0**9)
    assert len(jumps) == 1


def test_one_frame_in_ten_seconds_is_no_jump() -> None:
    jumps: list[tuple[float, float]] = []
    positions = Timeline(10.0, LONGEST_GAP, lambda position, gap: jumps.append((position, gap)))
    assert [positions.position(10.0 * each) for each in range(5)] == [0, 10, 20, 30, 40]
    assert jumps == []


def test_the_timestamp_that_is_in_order_is_taken() -> None:
    guess = TimestampGuess()
    assert [guess.best(pts, dts) for pts, dts in ((1, 0), (3, 1), (2, 2), (5, 3), (4, 4))] == [1, 3, 2, 3, 4]
    assert TimestampGuess().best(None, None) is None
    assert TimestampGuess().best(None, 7) == 7
    assert TimestampGuess().best(7, None) == 7
