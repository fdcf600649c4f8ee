"""People that the gear follows: what is written of them, and that a frame counts once, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from benchmarks.bare import sample_jpegs
from rededge_nb import schema
from rededge_nb.analytics.saved_tracker import SavedTracker
from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.scene_series import series_of
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server.state import Instance
from tests.waiting import wait_for

START_MS = 1_767_600_000_000
INTERVAL_MS = 100
KILLS = 5
Entries = list[dict[str, Any]]


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return sample_jpegs(120)


@pytest.fixture
def counting(client: redis.Redis) -> redis.Redis:
    provision(client)
    return client


def add_frames(client: redis.Redis, jpegs: Sequence[bytes], *, camera: str = "0", start_ms: int = START_MS) -> None:
    """Adds frames at ten frames a second of their own time, and waits for all of them to be processed."""
    refs = [
        client.xadd(
            schema.frames_key(camera), {"count": 1 + at, "image": jpeg, "ts": start_ms + at * INTERVAL_MS, "keep": 1}
        )
        for at, jpeg in enumerate(jpegs)
    ]
    wait_until_acknowledged(client, refs[-1], camera)


def wait_until_acknowledged(client: redis.Redis, ref: bytes, camera: str = "0") -> None:
    def done() -> bool:
        groups = client.xinfo_groups(schema.frames_key(camera))
        return any(group["last-delivered-id"] == ref and not group["pending"] for group in groups)

    wait_for(done, timeout=60, what="all frames")


def entries(client: redis.Redis, camera: str = "0") -> Entries:
    """The detection entries, without what differs from run to run."""
    numbers = (schema.BOXES, schema.CONFIDENCE, schema.TRACKS, schema.SINCE, schema.PEOPLE, schema.TS)
    of_scenes = (schema.LINES, schema.ZONES)
    found = client.xrange(schema.detections_key(camera))
    return [
        {name: json.loads(fields[name.encode()]) for name in (*numbers, *of_scenes) if name.encode() in fields}
        for _, fields in found
    ]


def finished_tracks(client: redis.Redis, camera: str = "0") -> Entries:
    found = client.xrange(schema.tracks_key(camera))
    return [{name.decode(): json.loads(value) for name, value in fields.items()} for _, fields in found]


def samples(client: redis.Redis, name: str, camera: str = "0") -> list[tuple[int, float]]:
    found = client.execute_command("TS.RANGE", schema.series_key(camera, name), "-", "+")
    return [(at, float(value)) for at, value in found]


def total(client: redis.Redis, name: str, camera: str = "0") -> float:
    return sum(value for _, value in samples(client, name, camera))


def contents(client: redis.Redis) -> dict[bytes, Any]:
    """Everything that the gear has written for camera 0. Events are also written by the worker that watches cameras."""
    others = {schema.events_key("0"), schema.alarms_key("0"), schema.watched_key("0")}
    return {key: client.dump(key) for key in client.keys("camera:0:*") if key.decode() not in others}


def test_people_keep_their_ids_and_each_is_seen_once(counting: redis.Redis, jpegs: list[bytes]) -> None:
    add_frames(counting, jpegs)
    found = entries(counting)
    assert [each["ts"] for each in found] == [START_MS + at * INTERVAL_MS for at in range(len(jpegs))]
    ids = {track for each in found for track in each["tracks"]}
    for each in found:
        assert len(each["tracks"]) == len(set(each["tracks"])) == len(each["since"]) == each["people"]
        assert len(each["boxes"]) == 4 * each["people"]
        assert all(START_MS <= since <= each["ts"] for since in each["since"])
    # eight people by our labels, one of them far away, and one in the last frames only
    assert 6 <= len(ids) <= 10
    assert ids == set(range(1, len(ids) + 1))
    assert total(counting, "seen") == len(ids) == int(counting.get(schema.last_track_key("0")))
    assert samples(counting, "people") == [(each["ts"], each["people"]) for each in found]
    assert len(samples(counting, "detected")) == len(jpegs)
    missed = [value for each in found for value in each["confidence"] if value == 0]
    assert missed, "people behind the sign are shown where they are expected"
    assert not counting.exists(schema.series_key("0", schema.TOO_FEW_FRAMES))


def test_whoever_has_left_has_a_path(counting: redis.Redis, jpegs: list[bytes]) -> None:
    add_frames(counting, jpegs[:40])
    counted = {track for each in entries(counting) for track in each["tracks"]}
    assert finished_tracks(counting) == []
    # after a pause longer than the memory everybody is somebody else
    add_frames(counting, jpegs[:1], start_ms=START_MS + 60_000)
    tracks = finished_tracks(counting)
    assert {track["track"] for track in tracks} == counted
    assert counted.isdisjoint(entries(counting)[-1]["tracks"])
    for track in tracks:
        assert START_MS <= track["first"] <= track["last"] <= START_MS + 39 * INTERVAL_MS
        times = [ts for ts, _, _ in track["path"]]
        assert (times[0], times[-1]) == (track["first"], track["last"])
        assert times == sorted(set(times))
        assert all(0 <= x <= 1 and 0 <= y <= 1 for _, x, y in track["path"])


def test_a_frame_that_is_processed_twice_changes_nothing(counting: redis.Redis, jpegs: list[bytes]) -> None:
    key = schema.frames_key("0")
    add_frames(counting, jpegs[:12])
    counting.xadd(key, {"count": 13, "image": b"no image", "ts": START_MS + 1300, "keep": 1})
    # without `keep` the first of these is dropped
    pipeline = counting.pipeline(transaction=True)
    for at in (14, 15):
        pipeline.xadd(key, {"count": at, "image": jpegs[at], "ts": START_MS + at * INTERVAL_MS})
    *_, last = pipeline.execute()
    wait_until_acknowledged(counting, last)
    assert (total(counting, "in_fps"), total(counting, "out_fps")) == (15, 13)
    assert counting.xlen(schema.errors_key("0")) == 1
    before = contents(counting)
    counting.xgroup_setid(key, schema.GEAR_GROUP, "0")
    wait_until_acknowledged(counting, last)
    assert contents(counting) == before
    counting.xgroup_setid(key, schema.GEAR_GROUP, "0")
    wait_until_acknowledged(counting, counting.xadd(key, {"image": jpegs[16], "ts": START_MS + 1600, "keep": 1}))
    assert total(counting, "in_fps") == 16
    assert entries(counting)[-1]["tracks"] == entries(counting)[-2]["tracks"]


def test_a_stream_that_begins_again_is_counted_even_with_smaller_ids(counting: redis.Redis, jpegs: list[bytes]) -> None:
    key = schema.frames_key("0")
    add_frames(counting, jpegs[:3])
    counting.delete(key)
    for at in range(3):
        counting.xadd(key, {"image": jpegs[at], "ts": START_MS + 1000 + at * INTERVAL_MS, "keep": 1}, id=f"{1 + at}-0")
    wait_for(lambda: len(entries(counting)) == 6, what="the frames of the new stream", timeout=30)


def test_frames_out_of_order_begin_again_with_new_ids(counting: redis.Redis, jpegs: list[bytes]) -> None:
    add_frames(counting, jpegs[:5])
    first = {track for each in entries(counting) for track in each["tracks"]}
    add_frames(counting, jpegs[:5], start_ms=START_MS - 60_000)
    second = {track for each in entries(counting)[5:] for track in each["tracks"]}
    assert first.isdisjoint(second)
    assert len(first) == len(second)
    assert {track["track"] for track in finished_tracks(counting)} == first


@pytest.mark.parametrize(
    "damaged",
    [
        "no JSON",
        "[1, 2]",
        '{"ref": 7, "state": null}',
        '{"ref": "x", "state": null}',
        '{"ref": "1-0", "state": {}}',
        None,
    ],
)
def test_no_id_is_given_twice_when_the_state_is_lost(
    counting: redis.Redis, jpegs: list[bytes], damaged: str | None
) -> None:
    add_frames(counting, jpegs[:3])
    before = {track for each in entries(counting) for track in each["tracks"]}
    if damaged is None:
        counting.delete(schema.tracker_key("0"))
    else:
        counting.set(schema.tracker_key("0"), damaged)
    add_frames(counting, jpegs[3:6], start_ms=START_MS + 300)
    after = {track for each in entries(counting)[3:] for track in each["tracks"]}
    assert after
    assert min(after) > max(before)
    assert SavedTracker.from_text(counting.get(schema.tracker_key("0")).decode()).problem == ""


def test_cameras_are_followed_separately(client: redis.Redis, jpegs: list[bytes]) -> None:
    provision(client, cameras=["a", "b"])
    for camera in ("a", "b"):
        add_frames(client, jpegs[:4], camera=camera)
    assert entries(client, "a") == entries(client, "b")
    assert entries(client, "a")[0]["tracks"][0] == 1


def test_the_confidence_moves_the_thresholds_of_the_tracker(counting: redis.Redis, jpegs: list[bytes]) -> None:
    add_frames(counting, jpegs[:1])
    usual = entries(counting)[-1]["people"]
    for confidence, expected in ((0.1, lambda people: people > usual), (0.95, lambda people: people == 0)):
        counting.hset(schema.GEAR_SETTINGS_KEY, "confidence", confidence)
        shots = iter(range(1, 1000))

        def counted(shots: Iterator[int] = shots, confidence: float = confidence) -> int:
            # each time after a pause: everybody who is detected is counted at once
            add_frames(counting, jpegs[:1], start_ms=START_MS + int(100_000_000 * confidence) + 60_000 * next(shots))
            return int(entries(counting)[-1]["people"])

        wait_for(lambda: expected(counted()), timeout=30, what=f"people with a confidence of {confidence}")  # noqa: B023


def test_the_estimate_of_different_people_is_off_and_can_be_switched_on(
    counting: redis.Redis, jpegs: list[bytes]
) -> None:
    add_frames(counting, jpegs[:1])
    assert not counting.exists(schema.series_key("0", schema.DIFFERENT))
    counting.hset(schema.GEAR_SETTINGS_KEY, "different", "1")
    shots = iter(range(1, 1000))

    def on() -> bool:
        add_frames(counting, jpegs[:3], start_ms=START_MS + 60_000 * next(shots))
        return bool(counting.exists(schema.series_key("0", schema.DIFFERENT)))

    wait_for(on, timeout=30, what="the series")
    start_ms = START_MS + 60_000 * next(shots)
    before = total(counting, "different"), total(counting, "seen")
    add_frames(counting, jpegs[:40], start_ms=start_ms)
    different, seen = total(counting, "different") - before[0], total(counting, "seen") - before[1]
    assert 0 < different <= seen


def test_a_model_with_wrong_outputs_is_reported_for_each_frame(counting: redis.Redis, jpegs: list[bytes]) -> None:
    """The scores are where the boxes should be."""
    onnx = pytest.importorskip("onnx", reason="pip install 'rededge_nb[dev]'")
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 384, 512, 3])
    outputs = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in ("boxes", "scores")]
    values = {"boxes": [[[0.0, 0.0, 9.0, 9.0]]], "scores": [[[7.0]]]}
    nodes = [
        onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.array(value, np.float32)))
        for name, value in values.items()
    ]
    graph = onnx.helper.make_graph(nodes, "wrong", [image], outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=7)
    key = counting.hget(schema.GEAR_SETTINGS_KEY, "model").decode()
    counting.execute_command("AI.MODELSTORE", key, "ONNX", "CPU", "BLOB", model.SerializeToString())
    add_frames(counting, jpegs[:1])
    ((_, fields),) = counting.xrange(schema.errors_key("0"))
    assert b"scores that are not from 0 to 1" in fields[b"reason"]


@pytest.fixture
def bare_instance(folder: Path) -> Instance:
    """A server whose workers the test starts."""
    return server.start(folder, workers=0)


def start_worker(instance: Instance) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rededge_nb.edge.worker"]
    return subprocess.Popen(command, env=os.environ | {"REDIS_URL": instance.url}, stderr=subprocess.DEVNULL)


def test_ids_stay_the_same_when_workers_are_killed(bare_instance: Instance, jpegs: list[bytes]) -> None:
    client = client_from_url(bare_instance.url)
    workers = [start_worker(bare_instance) for _ in range(2)]
    try:
        wait_for(lambda: len(state_client(client).keys("rededge:worker:*")) == 2, what="both workers", timeout=30)
        provision(client, cameras=["calm", "killed"])
        scene = Scene().with_line("left", (0.45, 0), (0.45, 1)).with_line("right", (0.73, 0), (0.73, 1))
        scene = scene.with_zone("lawn", [(0, 0.4), (1, 0.4), (1, 1), (0, 1)])
        for camera in ("calm", "killed"):
            client.set(schema.scene_key(camera), scene.to_json())
        add_frames(client, jpegs, camera="calm")
        refs = [
            client.xadd("camera:killed", {"count": at, "image": jpeg, "ts": START_MS + at * INTERVAL_MS, "keep": 1})
            for at, jpeg in enumerate(jpegs)
        ]
        done = 0
        for kill in range(KILLS):
            # each time after some progress: a frame over which two workers die pauses the gear
            done = wait_for(
                lambda least=done + 2: (n := client.xlen("camera:killed:yolo")) >= least and n,
                what="progress",
                timeout=60,
            )
            lease = key_names.lease(client, "camera:killed")
            owner = wait_for(lambda key=lease: state_client(client).get(key), what="an owner")
            (number,) = [at for at, worker in enumerate(workers) if b"-%d-" % worker.pid in owner]
            workers[number].send_signal(signal.SIGKILL)
            workers[number].wait()
            workers[number] = start_worker(bare_instance)
            assert client.xlen("camera:killed:yolo") < len(jpegs), f"all frames were processed after {kill} kills"
        wait_until_acknowledged(client, refs[-1], "killed")
        assert entries(client, "killed") == entries(client, "calm")
        assert finished_tracks(client, "killed") == finished_tracks(client, "calm")
        for name in ("people", "seen", "detected", "in_fps", "out_fps", *series_of(scene)):
            assert samples(client, name, "killed") == samples(client, name, "calm"), name
    finally:
        client.close()
        for worker in workers:
            worker.kill()
            worker.wait()
