from __future__ import annotations

import json

import pytest
import redis

from rededge_nb import schema
from rededge_nb.errors import NoDataError
from rededge_nb.reading.series import create_series
from rededge_nb.reading.summary import Marker, start_marker, summarize
from rededge_nb.schema import GEAR_GROUP as GROUP

pytest_plugins = ("tests.bare_fixtures",)


def add_frames(client: redis.Redis, count: int) -> None:
    for _ in range(count):
        client.xadd("camera:0", {"image": b"x"})


def process(client: redis.Redis, ts_ms: int, people: int, model_ms: float) -> None:
    values = {"people": people, "latency": 40, "prf_model": model_ms, "prf_total": model_ms + 5}
    client.execute_command(
        "TS.MADD", *(part for name, value in values.items() for part in (f"camera:0:{name}", ts_ms, value))
    )


def take(client: redis.Redis, count: int) -> list[bytes]:
    ((_, entries),) = client.xreadgroup(schema.GEAR_GROUP, "worker", {"camera:0": ">"}, count=count)
    return [entry_id for entry_id, _ in entries]


def test_before_anything_happened(bare_client: redis.Redis) -> None:
    marker = start_marker(bare_client, 0)
    seconds, _ = bare_client.time()
    assert marker == Marker("0", marker.time_ms, 0, 0)
    assert abs(marker.time_ms - seconds * 1000) < 60_000
    with pytest.raises(NoDataError, match="rededge init"):
        summarize(bare_client, 0, marker)
    create_series(bare_client, 0)
    summary = summarize(bare_client, 0, marker)
    assert (summary.frames_in, summary.processed, summary.dropped, summary.failed, summary.pending) == (0, 0, 0, 0, 0)
    assert (summary.fps, summary.seconds) == (0, 0)
    text = json.dumps(summary.as_dict(), allow_nan=False)
    assert json.loads(text)["people"]["mean"] is None
    assert json.loads(text)["ms_per_step"]["model"] == {"median": None, "p95": None}


def test_every_frame_is_accounted_for(bare_client: redis.Redis) -> None:
    create_series(bare_client, 0)
    add_frames(bare_client, 7)
    bare_client.xadd("camera:0:errors", {"ref": "1-0", "reason": "earlier"})
    bare_client.xgroup_create("camera:0", schema.GEAR_GROUP, id="$")
    process(bare_client, 1000, 50, 1000)
    marker = start_marker(bare_client, 0)
    assert (marker.frames_added, marker.errors_added) == (7, 1)

    add_frames(bare_client, 20)
    taken = take(bare_client, 15)
    for number in range(10):
        process(bare_client, marker.time_ms + 100 * number, number % 5, 10 + number)
    # Delivered a second time: still one frame.
    process(bare_client, marker.time_ms, 0, 10)
    bare_client.xadd("camera:0:errors", {"ref": "2-0", "reason": "not a picture"})
    bare_client.xack("camera:0", schema.GEAR_GROUP, *taken[:13])

    summary = summarize(bare_client, 0, marker)
    assert (summary.frames_in, summary.processed, summary.failed) == (20, 10, 1)
    assert summary.pending == 5 + 2
    assert summary.dropped == 2
    assert (summary.people_mean, summary.people_min, summary.people_max) == (2, 0, 4)
    assert summary.steps_ms["model"].median == 14.5
    assert summary.steps_ms["model"].p95 == pytest.approx(18.55)
    assert list(summary.steps_ms) == [*schema.STEPS, "total"]
    assert (summary.latency_ms.median, summary.latency_ms.p95) == (40, 40)
    assert summary.seconds == pytest.approx(0.94)
    assert summary.fps == pytest.approx(10 / 0.94)
    assert "20 frames in, 10 processed, 2 dropped, 1 failed, 7 pending" in repr(summary)


def test_frames_trimmed_before_anyone_read_them_are_dropped(bare_client: redis.Redis) -> None:
    create_series(bare_client, 0)
    bare_client.xgroup_create("camera:0", schema.GEAR_GROUP, id="0", mkstream=True)
    marker = start_marker(bare_client, 0)
    add_frames(bare_client, 30)
    bare_client.xtrim("camera:0", maxlen=4, approximate=False)
    summary = summarize(bare_client, 0, marker)
    assert (summary.frames_in, summary.pending, summary.dropped) == (30, 4, 26)


def test_lag_that_redis_cannot_tell_is_counted(bare_client: redis.Redis) -> None:
    create_series(bare_client, 0)
    bare_client.xgroup_create("camera:0", schema.GEAR_GROUP, id="0", mkstream=True)
    marker = start_marker(bare_client, 0)
    add_frames(bare_client, 10)
    take(bare_client, 3)
    entries = bare_client.xrange("camera:0")
    bare_client.xdel("camera:0", entries[6][0])
    assert bare_client.xinfo_groups("camera:0")[0]["lag"] is None
    summary = summarize(bare_client, 0, marker)
    assert (summary.frames_in, summary.pending, summary.dropped) == (10, 6 + 3, 1)


def test_the_group_is_the_one_that_gears_read_through() -> None:
    """The worker spells it itself: `rededge_nb.edge` imports nothing of the schema."""
    assert schema.GEAR_GROUP == GROUP
