"""The figures of `rededge top`, from series and streams whose content is known."""

from __future__ import annotations

import io
import json

import pytest
import redis

from rededge_nb import schema
from rededge_nb.errors import ConfigurationError
from rededge_nb.monitoring.cameras import as_table as cameras_table
from rededge_nb.monitoring.cameras import list_cameras
from rededge_nb.monitoring.top import as_table, snapshot, watch
from rededge_nb.reading.seen import midnight_ms
from rededge_nb.reading.series import create_series
from tests.recorded import end_recording, feed_with_recording

pytest_plugins = ("tests.bare_fixtures",)

WINDOW = 600
"""Seconds; far longer than a test takes, so that all it writes is in it."""


def now_ms(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def fill(client: redis.Redis, camera: str, *, age_s: int = 60) -> int:
    """Write series of eight frames read, five processed and two failed; returns their time."""
    create_series(client, camera)
    second = now_ms(client) // 1000 * 1000 - age_s * 1000
    for name, value in (("in_fps", 8), ("out_fps", 5), ("people", 3), ("prf_model", 40), ("latency", 90)):
        client.execute_command("TS.ADD", schema.series_key(camera, name), second, value)
    client.execute_command("TS.ADD", schema.series_key(camera, "prf_model"), second + 1, 60)
    client.execute_command("TS.ADD", schema.series_key(camera, "people"), second + 1, 4)
    for _ in range(2):
        client.execute_command("TS.ADD", schema.series_key(camera, "seen"), second, 3)
    for number in range(2):
        client.xadd(schema.errors_key(camera), {"ref": f"{number}-0", "ts": second, "reason": "no picture"})
    # one that was captured long ago
    client.xadd(schema.errors_key(camera), {"ref": "9-0", "ts": second - 2 * WINDOW * 1000, "reason": "no picture"})
    return second


def test_rates_drops_and_steps(bare_client: redis.Redis) -> None:
    fill(bare_client, "0")
    (row,) = snapshot(bare_client, window=WINDOW)
    assert (row.camera, row.in_fps * WINDOW, row.out_fps * WINDOW) == ("0", 8, 5)
    assert row.failed_fps * WINDOW == pytest.approx(2)
    assert row.dropped_fps * WINDOW == pytest.approx(1)
    assert (row.people, row.ms["model"], row.ms["read"], row.latency_ms) == (4, 50, None, 90)


def test_people_seen_are_those_of_the_day(bare_client: redis.Redis) -> None:
    """Whatever part of it the window is."""
    second = fill(bare_client, "0", age_s=0)
    bare_client.execute_command("TS.ADD", schema.series_key("0", "seen"), midnight_ms(second) - 60_000, 50)
    for name in ("seen", schema.TOO_FEW_FRAMES):  # of a recording whose times lie in the future
        labels = ("LABELS", "camera", "0", "__name__", name)
        bare_client.execute_command("TS.ADD", schema.series_key("0", name), second + 600_000, 3, *labels)
    (row,) = snapshot(bare_client, window=1)
    assert (row.seen_today, row.too_few) == (6, None)


def test_samples_outside_the_window_do_not_count(bare_client: redis.Redis) -> None:
    fill(bare_client, "0", age_s=2 * WINDOW)
    (row,) = snapshot(bare_client, window=WINDOW)
    assert (row.in_fps, row.people, row.ms["model"]) == (0, None, None)


def test_states(bare_client: redis.Redis) -> None:
    def state(camera: str) -> str:
        (row,) = snapshot(bare_client, cameras=[camera])
        return row.state

    now = now_ms(bare_client)
    assert state("none") == "no frames"
    bare_client.xadd("camera:alone", {"image": b"x"}, id=f"{now}-0")
    assert state("alone") == "no gear"
    for camera, newest, given in (("fine", now, now), ("slow", now, now - 9000), ("idle", now - 70_000, now - 70_000)):
        bare_client.xadd(f"camera:{camera}", {"image": b"x"}, id=f"{newest}-0")
        bare_client.xgroup_create(f"camera:{camera}", schema.GEAR_GROUP, id=f"{given}-0")
    assert state("slow") == "gear 9 s behind"
    assert state("idle").startswith("no frames for 7")
    # unless the machine took five seconds for these few lines
    assert state("fine") in ("ok", *(f"no frames for {seconds} s" for seconds in range(5, 60)))


def test_cameras_without_series_and_without_a_gear_are_all_shown(bare_client: redis.Redis) -> None:
    fill(bare_client, "door")
    bare_client.sadd(schema.CAMERAS_KEY, "yard")
    rows = snapshot(bare_client)
    assert [row.camera for row in rows] == ["door", "yard"]
    header, *lines = as_table(rows).splitlines()
    assert header.split() == [
        *("camera", "in/s", "out/s", "model/s", "drop/s", "fail/s", "people", "seen"),
        *("read", "resize", "model", "script", "boxes", "store", "total", "latency", "state"),
    ]
    assert lines[1].split() == ["yard", "0.0", "0.0", "0.0", "0.0", "0.0", *["-"] * 10, "no", "frames"]
    with pytest.raises(ConfigurationError):
        snapshot(bare_client, cameras=["a b"])


def test_json_is_one_line_a_snapshot(bare_client: redis.Redis) -> None:
    fill(bare_client, "0")
    stream = io.StringIO()
    watch(bare_client, cameras=None, window=WINDOW, interval=0.001, count=3, as_json=True, stream=stream)
    tables = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [len(each["cameras"]) for each in tables] == [1, 1, 1]
    assert tables[0]["cameras"][0]["ms"]["model"] == 50
    assert tables[0]["cameras"][0]["state"] == "no frames"
    assert tables[0]["time"] <= tables[2]["time"]


def test_lines_and_zones_are_beside_the_state(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    assert snapshot(bare_client)[0].lines == {}
    fields = {"ref": "1-0", "boxes": "[]", "lines": '{"door": [7, 5]}', "zones": '{"desk": [3, 75.5, 9, 6]}'}
    bare_client.xadd("camera:0:yolo", fields)
    (figures,) = snapshot(bare_client)
    assert (figures.lines, figures.zones) == ({"door": (7, 5)}, {"desk": (3, 75.5, 9, 6)})
    assert as_table([figures]).splitlines()[1].endswith("  no frames  door 7/5  desk 3")


@pytest.mark.parametrize("hours", [-3, 3])
def test_figures_of_a_recording_are_about_the_recording(bare_client: redis.Redis, hours: int) -> None:
    """Whatever its time is: what was counted at the time of the clock, or before the recording, is of other sources."""
    now = now_ms(bare_client)
    start = now + hours * 3_600_000
    lease = feed_with_recording(bare_client, start, now - 60_000)
    (row,) = snapshot(bare_client)
    assert (row.people, row.seen_today, row.latency_ms) == (3, None, 3)
    assert (row.in_fps, row.out_fps) == (40, 30), "by the clock, as the capture says"
    assert row.failed_fps == pytest.approx(40 / 48, abs=0.01)
    assert row.recording is not None
    assert (row.recording.position_s, row.recording.seen, row.recording.running) == (61, 5, True)
    (overview,) = list_cameras(bare_client)
    assert (overview.in_fps, overview.recording) == (40, row.recording)
    header, line = cameras_table([overview]).splitlines()
    assert line.split()[1:4] == ["40.0", "40.0", "30.0"]
    assert line.endswith("  video walk.mp4, at 1:01")
    end_recording(bare_client, lease, start, now)
    (row,) = snapshot(bare_client)
    assert (row.people, row.in_fps, row.dropped_fps) == (3, 0, 0)
    assert row.state == "recording ended at 1:01"
    header, line = as_table([row]).splitlines()
    assert dict(zip(header.split(), line.split(), strict=False))["seen"] == "5"
    assert cameras_table(list_cameras(bare_client)).endswith("  (ended at 1:01: video walk.mp4)")
    # another source feeds the camera: the time of the clock again
    bare_client.xadd(schema.captures_key("0"), {"capture": "d"})
    (row,) = snapshot(bare_client, window=WINDOW)
    assert (row.people, row.recording) == (77, None)
