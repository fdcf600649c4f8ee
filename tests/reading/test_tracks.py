"""Tracks of people: those who have left, those who are in view, and how many were seen."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.samples import create_commands
from rededge_nb.analytics.saved_tracker import SavedTracker
from rededge_nb.analytics.tracking import Tracker
from rededge_nb.errors import GearError
from rededge_nb.reading.seen import midnight_ms, seen_since
from rededge_nb.reading.series import call, create_series
from rededge_nb.reading.tracks import read_tracks

pytest_plugins = ("tests.bare_fixtures",)

KEY = schema.tracks_key("0")
HOUR_MS = 3_600_000


def add_track(client: redis.Redis, number: int, first_ms: int, last_ms: int, **more: Any) -> None:
    path = json.dumps([[first_ms, 0.25, 0.5], [last_ms, 0.75, 1.0]])
    client.xadd(KEY, {"track": number, "first": first_ms, "last": last_ms, "path": path, **more})


def add_people_in_view(client: redis.Redis, *, next_id: int) -> None:
    tracker = Tracker(next_id=next_id)
    for ts_ms in (9_000, 9_500):
        tracker.step([(10 + ts_ms / 500, 10, 40 + ts_ms / 500, 90, 0.9), (200, 20, 230, 100, 0.8)], ts_ms, (400, 100))
    client.set(schema.tracker_key("0"), SavedTracker("9-0", tracker.to_state()).to_text())


def test_whoever_has_left_and_whoever_is_in_view(bare_client: redis.Redis) -> None:
    add_track(bare_client, 2, 2_000, 6_500)
    add_track(bare_client, 1, 1_000, 3_000)
    add_people_in_view(bare_client, next_id=3)
    tracks = read_tracks(bare_client, "0")
    assert [(track.id, track.in_view) for track in tracks] == [(1, False), (2, False), (3, True), (4, True)]
    assert (tracks[1].first_ms, tracks[1].last_ms, tracks[1].seconds) == (2_000, 6_500, 4.5)
    assert tracks[1].times_ms.tolist() == [2_000, 6_500]
    assert tracks[1].path.tolist() == [[0.25, 0.5], [0.75, 1.0]]
    assert (tracks[3].first_ms, tracks[3].last_ms) == (9_000, 9_500)
    np.testing.assert_allclose(tracks[3].path, [[215 / 400, 1.0], [215 / 400, 1.0]], atol=0.01)
    assert repr(tracks[0]) == (
        "<Track 1 of camera 0: from 1970-01-01T00:00:01.000 UTC, until 1970-01-01T00:00:03.000, 2.0 s>"
    )
    assert "in view, 0.5 s" in repr(tracks[2])


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "ids"),
    [
        (None, None, [1, 2]),
        (3_000, None, [1, 2]),
        (3_001, None, [2]),
        (None, 1_999, [1]),
        (6_501, None, []),
        (None, 2_000, [1, 2]),
    ],
)
def test_those_between_two_times(
    bare_client: redis.Redis, start_ms: int | None, end_ms: int | None, ids: list[int]
) -> None:
    add_track(bare_client, 1, 1_000, 3_000)
    add_track(bare_client, 2, 2_000, 6_500)
    assert [track.id for track in read_tracks(bare_client, "0", start_ms=start_ms, end_ms=end_ms)] == ids


def test_a_track_is_marked_if_people_could_not_be_followed_while_it_was_in_view(bare_client: redis.Redis) -> None:
    day_ms = schema.RAW_RETENTION_MS
    for words in create_commands("camera:0", schema.TOO_FEW_FRAMES):
        call(bare_client, *words)
    for number, first_ms in enumerate((day_ms, day_ms + HOUR_MS, 3 * day_ms, 3 * day_ms + HOUR_MS), 1):
        add_track(bare_client, number, first_ms, first_ms + 120_000)
    # the single sample of the first one is older than a day then, and its minute remains
    for at_ms, fps in ((day_ms + 61_000, 2.0), (3 * day_ms + 125_000, 1.5)):
        call(bare_client, "TS.ADD", schema.series_key("0", schema.TOO_FEW_FRAMES), at_ms, fps)
    tracks = read_tracks(bare_client, "0")
    assert [each.too_few_frames and each.too_few_frames.fps for each in tracks] == [2.0, None, 1.5, None]
    assert repr(tracks[0]).endswith(", 120.0 s; not reliable: the model saw 2.0 frames a second, too few>")
    assert repr(tracks[1]).endswith(", 120.0 s>")


def test_a_track_that_ended_between_the_two_reads_is_there_once(bare_client: redis.Redis) -> None:
    add_people_in_view(bare_client, next_id=1)
    add_track(bare_client, 1, 9_000, 9_500)
    tracks = read_tracks(bare_client, "0")
    assert [(track.id, track.in_view) for track in tracks] == [(1, False), (2, True)]


def test_no_tracks_and_a_damaged_state(bare_client: redis.Redis) -> None:
    assert read_tracks(bare_client, "0") == []
    bare_client.set(schema.tracker_key("0"), b"\xff no state")
    assert read_tracks(bare_client, "0") == []


@pytest.mark.parametrize(
    "fields",
    [
        {"track": "x"},
        {"path": "[1, 2]"},
        {"path": "no JSON"},
        {"path": "[[1, NaN, 0]]"},
        {"first": ""},
        {"path": '"["'},
    ],
)
def test_a_malformed_track_is_reported(bare_client: redis.Redis, fields: dict[str, str]) -> None:
    add_track(bare_client, 1, 1_000, 3_000, **fields)
    with pytest.raises(GearError, match=rf"entry \d+-0 of {re.escape(KEY)} is malformed"):
        read_tracks(bare_client, "0")


def test_people_seen_since_a_time(bare_client: redis.Redis) -> None:
    now_ms = 1_767_600_000_000
    for camera, samples in (("a", {now_ms - 2 * HOUR_MS: 5, now_ms - 1000: 2, now_ms: 1}), ("b", {now_ms - 1000: 4})):
        create_series(bare_client, camera)
        for at, value in samples.items():
            bare_client.execute_command("TS.ADD", schema.series_key(camera, schema.SEEN), at, value)
    create_series(bare_client, "none")
    assert seen_since(bare_client, now_ms - HOUR_MS, now_ms) == {"a": 3, "b": 4}
    assert seen_since(bare_client, now_ms - 3 * HOUR_MS, now_ms) == {"a": 8, "b": 4}
    assert seen_since(bare_client, now_ms - 3 * HOUR_MS, now_ms - HOUR_MS) == {"a": 5}, "the others are not yet"
    assert seen_since(bare_client, now_ms + HOUR_MS, now_ms + 2 * HOUR_MS) == {}


def test_midnight_is_not_later_and_less_than_a_day_ago() -> None:
    for now_ms in range(1_767_600_000_000, 1_767_600_000_000 + 30 * HOUR_MS, HOUR_MS // 2):
        assert 0 <= now_ms - midnight_ms(now_ms) < 25 * HOUR_MS
        assert midnight_ms(midnight_ms(now_ms)) == midnight_ms(now_ms)
