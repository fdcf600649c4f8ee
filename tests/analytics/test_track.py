from __future__ import annotations

import pytest

from rededge_nb.analytics.detections import Detection
from rededge_nb.analytics.track import Track
from rededge_nb.analytics.tracker_settings import TWO_SIZES

NOISE, RESTART_S = TWO_SIZES.noise(), TWO_SIZES.restart_motion_s


def detected(track: Track, ts_ms: int, previous_ms: int, x: float, height: float = 100) -> None:
    track.predict((ts_ms - previous_ms) / 1000, previous_ms, NOISE)
    box = (x - 0.2 * height, 400 - height, x + 0.2 * height, 400)
    track.detect(Detection(box, 0.8), ts_ms, RESTART_S, NOISE)


def walking(speed: float, growth: float = 0.0) -> Track:
    """Ten frames, 0.1 s apart; the last one at 900 ms."""
    track = Track.started(Detection((80, 300, 120, 400), 0.8), 0, NOISE)
    for ts_ms in range(100, 1000, 100):
        detected(track, ts_ms, ts_ms - 100, 100 + speed * ts_ms / 1000, 100 + growth * ts_ms / 1000)
    return track


def test_after_a_gap_the_velocity_is_that_of_the_gap_and_not_of_the_guess() -> None:
    track = walking(speed=80)
    track.predict(0.5, 900, NOISE)
    detected(track, 1900, 1400, x=182)
    assert track.centre.vx == pytest.approx((182 - 172) / 1.0)
    assert track.centre.x == 182


def test_after_a_frame_that_was_missed_the_filter_goes_on() -> None:
    track = walking(speed=80)
    track.predict(0.1, 900, NOISE)
    detected(track, 1100, 1000, x=160)
    assert track.centre.vx == pytest.approx(60, abs=15)


def test_frames_that_never_came_are_no_gap() -> None:
    """After a pause of the camera the filter has the same knowledge as if it had been asked in between."""
    track = walking(speed=80)
    detected(track, 1900, 900, x=182)
    assert track.centre.vx != pytest.approx(10, abs=1)


def test_a_box_grows_while_it_is_seen_and_not_while_it_is_missed() -> None:
    track = walking(speed=0, growth=60)
    before = track.height()
    track.predict(0.1, 900, NOISE)
    grown = track.height()
    assert grown > before + 2
    track.predict(1.0, 1000, NOISE)
    assert track.height() == grown


def test_a_box_is_never_smaller_than_a_pixel() -> None:
    track = walking(speed=0, growth=-95)
    track.predict(5.0, 900, NOISE)
    x1, y1, x2, y2 = track.box
    assert (x2 - x1, y2 - y1) == pytest.approx((1, 1))
