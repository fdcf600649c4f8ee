"""Cameras of which no image is stored: the capture finds the people, and no pixel is in Redis or in its files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from benchmarks.bare import sample_jpegs
from rededge_nb import schema
from rededge_nb.analytics.boxes_only import FOUND, SIZE, FoundPeople, found_people, is_boxes_only
from rededge_nb.analytics.scene import Scene
from rededge_nb.camera import Camera
from rededge_nb.capture.captures import Captures
from rededge_nb.capture.options import CaptureOptions
from rededge_nb.capture.run import capture, start_capture
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.provision import provision
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import SceneError, SourceError
from rededge_nb.reading.frames import latest_frame
from tests.waiting import wait_for

FRAMES = 12
RECORDED: CaptureOptions = {"pace": "asap", "fps": 10.0, "start": "2026-01-05T10:00:00Z"}
"""The frames have the same times in each run, so that the tracker says the same."""
KEY = schema.frames_key("0")
SLICE = slice(4000, 4040)
"""Some bytes of each JPEG that nothing else has."""


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return sample_jpegs(FRAMES)


@pytest.fixture
def folder(jpegs: list[bytes], tmp_path: Path) -> str:
    for number, jpeg in enumerate(jpegs):
        (tmp_path / f"{number:02}.jpg").write_bytes(jpeg)
    return str(tmp_path)


@pytest.fixture
def provisioned(client: redis.Redis) -> redis.Redis:
    provision(client)
    return client


def detections(client: redis.Redis) -> list[list[object]]:
    names = (schema.PEOPLE, schema.BOXES, schema.CONFIDENCE, schema.TRACKS, schema.MODEL)
    found = client.xrange(schema.detections_key("0"))
    return [[fields[name.encode()] for name in names] for _, fields in found]


def with_images(client: redis.Redis) -> list[bytes]:
    return [entry_id for entry_id, fields in client.xrange(KEY) if schema.IMAGE.encode() in fields]


def in_files(instance: Instance, jpegs: list[bytes]) -> bool:
    """Whether a part of one of the images is in a file of the server."""
    contents = [path.read_bytes() for path in instance.dir.rglob("*") if path.is_file()]
    return any(jpeg[SLICE] in content for jpeg in jpegs for content in contents)


def in_redis(client: redis.Redis, jpegs: list[bytes]) -> bool:
    """Whether a part of one of the images is in any key."""
    values: list[bytes] = []
    for key in client.scan_iter():
        match client.type(key):
            case b"stream":
                values += [value for _, fields in client.xrange(key) for value in fields.values()]
            case b"hash":
                values += client.hvals(key)
            case b"string":
                values.append(client.get(key) or b"")
    return any(jpeg[SLICE] in value for jpeg in jpegs for value in values)


def test_the_same_people_are_found_and_no_image_is_stored(
    provisioned: redis.Redis, edge: Instance, folder: str, jpegs: list[bytes]
) -> None:
    CameraScene(provisioned, "0").boxes_only()
    report = capture(provisioned, folder, **RECORDED)
    assert report.frames == FRAMES
    assert not in_redis(provisioned, jpegs)
    without = detections(provisioned)
    assert sum(int(people) for people, *_ in without) > FRAMES
    # the file is written once a second: the end of what is written is there when this word is
    provisioned.set("word", "the-end-of-what-was-written")
    wait_for(lambda: _is_in_files(edge, b"the-end-of-what-was-written"), timeout=30, what="the file to be written")
    assert not in_files(edge, jpegs)
    assert provisioned.xlen(schema.errors_key("0")) == 0
    steps = {name: provisioned.ts().get(schema.series_key("0", schema.step_series(name))) for name in ("read", "model")}
    assert all(value > 0 for _, value in steps.values())

    provisioned.delete(KEY, schema.detections_key("0"), schema.tracker_key("0"), schema.last_track_key("0"))
    CameraScene(provisioned, "0").boxes_only(False)
    capture(provisioned, folder, **RECORDED)
    assert detections(provisioned) == without
    assert in_redis(provisioned, jpegs)
    wait_for(lambda: in_files(edge, jpegs), timeout=30, what="the file to be written")
    CameraScene(provisioned, "0").boxes_only()
    assert not in_redis(provisioned, jpegs)
    wait_for(lambda: not in_files(edge, jpegs), timeout=30, what="the file to be written again")


def _is_in_files(instance: Instance, word: bytes) -> bool:
    return any(word in path.read_bytes() for path in instance.dir.rglob("*.aof"))


def test_a_running_capture_follows_and_no_frame_is_lost(provisioned: redis.Redis) -> None:
    scene = CameraScene(provisioned, "0")
    with start_capture(provisioned, "synthetic:people=2,size=320x240", pace="asap", frames=60) as running:
        for on in (True, False, True):
            before = running.report.frames
            wait_for(lambda least=before + 5: running.report.frames >= least, timeout=60, what="frames")
            scene.boxes_only(on)
        report = running.wait(120)
    assert provisioned.xlen(schema.detections_key("0")) == report.frames == 60
    assert with_images(provisioned) == []


def test_an_image_of_another_client_is_counted_and_removed(provisioned: redis.Redis, jpegs: list[bytes]) -> None:
    provisioned.set(schema.scene_key("0"), Scene(version=1, boxes_only=True).to_json())
    for jpeg in jpegs[:3]:
        provisioned.xadd(KEY, {schema.IMAGE: jpeg, schema.KEEP: 1})
    wait_for(lambda: provisioned.xlen(schema.detections_key("0")) == 3, timeout=60, what="detections")
    assert provisioned.xlen(KEY) == 0


def test_live_views_draw_on_grey_or_on_the_still_image(provisioned: redis.Redis, folder: str) -> None:
    camera = Camera(provisioned, "0", Captures(provisioned))
    camera.scene.boxes_only()
    camera.capture(folder, pace="asap", frames=2)
    frame, found = camera.latest()
    grey = frame.image()
    assert not frame.stored
    assert "boxes only" in repr(frame)
    assert grey.shape == (576, 768, 3)
    assert int(grey.max()) - int(grey.min()) < 4
    assert len(found) > 0
    camera.scene.still(np.full((100, 100, 3), (0, 0, 200), np.uint8))
    red = latest_frame(provisioned, "0").image()
    assert red.shape == grey.shape
    assert red[..., 2].min() > 150 > red[..., 0].max()
    camera.scene.still(None)
    assert np.array_equal(latest_frame(provisioned, "0").image(), grey)
    with pytest.raises(SourceError, match="cannot be read"):
        camera.scene.still("nosuch.jpg")


def test_without_a_model_no_frame_is_sent(client: redis.Redis, folder: str) -> None:
    CameraScene(client, "0").boxes_only()
    with pytest.raises(SceneError, match=r"camera:0:scene\.boxes_only: .* has to find the people, and cannot"):
        capture(client, folder, pace="asap", stall_timeout=0.1)
    assert client.xlen(KEY) == 0


def test_the_user_capture_may_do_it(provisioned: redis.Redis, edge: Instance, folder: str) -> None:
    CameraScene(provisioned, "0").boxes_only()
    with client_from_url(edge.url_of("capture")) as limited:
        assert capture(limited, folder, pace="asap").frames == FRAMES


@pytest.mark.parametrize(
    "broken",
    [{FOUND: "[[1]]"}, {FOUND: "no"}, {SIZE: "0x0"}, {SIZE: "axb"}, {FOUND: "[[1,2,3,4,NaN]]"}, {"steps": "1"}],
)
def test_a_damaged_entry_is_an_error_with_a_reason(provisioned: redis.Redis, broken: dict[str, str]) -> None:
    fields = FoundPeople(np.array([[1, 2, 30, 40, 0.5]], np.float32), (64, 48), "m", 1, {"read": 1.0}).as_fields()
    assert found_people(fields).found.tolist() == json.loads(str(fields[FOUND]))
    damaged = {**fields, **broken}
    with pytest.raises(ValueError, match="found"):
        found_people(damaged)
    if FOUND in broken:
        provisioned.xadd(KEY, {**damaged, schema.TS: 1})  # type: ignore[dict-item]
        wait_for(lambda: provisioned.xlen(schema.errors_key("0")) == 1, timeout=30, what="the error")


def test_a_scene_that_cannot_be_read_is_not_boxes_only() -> None:
    assert is_boxes_only(Scene(boxes_only=True).to_json())
    assert not is_boxes_only(Scene().to_json())
    assert not is_boxes_only("no scene")
    assert not is_boxes_only(None)


def test_a_large_still_image_is_made_smaller(client: redis.Redis) -> None:
    CameraScene(client, "0").still(np.zeros((3000, 4000, 3), np.uint8))
    stored = client.get(schema.still_key("0"))
    assert stored is not None
    assert cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR).shape == (1440, 1920, 3)
