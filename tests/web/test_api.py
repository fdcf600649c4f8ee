"""Cameras, detections, health and metrics."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from rededge_nb import schema
from rededge_nb.edge.server.state import Instance
from rededge_nb.reading.seen import midnight_ms
from rededge_nb.reading.series import create_series
from rededge_nb.web import WebServer
from tests.bare import bare_server
from tests.recorded import end_recording, feed_with_recording
from tests.waiting import wait_for
from tests.web.site import TOKEN, Camera, ask

pytest_plugins = ("tests.bare_fixtures",)


@contextmanager
def serving(url: str) -> Iterator[int]:
    with WebServer(url, port=0, token=TOKEN) as server:
        yield server.port


def metrics(port: int) -> dict[tuple[str, str], float]:
    """Values by name of the metric and its first label's value."""
    answer = ask(port, "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.body.decode()))
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    samples = [sample for family in families for sample in family.samples]
    found = {(each.name, next(iter(each.labels.values()), "")): each.value for each in samples}
    assert len(found) == len(samples)
    return found


def test_cameras_are_those_with_registration_series_or_frames(port: int, bare_client: redis.Redis) -> None:
    assert ask(port, "/api/cameras").json == {"cameras": []}
    bare_client.sadd(schema.CAMERAS_KEY, "10", "a b")
    create_series(bare_client, "garden")
    newest = Camera(bare_client, "2").frame()
    bare_client.xadd("camera:2:yolo", {"x": 1})
    bare_client.set("camera:3", "no stream")
    event = {"event": "5-0", "kind": "camera_silent", "ts": "5", "alarm": "silence-5"}
    bare_client.hset(schema.alarms_key("10"), "silence-5", json.dumps(event))
    found = ask(port, "/api/cameras").json["cameras"]
    assert [each["id"] for each in found] == ["2", "10", "garden"]
    assert [each["registered"] for each in found] == [False, True, False]
    assert [each["silent"] for each in found] == [False, True, False]
    assert [each["frames"] for each in found] == [1, 0, 0]
    assert [each["newest_frame"] for each in found] == [newest, None, None]
    assert 0 <= found[0]["seconds_since_frame"] < 3600


def test_a_key_that_is_not_a_stream_is_reported(port: int, bare_client: redis.Redis) -> None:
    bare_client.sadd(schema.CAMERAS_KEY, "0")
    bare_client.set("camera:0", "no stream")
    answer = ask(port, "/api/cameras")
    assert answer.status == 502
    assert "WRONGTYPE" in answer.json["error"]


def test_detections_are_the_newest(port: int, camera: Camera) -> None:
    assert ask(port, "/api/detections").json == {"camera": "0", "detections": [], "malformed": 0}
    camera.detected()
    ref = camera.frame()
    camera.detect(ref, tracks="[7]", model="m", ms="12.5", confidence="[NaN]")
    camera.detect(camera.frame(), boxes="[1, 2, 3]")
    answer = ask(port, "/api/detections?camera=0&count=3").json
    assert (len(answer["detections"]), answer["malformed"]) == (2, 1)
    newest = answer["detections"][0]
    assert newest["ref"] == ref
    assert newest["boxes"] == [list(Camera.BOX)]
    assert (newest["tracks"], newest["model"], newest["ms"], newest["confidence"]) == ([7], "m", 12.5, [None])
    assert len(ask(port, "/api/detections?count=2").json["detections"]) == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/api/detections?count=0", "count is '0': take a whole number from 1 to 1000"),
        ("/api/detections?count=1001", "count is '1001'"),
        ("/api/detections?count=ten", "count is 'ten'"),
        ("/api/detections?camera=a%20b", "camera id 'a b' cannot be used"),
        ("/video?camera=", "camera id '' cannot be used"),
        ("/snapshot.jpg?camera=camera:0", "camera id 'camera:0' cannot be used"),
        ("/?camera=%3Cscript%3E", "camera id '<script>' cannot be used"),
        ("/video?camera=%ff", "Invalid unicode"),
    ],
)
def test_wrong_arguments_are_refused_with_the_reason(port: int, path: str, reason: str) -> None:
    answer = ask(port, path)
    assert answer.status == 400
    assert reason in answer.json["error"]
    assert answer.body.count(b"\n") == 1


def test_health_follows_redis_and_workers(edge: Instance, redis_url: str) -> None:
    with serving(edge.url) as port:
        # a worker that has just begun has not given a sign of life yet
        wait_for(lambda: ask(port, "/healthz").status == 200, timeout=60, what="a worker")
        answer = ask(port, "/healthz").json
        assert answer["status"] == "ok"
        assert answer["workers"] >= 1
    with serving(redis_url) as port:
        assert ask(port, "/healthz").json == {"status": "ok", "redis": True, "workers": None, "silent_cameras": 0}
    with bare_server() as gone, serving(f"unix://{gone.socket}") as port:
        gone.kill()
        for method in ("GET", "HEAD"):
            assert ask(port, "/healthz", method).status == 503
        assert ask(port, "/healthz").json == {
            "status": "Redis does not answer",
            "redis": False,
            "workers": None,
            "silent_cameras": None,
        }
        assert ask(port, "/api/cameras").status == 503
        assert metrics(port)["rededge_redis_up", ""] == 0.0
        gone.start_again()
        assert ask(port, "/healthz").status == 200


