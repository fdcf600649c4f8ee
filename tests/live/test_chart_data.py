"""What live charts are told: against real series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.edge.client import blocking_client
from rededge_nb.lease import Lease
from rededge_nb.live import chart_data
from rededge_nb.live.chart_data import ChartData, Message, tables
from rededge_nb.reading import series
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.seen import midnight_ms

Told = dict[str, dict[int, dict[str, float]]]
"""Values by table, time and series."""


@pytest.fixture
def own(client: redis.Redis) -> Iterator[redis.Redis]:
    """A client as a feed has it, on a server with the series of camera 0."""
    series.create_series(client, "0")
    with blocking_client(client) as own:
        yield own


def add(client: redis.Redis, name: str, samples: dict[int, float]) -> None:
    words = [word for at, value in samples.items() for word in (schema.series_key("0", name), at, value)]
    replies = client.execute_command("TS.MADD", *words)
    assert [reply for reply in replies if not isinstance(reply, int)] == []


def now_ms(client: redis.Redis) -> int:
    return chart_data.server_ms(client)


def told(history: Message, *messages: Message) -> Told:
    """What a page knows after a history and what followed; it reads as charts.js does."""
    described = history.content["tables"]
    known: Told = {table["name"]: {} for table in described}
    for message in (history, *messages):
        counts = message.content.get("rows") or [table["rows"] for table in described]
        offset = 0
        for table, count in zip(described, counts, strict=True):
            row_type = np.dtype([("at", "<i4"), ("values", "<f4", (len(table["columns"]),))])
            rows = np.frombuffer(message.buffer, row_type, count, offset)
            offset += rows.nbytes
            for row in rows:
                at = history.content["base"] + int(row["at"])
                known[table["name"]][at] = dict(zip(table["columns"], row["values"].tolist(), strict=True))
        assert offset == len(message.buffer)
    return known


def values(known: Told, table: str, name: str) -> dict[int, float]:
    return {at: row[name] for at, row in known[table].items() if not np.isnan(row[name])}


def update(data: ChartData, client: redis.Redis) -> Message:
    message = data.update(client)
    assert message is not None
    assert message.content["kind"] == "new"
    return message


def test_a_history_has_the_samples_of_the_window(own: redis.Redis) -> None:
    now = now_ms(own)
    inside = {now - 50_000: 3.0, now - 20_000: 5.0, now - 1_000: 4.0}
    add(own, "people", {now - 10 * schema.MINUTE_MS: 9.0, **inside})
    add(own, "prf_model", {now - 20_000: 31.25})
    second = (now - 20_000) // 1000 * 1000
    add(own, "in_fps", {second: 25.0})
    history = ChartData("0", 1.0).history(own)
    known = told(history)
    assert values(known, "frames", "people") == inside
    assert values(known, "frames", "prf_model") == {now - 20_000: 31.25}
    assert values(known, "rates", "in_fps") == {second: 25.0}
    assert values(known, "rates", "out_fps") == {}
    for minutes in schema.COMPACTION_MINUTES:
        for each in schema.COMPACTION_AGGREGATIONS:
            name = f"people_{each}_{minutes}m"
            stored = series.read_series(own, "0", name)
            newest = int(stored.timestamps_ms[-1])
            assert values(known, f"people_{minutes}m", name)[newest] == pytest.approx(stored.latest)
    assert now <= history.content["now"] <= now_ms(own)


def test_charts_of_a_recording_have_its_positions_until_another_source_feeds_the_camera(
    own: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart_data, "RECHECK_INTERVAL", 0.0)
    begin = now_ms(own) - 3_600_000
    in_recording = {begin: 1.0, begin + 30_000: 2.0}
    add(own, "people", {begin - 10_000: 7.0, **in_recording, begin + 45_000: 7.0})  # with those of other sources
    recording = CaptureRecord("c1", "0", start_ms=begin, last_ms=begin + 20_000)
    lease = Lease(own, "camera:0:capture", recording.as_fields())
    assert lease.acquire(timeout=0) is None
    data = ChartData("0", 1.0)
    assert values(told(data.history(own)), "frames", "people") == {begin: 1.0}
    fields: Any = {"ref": "1-0", "ts": begin + 30_000, "boxes": "[]", "people": 2}
    own.xadd("camera:0:yolo", fields)  # the gear is ahead of what the capture has said last
    history = cast(Message, data.update(own))
    assert history.content["kind"] == "new"
    lease.release()
    fields = replace(recording, last_ms=begin + 30_000, ended_ms=begin).as_fields()
    own.xadd("camera:0:captures", fields)
    history = data.history(own)
    content = history.content
    assert (content["recording"], content["base"]) == (begin, begin + 30_000)
    assert values(told(history), "frames", "people") == in_recording
    assert data.update(own) is None
    add(own, "seen", {begin // 1000 * 1000: 3.0, begin // 1000 * 1000 - 60_000: 5.0})
    data.history(own)
    assert data.history(own).content["seen"] == 3, "those of the recording"
    own.xadd("camera:0:captures", {"capture": "c2", "source": "webcam 0", "started_ms": begin})
    content = cast(Message, data.update(own)).content
    assert (content["kind"], content["recording"]) == ("history", None)
    assert content["base"] == begin + 60_000


@pytest.mark.parametrize(
    ("newest", "recording", "window"),
    [
        (0, None, (40_000, 100_000)),
        (95_000, None, (40_000, 100_000)),
        (1_000, None, (-44_000, 16_000)),
        (90_000, 60_000, (60_000, 90_000)),  # shorter than the window
        (190_000, 60_000, (130_000, 190_000)),
        (61_000, 60_000, (60_000, 70_000)),  # it has just begun
        (50_000, 60_000, (60_000, 70_000)),  # its first sample is not there yet
    ],
)
def test_charts_fit_a_recording_that_is_shorter(newest: int, recording: int | None, window: tuple[int, int]) -> None:
    assert chart_data.window_of(100_000, newest, 60_000, recording) == window


def test_an_update_has_only_what_is_new(own: redis.Redis) -> None:
    now = now_ms(own)
    add(own, "people", dict.fromkeys(range(now - 20_000, now - 1_000, 40), 4.0))
    data = ChartData("0", 5.0)
    history = data.history(own)
    assert data.update(own) is None
    for name in chart_data.FRAME_SERIES:
        add(own, name, {now - 500: 7.0})
    message = update(data, own)
    assert message.content["rows"][0] == 1
    assert told(history, message)["frames"][now - 500] == dict.fromkeys(chart_data.FRAME_SERIES, 7.0)
    assert len(message.buffer) == 36 + 3 * 16, "a frame, and the averages that are filling"
    assert data.update(own) is None


def test_late_and_corrected_samples_are_sent(own: redis.Redis) -> None:
    now = now_ms(own)
    second = (now - 8_000) // 1000 * 1000
    add(own, "people", {now - 5_000: 4.0, now: 4.0})
    add(own, "in_fps", {second: 9.0, second + 2000: 10.0})
    data = ChartData("0", 1.0)
    history = data.history(own)
    data._checked = -np.inf
    add(own, "people", {now - 3_000: 6.0})
    add(own, "in_fps", {second: 1.0})
    known = told(history, update(data, own))
    assert values(known, "frames", "people") == {now - 5_000: 4.0, now - 3_000: 6.0, now: 4.0}
    assert values(known, "rates", "in_fps") == {second: 10.0, second + 2000: 10.0}


def test_a_second_is_sent_when_it_is_complete(own: redis.Redis) -> None:
    second = now_ms(own) // 1000 * 1000
    add(own, "in_fps", {second - 20_000: 8.0, second + 50_000: 3.0})
    data = ChartData("0", 1.0)
    assert values(told(data.history(own)), "rates", "in_fps") == {}, "the clock of the frames is ahead and goes by"
    add(own, "people", {second + 53_000: 1.0})
    known = told(data.history(own))
    assert values(known, "rates", "in_fps") == {second + 50_000: 3.0}


def test_many_samples_are_averaged_by_the_server(own: redis.Redis) -> None:
    end = now_ms(own) // 1000 * 1000
    samples = {at: float(at // 40 % 7) for at in range(end - 5 * schema.MINUTE_MS, end, 40)}
    for name in ("people", "prf_model"):
        add(own, name, samples)
    history = ChartData("0", 5.0).history(own)
    frames = history.content["tables"][0]
    assert frames["bucket_ms"] == 200
    assert 1_400 <= frames["rows"] <= 1_501
    assert len(history.buffer) < 70_000
    people = values(told(history), "frames", "people")
    start = end - 10_000
    assert people[start] == pytest.approx(np.mean([samples[at] for at in range(start, start + 200, 40)]))


def test_an_hour_of_samples_stays_small(own: redis.Redis) -> None:
    end = now_ms(own) // 10_000 * 10_000
    add(own, "people", dict.fromkeys(range(end - 60 * schema.MINUTE_MS, end, 500), 2.0))
    add(own, "in_fps", dict.fromkeys(range(end - 60 * schema.MINUTE_MS, end, 1000), 12.0))
    add(own, "in_fps", {end - 20_000: -6.0})
    history = ChartData("0", 60.0).history(own)
    assert [table["bucket_ms"] for table in history.content["tables"]] == [2000, 2000, 60_000, 300_000, 900_000]
    rates = values(told(history), "rates", "in_fps")
    assert len(rates) <= 1801
    assert rates[end - 30_000] == 12.0, "per second, not per bucket"
    assert rates[end - 20_000] == 9.0
    assert len(history.buffer) < 100_000


def test_too_many_single_frames_are_averaged(own: redis.Redis) -> None:
    now = now_ms(own)
    add(own, "people", {now - 30_000: 1.0})
    data = ChartData("0", 1.0)
    assert data.history(own).content["tables"][0]["bucket_ms"] == 0
    add(own, "people", dict.fromkeys(range(now - 30_000, now, 8), 1.0))
    message = data.update(own)
    assert message is not None
    assert message.content["kind"] == "history"
    assert message.content["tables"][0]["bucket_ms"] == 100
    assert message.content["tables"][0]["rows"] <= 302


@pytest.mark.parametrize("minutes", [5.0, 30.0])
def test_gaps_are_gaps(own: redis.Redis, minutes: float) -> None:
    now = now_ms(own)
    parts = [range(now - 200_000, now - 150_000, 25), range(now - 30_000, now, 25)]
    for part in parts:
        add(own, "people", dict.fromkeys(part, 5.0))
    at = np.array(sorted(values(told(ChartData("0", minutes).history(own)), "frames", "people")))
    assert len(at) <= chart_data.MAX_SAMPLES
    assert np.count_nonzero(np.diff(at) > 100_000) == 1
    assert not np.any((at > now - 149_000) & (at < now - 32_000))


def test_after_a_long_silence_the_last_samples_stay_in_the_window(own: redis.Redis) -> None:
    now = now_ms(own)
    add(own, "people", {now - 3 * 60 * schema.MINUTE_MS: 6.0})
    history = ChartData("0", 4.0).history(own)
    assert values(told(history), "frames", "people") == {now - 3 * 60 * schema.MINUTE_MS: 6.0}
    assert history.content["base"] == now - 3 * 60 * schema.MINUTE_MS + schema.MINUTE_MS


def test_series_that_are_created_or_deleted_meanwhile(client: redis.Redis) -> None:
    data = ChartData("0", 1.0)
    with blocking_client(client) as own:
        assert data.history(own).buffer == b""
        assert data.missing == list(chart_data.series_names())
        assert data.update(own) is None
        series.create_series(client, "0")
        at = now_ms(own) - 2_000
        add(client, "people", {at: 2.0})
        data._checked = -np.inf
        history = data.update(own)
        assert history is not None
        assert values(told(history), "frames", "people") == {at: 2.0}
        assert data.missing == []
        client.delete(schema.series_key("0", "prf_model"))
        gone = data.update(own)
        assert gone is not None
        assert gone.content["kind"] == "history"
        assert data.missing == ["prf_model"]
        client.execute_command("TS.DEL", schema.series_key("0", "people"), at, at)
        emptied = data.update(own)
        assert emptied is not None
        assert values(told(emptied), "frames", "people") == {}


def test_after_a_long_time_without_updates_everything_is_sent_again(own: redis.Redis) -> None:
    data = ChartData("0", 1.0)
    data.history(own)
    data._updated -= chart_data.STALE
    assert cast(Message, data.update(own)).content["kind"] == "history"


def test_every_series_shown_is_one_of_the_camera_s() -> None:
    known = {spec.name for spec in schema.series_specs("0")}
    known |= {rule.name for spec in schema.series_specs("0") for rule in spec.rules}
    assert set(chart_data.series_names()) <= known
    assert all(len(set(table.columns)) == len(table.columns) for table in tables(60_000, in_buckets=True))


def test_people_seen_today_are_in_every_message(own: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart_data, "RECHECK_INTERVAL", 0.0)
    data = ChartData("0", 5)
    assert data.history(own).content["seen"] is None
    now = now_ms(own)
    add(own, "seen", {midnight_ms(now) - 60_000: 9, now: 2})
    assert update(data, own).content["seen"] == 2
    assert data.update(own) is None
    add(own, "seen", {now: 3})
    assert update(data, own).content["seen"] == 5
    assert data.history(own).content["seen"] == 5


def test_charts_of_a_live_source_end_now_although_there_are_samples_of_the_future(own: redis.Redis) -> None:
    now = now_ms(own)
    add(own, "people", {now - 1_000: 4.0, now + 3_600_000: 99.0})
    add(own, "seen", {now - 1_000: 2, now + 3_600_000: 50})
    history = ChartData("0", 1.0).history(own)
    assert values(told(history), "frames", "people") == {now - 1_000: 4.0}
    assert (history.content["seen"], history.content["base"]) == (2, pytest.approx(now, abs=60_000))


def test_lines_and_zones_are_tables_that_follow_the_scene(own: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ChartData("0", 5.0)
    assert {"crossings", "zones"} & told(data.history(own)).keys() == set()
    scene = CameraScene(own, "0").line("door", (0, 0.5), (1, 0.5), forward="in", backward="out")
    scene.line("gate", (0, 0.7), (1, 0.7)).zone("queue", [(0, 0), (1, 0), (1, 1)])
    monkeypatch.setattr(chart_data, "RECHECK_INTERVAL", 0.0)
    second = now_ms(own) // 1000 * 1000 - 5_000
    add(own, "line:door:forward", {second: 2})
    add(own, "line:gate:backward", {second: 1, second + 1000: 3})
    add(own, "zone:queue:people", {second + 40: 4})
    history = data.update(own)
    assert history is not None
    assert history.content["kind"] == "history"
    assert history.content["lines"] == (("door", "in", "out"), ("gate", "forward", "backward"))
    known = told(history)
    assert values(known, "crossings", "line:door:forward") == {second: 2.0}
    assert values(known, "crossings", "line:door:backward") == {}
    assert values(known, "crossings", "line:gate:backward") == {second: 1.0, second + 1000: 3.0}
    assert values(known, "zones", "zone:queue:people") == {second + 40: 4.0}
    own.execute_command("TS.INCRBY", schema.series_key("0", "line:door:forward"), 1, "TIMESTAMP", second)
    add(own, "zone:queue:people", {second + 80: 5})
    message = update(data, own)
    assert values(told(history, message), "crossings", "line:door:forward") == {second: 3.0}
    assert values(told(history, message), "zones", "zone:queue:people") == {second + 40: 4.0, second + 80: 5.0}
    scene.remove("gate").remove("queue")
    removed = data.update(own)
    assert removed is not None
    assert set(told(removed)["crossings"][second]) == {"line:door:forward", "line:door:backward"}
    assert "zones" not in told(removed)


def test_crossings_of_a_long_window_are_added_up_not_averaged(own: redis.Redis) -> None:
    CameraScene(own, "0").line("door", (0, 0.5), (1, 0.5))
    bucket = chart_data.bucket_for(60 * schema.MINUTE_MS)
    start = now_ms(own) // bucket * bucket - 10 * bucket
    add(own, "line:door:forward", {start: 2, start + 1000: 3})
    assert values(told(ChartData("0", 60.0).history(own)), "crossings", "line:door:forward") == {start: 5.0}
