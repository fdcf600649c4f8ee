"""The bundled gear on real frames: what it writes and drops, which errors it reports, and that it loses nothing."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import redis

from rededge_nb import schema
from rededge_nb.capture.run import capture, start_capture
from rededge_nb.capture.sources import open_source
from rededge_nb.control.gears import list_registrations
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.frames import read_errors
from rededge_nb.reading.series import create_series, read_many
from rededge_nb.reading.summary import pending_frames, summarize
from tests.waiting import wait_for


@pytest.fixture
def counting(client: redis.Redis) -> redis.Redis:
    provision(client)
    return client


def jpeg_of(video: Path) -> bytes:
    with open_source(video) as source:
        image = source.read_image()
    ok, jpeg = cv2.imencode(".jpg", image)
    assert ok
    return jpeg.tobytes()


def answered(client: redis.Redis, refs: list[bytes], camera: str = "0") -> bool:
    done = {entry.ref for entry in read_detections(client, camera)} | {e.ref for e in read_errors(client, camera)}
    return {ref.decode() for ref in refs} <= done


def test_every_frame_of_a_file_is_counted(counting: redis.Redis, video: Path) -> None:
    report = capture(counting, video, pace="asap", frames=40)
    assert (report.frames, report.refused) == (40, 0)
    wait_for(lambda: pending_frames(counting, "0") == 0, what="the last acknowledgement")
    summary = summarize(counting, "0", [report.capture])
    assert (summary.frames_in, summary.processed, summary.dropped, summary.failed) == (40, 40, 0, 0)
    refs = [entry_id.decode() for entry_id, _ in counting.xrange(schema.frames_key("0"))]
    assert [detections.ref for detections in read_detections(counting, "0")] == refs
    # the first four seconds of the video, counted by eye: 5 to 7 people, the far ones hard to see
    assert 3.5 <= summary.people_mean <= 7


def test_the_gear_writes_what_the_schema_says(counting: redis.Redis, video: Path) -> None:
    with open_source(video) as source:
        width, height = source.size_wh
    capture(counting, video, pace="asap", frames=3)
    ((_, fields),) = counting.xrevrange(schema.detections_key("0"), count=1)
    names = {name.decode() for name in fields}
    assert names == {
        schema.REF, schema.TS, schema.BOXES, schema.PEOPLE, schema.CONFIDENCE, schema.TRACKS, schema.SINCE,
        schema.MODEL, schema.MS, schema.PREDICTED, schema.CAPTURE, schema.CAPTURED,
    }  # fmt: skip
    boxes = np.array(json.loads(fields[b"boxes"])).reshape(-1, 4)
    confidence = json.loads(fields[b"confidence"])
    assert len(boxes) == len(confidence) == int(fields[b"people"]) > 0
    assert (boxes[:, 2] > boxes[:, 0]).all()
    assert (boxes[:, 3] > boxes[:, 1]).all()
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= width
    assert boxes[:, 3].max() <= height
    assert all(value == 0 or 0.35 <= value <= 1 for value in confidence)
    assert fields[b"model"] == b"model:nanodet-g-two-sizes"
    for name, series in read_many(counting, "0", schema.raw_series_names()).items():
        # prf_store is the time to store the frame before; frames per second have one sample per second
        minimum = 1 if schema.sums(name) else 2 if name == "prf_store" else 3
        assert len(series) >= minimum, name
        assert series.labels == schema.labels("0", name)
    assert sum(read_many(counting, "0", ["in_fps"])["in_fps"].values) == 3


def test_bad_frames_go_to_the_errors_stream_and_the_gear_continues(counting: redis.Redis, video: Path) -> None:
    jpeg = jpeg_of(video)
    key = schema.frames_key("0")
    bad = [
        counting.xadd(key, {"count": 1, "image": jpeg[: len(jpeg) // 2], "keep": 1}),
        counting.xadd(key, {"count": 2, "keep": 1}),
        counting.xadd(key, {"count": 3, "image": os.urandom(1_000_000), "keep": 1}),
        counting.xadd(key, {"count": 4, "image": b"", "keep": 1}),
        counting.xadd(key, {"count": 5, "image": b"plain text", "ts": "nonsense", "keep": 1}),
    ]
    good = counting.xadd(key, {"count": 6, "image": jpeg, "keep": 1})
    wait_for(lambda: answered(counting, [*bad, good]), what="a result for every frame")
    errors = read_errors(counting, "0")
    assert [error.ref for error in errors] == [entry_id.decode() for entry_id in bad]
    reasons = [error.reason for error in errors]
    assert "truncated" in reasons[0]
    assert "no field 'image'" in reasons[1]
    assert all("not an image" in reason for reason in reasons[2:])
    assert read_detections(counting, "0")[-1].ref == good.decode()
    (registration,) = list_registrations(counting)
    assert (registration.status, registration.failed) == ("OK", 0)


def test_older_frames_are_dropped_when_newer_ones_wait(counting: redis.Redis, video: Path) -> None:
    counting.hset(schema.GEAR_SETTINGS_KEY, "detect_every", "1")
    jpeg = jpeg_of(video)
    key = schema.frames_key("0")
    pipeline = counting.pipeline(transaction=True)
    for number in range(100):
        pipeline.xadd(key, {"count": number, "image": jpeg})
    ids = pipeline.execute()
    wait_for(lambda: answered(counting, [ids[-1]]), what="the newest frame")
    processed = [detections.ref for detections in read_detections(counting, "0")]
    assert processed == [ids[-1].decode()]
    wait_for(lambda: sum(read_many(counting, "0", ["in_fps"])["in_fps"].values) == 100, what="all frames to be counted")
    assert sum(read_many(counting, "0", ["out_fps"])["out_fps"].values) == 1


def test_frames_of_another_producer_need_no_preparation(client: redis.Redis, video: Path) -> None:
    """As the original RedisEdge captures: no `ts`, no series created beforehand."""
    provision(client)
    for key in client.scan_iter("camera:0:*"):
        client.delete(key)
    entry_id = client.xadd("camera:0", {"count": 1, "image": jpeg_of(video)})
    wait_for(lambda: answered(client, [entry_id]), what="the frame")
    made = wait_for(lambda: client.exists("camera:0:latency") and client.ts().info("camera:0:in_fps"), what="series")
    assert made.labels == schema.labels("0", "in_fps")
    # the gear makes series without compaction rules; `rededge init` adds those
    changes = create_series(client, "0")
    assert any("rule" in change for change in changes)
    assert create_series(client, "0") == []


def test_settings_reach_the_running_gear(counting: redis.Redis, video: Path) -> None:
    capture(counting, video, pace="asap", frames=1)
    assert read_detections(counting, "0")[-1].people > 0
    counting.hset(schema.GEAR_SETTINGS_KEY, "confidence", "0.99")
    wait_for(
        lambda: capture(counting, video, pace="asap", frames=1) and read_detections(counting, "0")[-1].people == 0,
        what="a threshold that no detection reaches",
        timeout=30,
    )


def test_without_a_model_frames_wait_and_none_is_lost(counting: redis.Redis, video: Path) -> None:
    counting.execute_command("AI.MODELDEL", "model:nanodet-g-two-sizes")
    entry_id = counting.xadd("camera:0", {"count": 1, "image": jpeg_of(video), "keep": 1})
    waiting = wait_for(
        lambda: [found for found in list_registrations(counting) if found.last_error], what="the reason in lastError"
    )
    assert "given key do not contain RedisAI model" in waiting[0].last_error
    provision(counting)
    wait_for(lambda: answered(counting, [entry_id]), what="the frame, after the model was stored again")
    wait_for(lambda: list_registrations(counting)[0].status == "OK", what="the status")


@pytest.fixture
def own_instance(folder: Path) -> Iterator[tuple[int, redis.Redis]]:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    provision(client)
    yield instance.pid, client
    client.close()


def test_a_killed_worker_loses_no_frame(own_instance: tuple[int, redis.Redis], video: Path) -> None:
    supervisor, client = own_instance
    running = start_capture(client, video, pace="asap", frames=60)
    for done in (10, 30):
        wait_for(lambda done=done: client.xlen(schema.detections_key("0")) >= done, what=f"{done} frames", timeout=30)
        for child in psutil.Process(supervisor).children():
            if "rededge_nb.edge.worker" in child.cmdline():
                child.kill()
    report = running.wait(60)
    assert report.frames == 60
    refs = [entry_id for entry_id, _ in client.xrange(schema.frames_key("0"))]
    assert len(refs) == 60
    assert answered(client, refs)
    detections = read_detections(client, "0")
    assert len(detections) == 60, "a frame in progress when the worker died is processed again, and counted once"
    assert len(read_many(client, "0", ["people"])["people"]) == 60


def test_two_cameras_at_the_same_time(client: redis.Redis, video: Path) -> None:
    provision(client, cameras=["a", "b"])
    threads = [
        threading.Thread(target=capture, args=(client, video), kwargs={"camera": camera, "pace": "asap", "frames": 8})
        for camera in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(read_detections(client, camera)) for camera in ("a", "b")] == [8, 8]
    assert {found.stream for found in list_registrations(client)} == {"camera:a", "camera:b"}