def test_metrics_are_the_newest_values_of_all_cameras(port: int, bare_client: redis.Redis) -> None:
    now = time.time_ns() // 1_000_000
    client: Any = bare_client
    for camera, people in (("0", 3), ("7", 5)):
        create_series(bare_client, camera)
        client.execute_command("TS.ADD", f"camera:{camera}:people", now, people)
    client.execute_command("TS.ADD", "camera:0:prf_model", now - 3_600_000, 20)
    for at, seen in ((now, 2), (now, 1), (midnight_ms(now) - 60_000, 9), (now + 600_000, 50)):
        client.execute_command("TS.ADD", "camera:0:seen", at, seen)
    for second in range(1, 10):
        client.execute_command("TS.ADD", "camera:0:in_fps", now - 1000 * second, 30)
    labels = ("LABELS", "camera", "7", "__name__", "too_few_frames")
    client.execute_command("TS.ADD", "camera:7:too_few_frames", now, 1.5, *labels)
    found = metrics(port)
    assert found["rededge_too_few_frames", "7"] == 1.5
    assert ("rededge_too_few_frames", "0") not in found
    assert (found["rededge_people", "0"], found["rededge_people", "7"]) == (3.0, 5.0)
    assert found["rededge_people_max_1m", "0"] == 3.0
    assert found["rededge_people_max_15m", "0"] == 3.0, "also when these 15 minutes began long ago"
    assert found["rededge_seen_today", "0"] == 3.0
    assert ("rededge_seen_today", "7") not in found
    assert ("rededge_prf_model", "0") not in found
    assert 20 <= found["rededge_in_fps", "0"] <= 30
    assert found["rededge_in_fps", "7"] == 0.0
    assert found["rededge_redis_up", ""] == 1.0


@pytest.mark.parametrize("hours", [-3, 3])
def test_metrics_of_a_recording_are_those_at_its_position(port: int, bare_client: redis.Redis, hours: int) -> None:
    now = time.time_ns() // 1_000_000
    start = (now + hours * 3_600_000) // 900_000 * 900_000
    lease = feed_with_recording(bare_client, start, now)
    found = metrics(port)
    assert (found["rededge_people", "0"], found["rededge_people_max_15m", "0"]) == (3, 3)
    assert (found["rededge_in_fps", "0"], found["rededge_out_fps", "0"]) == (40, 30)
    recorded = ("running", "position_seconds", "seen")
    assert [found[f"rededge_recording_{name}", "0"] for name in recorded] == [1, 61, 5]
    assert ("rededge_seen_today", "0") not in found
    assert 'rededge_zone_people{camera="0",zone="desk"} 3.0' in ask(port, "/metrics").body.decode()
    end_recording(bare_client, lease, start, now)
    found = metrics(port)
    assert (found["rededge_people", "0"], found["rededge_in_fps", "0"]) == (3, 0)
    end_recording(bare_client, lease, start, now - 3_600_000)
    found = metrics(port)
    assert [found[f"rededge_recording_{name}", "0"] for name in recorded] == [0, 61, 5]
    assert ("rededge_people", "0") not in found, "it is an hour old"
    assert "rededge_zone_people" not in ask(port, "/metrics").body.decode()
    # another source feeds the camera: the time of the clock again
    bare_client.xadd("camera:0:captures", {"capture": "d"})
    found = metrics(port)
    assert found["rededge_people", "0"] == 77
    assert ("rededge_recording_running", "0") not in found


def test_metrics_escape_labels(port: int, bare_client: redis.Redis) -> None:
    name = 'a\\"b\nc}'
    client: Any = bare_client
    for key in ("x", "y"):
        labels = ("LABELS", "__name__", "people", "camera", name)
        client.execute_command("TS.ADD", key, "*", 4, *labels)
    assert metrics(port)["rededge_people", name] == 4.0


def test_metrics_without_time_series_are_the_server_s_own() -> None:
    with bare_server(timeseries=False) as plain, serving(f"unix://{plain.socket}") as port:
        assert metrics(port)["rededge_redis_up", ""] == 1.0
        Camera(plain.client()).frame()
        assert [each["id"] for each in ask(port, "/api/cameras").json["cameras"]] == ["0"]


def test_a_sample_may_be_any_number(port: int, bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    client: Any = bare_client
    client.execute_command("TS.ADD", "camera:0:latency", "*", "1e300")
    value = metrics(port)["rededge_latency", "0"]
    assert math.isclose(value, 1e300)


def test_metrics_have_the_counts_of_lines_and_zones(port: int, bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    fields: Any = {"ref": "1-0", "boxes": "[]", "lines": '{"door": [7, 5]}', "zones": '{"desk": [3, 75.5, 9, 6]}'}
    bare_client.xadd("camera:0:yolo", fields | {"ts": time.time_ns() // 1_000_000})
    text = ask(port, "/metrics").body.decode()
    assert 'rededge_line_crossings_total{camera="0",line="door",direction="forward"} 7.0\n' in text
    assert 'rededge_line_crossings_total{camera="0",line="door",direction="backward"} 5.0\n' in text
    assert 'rededge_zone_people{camera="0",zone="desk"} 3.0\n' in text
    assert 'rededge_zone_longest_stay_seconds{camera="0",zone="desk"} 75.5\n' in text
    assert 'rededge_zone_entries_total{camera="0",zone="desk"} 9.0\n' in text
    bare_client.xadd("camera:0:yolo", fields | {"ts": time.time_ns() // 1_000_000 - 3_600_000})
    text = ask(port, "/metrics").body.decode()
    assert "rededge_zone_people" not in text, "nobody knows who is there now"
    assert 'rededge_zone_exits_total{camera="0",zone="desk"} 6.0\n' in text
