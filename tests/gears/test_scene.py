"""Lines and zones in the gear: series, entries, exactly once, a scene that changes or cannot be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from benchmarks.bare import sample_jpegs
from rededge_nb import schema
from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.scene_series import keys_of, series_of
from rededge_nb.capture.options import CaptureOptions
from rededge_nb.capture.run import capture
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.provision import provision
from tests.gears.test_tracks import INTERVAL_MS, START_MS, add_frames, contents, samples, total, wait_until_acknowledged
from tests.paths import WALKING

SCENE = (
    Scene(version=1)
    .with_line("left", (346 / 768, 0), (346 / 768, 1))
    .with_line("right", (560 / 768, 0), (560 / 768, 1))
    .with_zone("lawn", [(0, 0.4), (1, 0.4), (1, 1), (0, 1)])
)


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return sample_jpegs(160)


@pytest.fixture
def counting(client: redis.Redis) -> redis.Redis:
    provision(client)
    client.set(schema.scene_key("0"), SCENE.to_json())
    return client


def test_a_recording_that_is_counted_again_counts_once_in_the_totals_as_in_the_series(counting: redis.Redis) -> None:
    CameraScene(counting, "0").line("path", (0.6, 0), (0.6, 1)).remove("left").remove("right")
    video: CaptureOptions = {"pace": "asap", "seconds": 5.0}

    def counted() -> tuple[Any, Any]:
        lines, (_, _, entries, exits) = newest(counting)["lines"], newest(counting)["zones"]["lawn"]
        sums = [total(counting, f"line:path:{direction}") for direction in ("forward", "backward")]
        assert lines["path"] == sums
        # those who are in the zone at the end leave it with the next frame
        assert len(samples(counting, "zone:lawn:dwell")) == exits
        return lines, entries - exits

    capture(counting, WALKING, **video)
    first = counted()
    assert sum(first[0]["path"]) > 0
    capture(counting, WALKING, **video)  # moved to the present
    assert counted() == first
    earlier = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for _ in range(2):  # to another time, and in its place
        capture(counting, WALKING, **video, start=earlier)
        assert counted() == first
    assert not counting.exists(schema.removed_key("0"))


def newest(client: redis.Redis) -> dict[str, Any]:
    ((_, found),) = client.xrevrange(schema.detections_key("0"), count=1)
    return {name: json.loads(found[name.encode()]) for name in (schema.SCENE, schema.LINES, schema.ZONES)}


def test_crossings_and_people_in_zones_are_in_the_series_and_in_the_entries(
    counting: redis.Redis, jpegs: list[bytes]
) -> None:
    add_frames(counting, jpegs)
    lines = newest(counting)["lines"]
    for name, (forward, backward) in lines.items():
        assert total(counting, f"line:{name}:forward") == forward
        assert total(counting, f"line:{name}:backward") == backward
        ((_, by_hour),) = counting.execute_command(
            "TS.RANGE", f"camera:0:line:{name}:forward:sum:60m", "-", "+", "LATEST"
        ) or [(0, 0)]
        assert float(by_hour) == forward
    assert sum(map(sum, lines.values())) >= 4
    people, longest, entries, exits = newest(counting)["zones"]["lawn"]
    assert [value for _, value in samples(counting, "zone:lawn:people")][-1] == people
    assert len(samples(counting, "zone:lawn:people")) == len(jpegs)
    assert len(samples(counting, "zone:lawn:dwell")) == exits
    assert entries - exits >= people
    assert longest > 3
    # after a pause everybody has left, and the track says where they went
    add_frames(counting, jpegs[:1], start_ms=START_MS + 60_000)
    tracks = [fields for _, fields in counting.xrange(schema.tracks_key("0"))]
    crossed = [json.loads(fields[b"lines"]) for fields in tracks]
    for name, counts in lines.items():
        assert [sum(each.get(name, [0, 0])[way] for each in crossed) for way in (0, 1)] == counts
    stayed = sum(json.loads(fields[b"zones"]).get("lawn", 0) for fields in tracks)
    assert stayed == pytest.approx(sum(value for _, value in samples(counting, "zone:lawn:dwell")), abs=0.01)


def test_the_series_have_labels_and_compactions(counting: redis.Redis, jpegs: list[bytes]) -> None:
    add_frames(counting, jpegs[:1])
    for series in series_of(SCENE):
        for key, _ in keys_of("camera:0", series):
            assert counting.exists(key), key
    found = counting.execute_command("TS.QUERYINDEX", "__name__=line_forward")
    assert set(found) == {b"camera:0:line:left:forward", b"camera:0:line:right:forward"}
    found = counting.execute_command("TS.QUERYINDEX", "camera=0", "zone=lawn", "__name__=zone_people_max_15m")
    assert found == [b"camera:0:zone:lawn:people:max:15m"]


def test_a_frame_that_is_processed_twice_counts_once(counting: redis.Redis, jpegs: list[bytes]) -> None:
    add_frames(counting, jpegs[:60])
    before = contents(counting)
    key = schema.frames_key("0")
    counting.xgroup_setid(key, schema.GEAR_GROUP, "0")
    wait_until_acknowledged(counting, counting.xrevrange(key, count=1)[0][0])
    assert contents(counting) == before


def test_a_changed_scene_is_in_force_with_the_next_frame_and_counts_continue(
    counting: redis.Redis, jpegs: list[bytes]
) -> None:
    add_frames(counting, jpegs[:80])
    before = newest(counting)
    assert sum(map(sum, before["lines"].values())) > 0
    changed = SCENE.without("right").with_zone("path", [(0, 0), (1, 0), (1, 0.4)])
    counting.set(schema.scene_key("0"), changed.to_json().replace('"version":1', '"version":2'))
    add_frames(counting, jpegs[80:81], start_ms=START_MS + 80 * INTERVAL_MS)
    after = newest(counting)
    assert after["scene"] == 2
    assert after["lines"]["left"] == before["lines"]["left"]
    assert set(after["zones"]) == {"lawn", "path"}
    assert counting.exists("camera:0:zone:path:people:avg:1m", "camera:0:line:right:forward") == 2


def test_a_scene_that_cannot_be_read_does_not_stop_counting_people(counting: redis.Redis, jpegs: list[bytes]) -> None:
    add_frames(counting, jpegs[:30])
    before = newest(counting)["lines"]
    counting.set(schema.scene_key("0"), "{")
    add_frames(counting, jpegs[30:33], start_ms=START_MS + 30 * INTERVAL_MS)
    ((_, found),) = counting.xrevrange(schema.detections_key("0"), count=1)
    assert int(found[b"people"]) > 0
    assert b"lines" not in found
    assert len(samples(counting, "zone:lawn:people")) == 30
    counting.set(schema.scene_key("0"), SCENE.to_json())
    add_frames(counting, jpegs[33:34], start_ms=START_MS + 33 * INTERVAL_MS)
    assert newest(counting)["lines"] == before
