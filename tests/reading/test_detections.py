from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest
import redis

from rededge_nb.errors import ConfigurationError, GearError, NoDataError, SourceError
from rededge_nb.reading.detections import Detections, follow_detections, latest_detected_frame, read_detections
from rededge_nb.reading.frames import latest_frame, read_errors, read_frame

pytest_plugins = ("tests.bare_fixtures",)

FRAMES = "camera:0"
FOUND = "camera:0:yolo"
ERRORS = "camera:0:errors"


def jpeg(value: int = 90) -> bytes:
    return cv2.imencode(".jpg", np.full((24, 32, 3), value, np.uint8))[1].tobytes()


def add_frame(client: redis.Redis, number: int, entry_id: str) -> None:
    client.xadd(FRAMES, {"count": number, "ts": 1000 * number, "image": jpeg()}, id=entry_id)


def add_found(client: redis.Redis, ref: str, entry_id: str = "*", **more: str | int) -> None:
    fields = {"ref": ref, "boxes": "[1,2,3.5,4, 5,6,7,8]", "people": 2, **more}
    client.xadd(FOUND, fields, id=entry_id)


def test_typed_detections(bare_client: redis.Redis) -> None:
    add_found(bare_client, "100-0", "150-0", ts=90, confidence="[0.9, 0.4]", model="m:1", ms="12.5")
    (found,) = read_detections(bare_client, "0")
    assert (found.camera, found.ref, found.entry_id, found.ts_ms, found.people) == ("0", "100-0", "150-0", 90, 2)
    assert (found.model, found.ms, found.latency_ms, len(found)) == ("m:1", 12.5, 60, 2)
    np.testing.assert_array_equal(found.xyxy, np.array([[1, 2, 3.5, 4], [5, 6, 7, 8]], np.float32))
    np.testing.assert_allclose(found.confidence, [0.9, 0.4])
    assert found.xyxy.dtype == found.confidence.dtype == np.float32
    assert found.time == np.datetime64("1970-01-01T00:00:00.090")
    assert repr(found) == "<Detections of frame 100-0, camera 0: 2 people, latency 60 ms>"


def test_detections_of_another_producer_without_optional_fields(bare_client: redis.Redis) -> None:
    bare_client.xadd(FOUND, {"ref": "100-0", "boxes": "[1, 2, 3, 4]"}, id="150-0")
    (found,) = read_detections(bare_client, "0")
    assert (found.ts_ms, found.people, found.model, found.latency_ms) == (100, 1, "", 50)
    assert np.isnan(found.confidence).all()
    assert found.confidence.shape == (1,)
    assert np.isnan(found.ms)


def test_no_boxes_is_an_empty_array(bare_client: redis.Redis) -> None:
    add_found(bare_client, "1-0", boxes="[]", people=0, confidence="[]")
    (found,) = read_detections(bare_client, "0")
    assert found.xyxy.shape == (0, 4)
    assert found.confidence.shape == (0,)
    assert found.people == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"boxes": "[]"}, "ref is ''"),
        ({"ref": "yesterday", "boxes": "[]"}, "ref is 'yesterday'"),
        ({"ref": "1-0"}, "it has no boxes"),
        ({"ref": "1-0", "boxes": "[1,2,3]"}, "boxes has 3 numbers"),
        ({"ref": "1-0", "boxes": "[[1,2,3,4]]"}, "not a flat JSON list"),
        ({"ref": "1-0", "boxes": "1,2"}, "not a JSON list of numbers"),
        ({"ref": "1-0", "boxes": '["a"]'}, "not a JSON list of numbers"),
        ({"ref": "1-0", "boxes": "[1,2,3,4]", "confidence": "[0.5, 0.5]"}, "confidence has 2 numbers for 1 boxes"),
    ],
)
def test_malformed_entry_is_named(bare_client: redis.Redis, fields: dict[str, str], message: str) -> None:
    bare_client.xadd(FOUND, fields, id="7-0")  # type: ignore[arg-type]
    with pytest.raises(GearError, match="entry 7-0 of camera:0:yolo is malformed: .*" + message.replace("[", r"\[")):
        read_detections(bare_client, "0")


def test_range_and_count(bare_client: redis.Redis) -> None:
    for number in range(1, 6):
        add_found(bare_client, f"{number}-0", f"{number}0-0")
    assert [each.ref for each in read_detections(bare_client, "0", start="20-0", end="40-0")] == ["2-0", "3-0", "4-0"]
    assert [each.ref for each in read_detections(bare_client, "0", count=2)] == ["1-0", "2-0"]
    assert read_detections(bare_client, "nobody") == []


