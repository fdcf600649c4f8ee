"""Live frames that the model need not see: what the gear writes for them, and when it looks again."""

from __future__ import annotations

import json

import pytest
import redis

from benchmarks.bare import sample_jpegs
from rededge_nb import schema
from rededge_nb.control.provision import provision
from tests.gears.test_tracks import entries, samples, total, wait_until_acknowledged

START_MS = 1_767_600_000_000


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return sample_jpegs(60)


@pytest.fixture
def counting(client: redis.Redis) -> redis.Redis:
    provision(client)
    return client


def add(client: redis.Redis, jpeg: bytes, ts_ms: int, number: int = 0, **more: int) -> None:
    """Adds a frame and waits for it: the worker is never too busy."""
    fields = {"count": number, "image": jpeg, "ts": ts_ms, **more}
    wait_until_acknowledged(client, client.xadd(schema.frames_key("0"), fields))


def predicted(client: redis.Redis, camera: str = "0") -> list[int]:
    return [int(fields[b"predicted"]) for _, fields in client.xrange(schema.detections_key(camera))]


def test_where_nothing_moves_people_are_where_they_were(counting: redis.Redis, jpegs: list[bytes]) -> None:
    for number in range(40):
        add(counting, jpegs[0], START_MS + 100 * number)
    found = entries(counting)
    assert len(found) == 40
    assert {each["people"] for each in found} == {found[0]["people"]}
    assert found[0]["people"] > 0
    seen = predicted(counting)
    assert seen[0] == 0
    # once more after two seconds, and while somebody is unsure
    assert 2 <= seen.count(0) <= 10
    assert sum(seen[-15:]) >= 13
    assert total(counting, "looked_fps") == seen.count(0)
    assert total(counting, "out_fps") == 40
    assert len(samples(counting, "people")) == 40
    assert len(samples(counting, "detected")) == seen.count(0)
    assert not counting.exists(schema.series_key("0", schema.TOO_FEW_FRAMES)), "nobody moves"


def test_where_people_walk_the_model_looks_at_all_that_it_has_time_for(
    counting: redis.Redis, jpegs: list[bytes]
) -> None:
    for number, jpeg in enumerate(jpegs[:20]):
        add(counting, jpeg, START_MS + 100 * number)
    assert predicted(counting) == [0] * 20


def test_slow_cameras_whose_frames_come_together_are_all_looked_at(client: redis.Redis, jpegs: list[bytes]) -> None:
    """The model is busy with some of them whenever a frame of another one comes."""
    cameras = [str(number) for number in range(6)]
    provision(client, cameras=cameras)
    for second, jpeg in enumerate(jpegs[:5]):
        with client.pipeline() as together:
            for camera in cameras:
                together.xadd(schema.frames_key(camera), {"image": jpeg, "ts": START_MS + 1000 * second})
            ids = together.execute()
        for camera, entry_id in zip(cameras, ids, strict=True):
            wait_until_acknowledged(client, entry_id, camera)
    for camera in cameras:
        assert predicted(client, camera) == [0] * 5, camera


def test_every_second_frame_of_a_recording(counting: redis.Redis, jpegs: list[bytes]) -> None:
    counting.hset(schema.GEAR_SETTINGS_KEY, "detect_every", "2")
    number = 0
    # the settings are read once a second
    while predicted(counting).count(1) < 8 and number < 400:
        number += 1
        add(counting, jpegs[number % len(jpegs)], START_MS + 100 * number, number, keep=1)
    numbers = [1 + at for at, value in enumerate(predicted(counting)) if value]
    assert len(numbers) == 8
    assert all(number % 2 for number in numbers)
    assert {each["people"] for each in entries(counting)[numbers[0] - 1 :]} != {0}


def test_a_camera_that_begins_again_is_looked_at(counting: redis.Redis, jpegs: list[bytes]) -> None:
    for number in range(5):
        add(counting, jpegs[0], START_MS + 100 * number)
    counting.delete(*counting.keys("camera:0*"))
    provision(counting)
    add(counting, jpegs[0], START_MS + 600)
    assert predicted(counting) == [0]
    assert entries(counting)[0]["people"] > 0


def test_frames_out_of_order_are_looked_at(counting: redis.Redis, jpegs: list[bytes]) -> None:
    for ts_ms in (1000, 1100, 1200, 1300, 900, 1000):
        add(counting, jpegs[0], START_MS + ts_ms)
    assert predicted(counting)[4] == 0
    assert len(entries(counting)) == 6


def test_a_wrong_setting_is_an_error_of_each_frame(counting: redis.Redis, jpegs: list[bytes]) -> None:
    counting.hset(schema.GEAR_SETTINGS_KEY, "motion_gate", "perhaps")
    ts_ms = START_MS
    while not counting.xlen(schema.errors_key("0")):
        add(counting, jpegs[0], ts_ms)
        ts_ms += 100
        assert ts_ms < START_MS + 60_000
    ((_, fields),) = counting.xrange(schema.errors_key("0"), count=1)
    assert b"motion_gate is 'perhaps': take one of auto, on, off" in fields[b"reason"]


def test_a_frame_that_is_no_image_is_an_error_where_nothing_moves(counting: redis.Redis, jpegs: list[bytes]) -> None:
    for number in range(5):
        add(counting, jpegs[0], START_MS + 100 * number)
    add(counting, b"rubbish", START_MS + 500)
    assert counting.xlen(schema.errors_key("0")) == 1
    add(counting, jpegs[0], START_MS + 600)
    assert predicted(counting)[-1] == 0, "the model looks again after it"


def test_damaged_tracks_do_not_stop_the_gear(counting: redis.Redis, jpegs: list[bytes]) -> None:
    for number in range(5):
        add(counting, jpegs[0], START_MS + 100 * number)
    saved = json.loads(counting.get(schema.tracker_key("0")))
    counting.set(schema.tracker_key("0"), json.dumps({**saved, "state": {"format": 99}}))
    for number in range(5, 8):
        add(counting, jpegs[0], START_MS + 100 * number)
    assert predicted(counting)[-1] == 0 or predicted(counting)[-2] == 0, "the model has looked again"
    assert entries(counting)[-1]["people"] > 0


def test_damaged_boxes_of_a_capture_are_an_error_of_their_frame(counting: redis.Redis) -> None:
    wait_until_acknowledged(counting, counting.xadd(schema.frames_key("0"), {"found": "rubbish", "ts": START_MS}))
    ((_, fields),) = counting.xrange(schema.errors_key("0"))
    assert b"damaged" in fields[b"reason"]
