"""Scores of what a camera wrote, and of files."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import redis

from rededge_nb import schema
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.reading.scores import parse_found, parse_truth, read_numbered, score
from rededge_nb.reading.series import create_series

pytest_plugins = ("tests.bare_fixtures",)

TRUTH = "1,1,0,0,40,100,1\n1,2,200,0,40,100,1\n2,1,0,0,40,100,1\n4,1,0,0,40,100,1\n"


def add_frame(client: redis.Redis, ts_ms: int, boxes: dict[int, int], **more: Any) -> None:
    """People by id, with the left side of each box."""
    corners = [value for left in boxes.values() for value in (left, 0, left + 40, 100)]
    fields = {
        "ref": f"{ts_ms}-0", "ts": ts_ms, "boxes": json.dumps(corners), "people": len(boxes),
        "tracks": json.dumps(list(boxes)), "confidence": json.dumps([0.9] * len(boxes)), **more,
    }  # fmt: skip
    client.xadd(schema.detections_key("0"), fields)
    for name in (schema.IN_FPS, schema.OUT_FPS):
        client.execute_command("TS.ADD", schema.series_key("0", name), ts_ms // 1000 * 1000, 1)


@pytest.fixture
def camera(bare_client: redis.Redis) -> redis.Redis:
    create_series(bare_client, "0")
    return bare_client


def test_a_perfect_camera(camera: redis.Redis) -> None:
    for ts_ms, boxes in ((1000, {7: 0, 9: 200}), (1100, {7: 0}), (1200, {}), (1300, {7: 0})):
        add_frame(camera, ts_ms, boxes)
    scores = score(parse_truth(TRUTH), read_numbered(camera, "0"))
    assert (scores.counts.mae, scores.counts.frames, scores.not_processed) == (0, 4, 0)
    assert scores.detections is not None
    assert scores.tracks is not None
    assert (scores.detections.recall, scores.detections.precision, scores.detections.ap) == (1, 1, 1)
    assert (scores.tracks.mota, scores.tracks.idf1, scores.tracks.ids) == (1, 1, 2)
    assert dict(scores.as_rows())["ids, for people"] == "2, for 2"
    assert scores.as_dict()["tracks"]["idf1"] == 1


def test_an_entry_that_was_written_late_is_in_its_place(camera: redis.Redis) -> None:
    for ts_ms, boxes in ((1000, {7: 0, 9: 200}), (1200, {}), (1100, {7: 0}), (1300, {7: 0})):
        add_frame(camera, ts_ms, boxes)
    assert score(parse_truth(TRUTH), read_numbered(camera, "0")).counts.mae == 0


def test_only_the_newest_capture_is_scored(camera: redis.Redis) -> None:
    for ts_ms, name in ((1000, "old"), (1100, "old"), (5000, "new"), (5100, "new"), (5200, "new")):
        add_frame(camera, ts_ms, {7: 0}, capture=name)
    found = read_numbered(camera, "0")
    assert found.frames == {1, 2, 3}


def test_a_frame_without_a_line_is_empty_unless_only_labelled_frames_are_scored(camera: redis.Redis) -> None:
    for ts_ms in (1000, 1100, 1200, 1300):
        add_frame(camera, ts_ms, {7: 0})
    found = read_numbered(camera, "0")
    assert score(parse_truth(TRUTH), found).counts.mae == pytest.approx(2 / 4)
    scores = score(parse_truth(TRUTH), found, only_labelled=True)
    assert (scores.counts.mae, scores.counts.frames) == (pytest.approx(1 / 3), 3)
    scores = score(parse_truth(TRUTH), found, frames=6)
    assert (scores.counts.frames, scores.not_processed) == (4, 2)


def test_frames_that_are_missing_need_the_rate(camera: redis.Redis) -> None:
    for ts_ms, boxes in ((1000, {7: 0, 9: 200}), (1105, {7: 0}), (1304, {7: 0})):
        add_frame(camera, ts_ms, boxes)
    camera.execute_command("TS.ADD", schema.series_key("0", schema.IN_FPS), 1000, 1)
    with pytest.raises(ConfigurationError, match=r"^1 of the frames that arrived were dropped or failed.*--fps"):
        read_numbered(camera, "0")
    scores = score(parse_truth(TRUTH), read_numbered(camera, "0", fps=10))
    assert (scores.counts.mae, scores.counts.frames, scores.not_processed) == (0, 3, 1)
    with pytest.raises(ConfigurationError, match="at 1 frames per second 2 of 3 frames have the number of another"):
        read_numbered(camera, "0", fps=1)


def test_a_gear_without_tracks_and_confidence(camera: redis.Redis) -> None:
    corners = json.dumps([0, 0, 40, 100])
    camera.xadd(schema.detections_key("0"), {"ref": "1-0", "ts": 1000, "boxes": corners, "people": 3})
    scores = score(parse_truth(TRUTH), read_numbered(camera, "0"), frames=1)
    assert scores.tracks is None
    assert scores.detections is not None
    assert (scores.detections.recall, scores.detections.precision) == (1 / 2, 1)
    assert scores.counts.bias == 1, "the gear's own number of people counts"
    assert not math.isnan(scores.detections.ap)


def test_counts_alone(camera: redis.Redis) -> None:
    for ts_ms in (1000, 1100, 1200):
        add_frame(camera, ts_ms, {7: 0})
    truth = parse_truth("frame,people\n1,2\n3,1\n9,1\n")
    scores = score(truth, read_numbered(camera, "0"))
    assert (scores.counts.mae, scores.counts.bias, scores.counts.frames) == (0.5, -0.5, 2)
    assert (scores.detections, scores.tracks, scores.not_processed) == (None, None, 1)
    assert [name for name, _ in scores.as_rows()] == [
        "frames scored", "frames not processed", "count error, people per frame", "count bias",
    ]  # fmt: skip


def test_a_file_instead_of_a_camera() -> None:
    found = parse_found("1,5,0,0,40,100,0.9\n1,6,205,0,40,100,0.2\n2,5,0,0,40,100,0.9\n4,8,0,0,40,100,0.9\n")
    scores = score(parse_truth(TRUTH), found)
    assert scores.tracks is not None
    assert (scores.tracks.switches, scores.tracks.recall) == (1, 1)
    scores = score(parse_truth(TRUTH), found, confidence=0.5)
    assert scores.tracks is not None
    assert (scores.tracks.recall, scores.counts.bias) == (0.75, -0.25)
    detections = parse_found("1,-1,0,0,40,100,0.9\n")
    assert score(parse_truth(TRUTH), detections).tracks is None
    counts = score(parse_truth(TRUTH), parse_found("people,frame\n2,1\n1,2\n0,3\n"))
    assert (counts.counts.mae, counts.not_processed, counts.detections) == (0, 1, None)


def test_people_with_flag_0(camera: redis.Redis) -> None:
    truth = parse_truth("1,1,0,0,40,100,1\n1,2,200,0,40,100,0\n")
    found = parse_found("1,5,0,0,40,100,0.9\n1,6,200,0,40,100,0.9\n")
    shares = {flag0: score(truth, found, flag0=flag0).detections for flag0 in ("ignore", "keep", "drop")}
    assert [each and each.precision for each in shares.values()] == [1, 1, 0.5]


def test_nothing_to_score(camera: redis.Redis) -> None:
    with pytest.raises(NoDataError, match="camera 0 has no detections"):
        read_numbered(camera, "0")
    with pytest.raises(ConfigurationError, match="the truth is empty"):
        score(parse_truth("\n"), parse_found(""))
    with pytest.raises(ConfigurationError, match="none of the 4 frames of the truth was processed"):
        score(parse_truth(TRUTH), parse_found("frame,people\n7,1\n"))