def test_frames_are_read_and_decoded(bare_client: redis.Redis) -> None:
    add_frame(bare_client, 1, "10-0")
    add_frame(bare_client, 2, "20-0")
    frame = read_frame(bare_client, "0", "10-0")
    assert (frame.camera, frame.entry_id, frame.frame_index, frame.ts_ms) == ("0", "10-0", 1, 1000)
    assert frame.image().shape == (24, 32, 3)
    assert latest_frame(bare_client, "0").frame_index == 2
    assert "Frame 10-0 of camera 0: number 1" in repr(frame)
    assert len(repr(frame)) < 200


def test_missing_and_broken_frames(bare_client: redis.Redis) -> None:
    with pytest.raises(NoDataError, match=r"camera:0 has no frame 1-1: .*`wb\.camera\('0'\)\.latest\(\)`"):
        read_frame(bare_client, "0", "1-1")
    with pytest.raises(NoDataError, match="rededge capture"):
        latest_frame(bare_client, "0")
    bare_client.xadd(FRAMES, {"image": jpeg()[:-400]}, id="5-0")
    foreign = latest_frame(bare_client, "0")
    assert (foreign.frame_index, foreign.ts_ms) == (0, 5)
    bare_client.xadd(FRAMES, {"image": b"noise"}, id="6-0")
    with pytest.raises(SourceError, match="the image of frame 6-0 of camera 0 cannot be decoded"):
        latest_frame(bare_client, "0").image()
    bare_client.xadd(FRAMES, {"count": 1}, id="7-0")
    with pytest.raises(SourceError, match=r"frame 7-0 .* no field 'image' \(it has count\)"):
        latest_frame(bare_client, "0")


def test_the_latest_pair_has_the_newest_frame_that_is_still_in_the_stream(bare_client: redis.Redis) -> None:
    with pytest.raises(NoDataError, match="camera:0:yolo is empty"):
        latest_detected_frame(bare_client, "0")
    add_found(bare_client, "1-0", "2-0")
    with pytest.raises(NoDataError, match="none of the newest 1 frames"):
        latest_detected_frame(bare_client, "0")
    for number in (10, 20, 30):
        add_frame(bare_client, number, f"{number}-0")
    # Frame 20 was answered after 10, then 10 once more; 30 waits.
    for ref, entry_id in (("10-0", "31-0"), ("20-0", "32-0"), ("10-0", "33-0")):
        add_found(bare_client, ref, entry_id)
    frame, found = latest_detected_frame(bare_client, "0")
    assert (frame.entry_id, frame.frame_index, found.ref) == ("20-0", 20, "20-0")


def test_failed_frames(bare_client: redis.Redis) -> None:
    bare_client.xadd(ERRORS, {"ref": "3-0", "ts": 99, "reason": "not a picture"}, id="5-0")
    bare_client.xadd(ERRORS, {"ref": "4-0"}, id="6-0")
    first, second = read_errors(bare_client, "0")
    assert (first.entry_id, first.ref, first.ts_ms, first.reason) == ("5-0", "3-0", 99, "not a picture")
    assert (second.ts_ms, second.reason) == (6, "no reason given")
    assert repr(first) == "<FailedFrame 3-0 of camera 0: not a picture>"
    assert read_errors(bare_client, "0", count=1) == [first]


def test_follow_starts_at_the_call_and_ends(bare_client: redis.Redis) -> None:
    add_found(bare_client, "1-0", "1-1")
    following = follow_detections(bare_client, "0", frames=2)
    for number in (2, 3, 4):
        add_found(bare_client, f"{number}-0", f"{number}-1")
    assert [each.ref for each in following] == ["2-0", "3-0"]
    assert list(follow_detections(bare_client, "0", seconds=0.05)) == []
    with pytest.raises(ConfigurationError, match="would never end"):
        follow_detections(bare_client, "0")


def test_follow_waits_for_new_detections(bare_client: redis.Redis) -> None:
    found: list[Detections] = []
    following = follow_detections(bare_client, "0", seconds=30, frames=3)
    thread = threading.Thread(target=lambda: found.extend(following))
    thread.start()
    for number in (1, 2, 3):
        add_found(bare_client, f"{number}-0")
    thread.join(30)
    assert [each.ref for each in found] == ["1-0", "2-0", "3-0"]
