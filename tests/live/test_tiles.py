"""The figures above the video that come from tracks."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.scene import Scene
from rededge_nb.live.tiles import Tile, TileReader
from rededge_nb.reading.series import create_series

pytest_plugins = ("tests.bare_fixtures",)

MINUTE_MS = 60_000
UNKNOWN = "\N{EN DASH}"


@pytest.fixture
def now_ms(bare_client: redis.Redis) -> int:
    seconds, microseconds = bare_client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


@pytest.fixture
def reader() -> TileReader:
    return TileReader("0")


def tiles(client: redis.Redis, reader: TileReader) -> dict[str, Tile]:
    return {tile.key: tile for tile in reader.read(client)}


def add_track(client: redis.Redis, number: int, first_ms: int, last_ms: int, entry_id: str = "*", **more: Any) -> None:
    fields = {"track": number, "first": first_ms, "last": last_ms, "path": "[]", **more}
    client.xadd(schema.tracks_key("0"), fields, id=entry_id)


def add_people(client: redis.Redis, ts_ms: int, since: dict[int, int]) -> None:
    boxes = [0, 0, 9, 9] * len(since)
    fields: Any = {
        "ref": "1-0", "ts": ts_ms, "boxes": str(boxes), "people": len(since), "tracks": str(list(since)),
        "since": str(list(since.values())),
    }  # fmt: skip
    client.xadd(schema.detections_key("0"), fields)


def test_a_camera_without_data_has_no_tiles(bare_client: redis.Redis, reader: TileReader) -> None:
    assert tiles(bare_client, reader) == {}


def test_people_seen_in_the_last_hour_and_today(bare_client: redis.Redis, reader: TileReader, now_ms: int) -> None:
    create_series(bare_client, "0")
    assert tiles(bare_client, reader)["seen"].value == UNKNOWN
    reader = TileReader("0")
    for at, value in ((now_ms - 50 * MINUTE_MS, 4), (now_ms - MINUTE_MS, 2)):
        bare_client.execute_command("TS.ADD", schema.series_key("0", "seen"), at, value)
    seen = tiles(bare_client, reader)["seen"]
    assert (seen.label, seen.value) == ("seen in the last hour", "6")
    # unless it is shortly after midnight
    assert seen.detail in ("6 today", "2 today", "0 today")
    assert sum(value or 0 for value in seen.trend) == 2


def test_the_estimate_of_different_people_if_the_gear_makes_it(
    bare_client: redis.Redis, reader: TileReader, now_ms: int
) -> None:
    create_series(bare_client, "0")
    for name, value in (("seen", 5), ("different", 4)):
        labels = ("LABELS", "camera", "0", "__name__", name)
        bare_client.execute_command("TS.ADD", schema.series_key("0", name), now_ms // 1000 * 1000, value, *labels)
    assert tiles(bare_client, reader)["seen"].detail == "5 today, about 4 different"


def test_the_longest_stay_of_the_last_hour(bare_client: redis.Redis, reader: TileReader, now_ms: int) -> None:
    old_id = f"{now_ms - 2 * 60 * MINUTE_MS}-0"
    add_track(bare_client, 1, now_ms - 180 * MINUTE_MS, now_ms - 120 * MINUTE_MS, old_id)
    add_track(bare_client, 2, now_ms - 12 * MINUTE_MS, now_ms - 10 * MINUTE_MS)
    add_track(bare_client, 3, now_ms - 9 * MINUTE_MS, now_ms - 8 * MINUTE_MS)
    add_track(bare_client, 4, 1, 2, track="nonsense")
    stay = tiles(bare_client, reader)["stay"]
    assert (stay.label, stay.value) == ("longest stay", "2 min 0 s")
    assert stay.detail.startswith("#2, until ")
    add_track(bare_client, 5, now_ms - 6 * MINUTE_MS, now_ms - 30_000)
    stay = tiles(bare_client, reader)["stay"]
    assert stay.detail.startswith("#5, until ")
    assert stay.value == "5 min 30 s"


def test_whoever_is_still_there_may_have_stayed_longest(
    bare_client: redis.Redis, reader: TileReader, now_ms: int
) -> None:
    add_track(bare_client, 1, now_ms - 3 * MINUTE_MS, now_ms - MINUTE_MS)
    add_people(bare_client, now_ms + 5_000, {7: now_ms - 10 * MINUTE_MS, 8: now_ms})
    stay = tiles(bare_client, reader)["stay"]
    assert (stay.value, stay.detail) == ("10 min", "#7, still here")
    # a frame that is minutes old does not show who is there
    bare_client.delete(schema.detections_key("0"))
    add_people(bare_client, now_ms - 5 * MINUTE_MS, {7: now_ms - 10 * MINUTE_MS})
    assert tiles(bare_client, reader)["stay"].detail.startswith("#1, until ")


def test_nobody_yet(bare_client: redis.Redis, reader: TileReader, now_ms: int) -> None:
    add_people(bare_client, now_ms, {})
    assert (tiles(bare_client, reader)["stay"].value, tiles(bare_client, reader)["stay"].detail) == (
        UNKNOWN,
        "in the last hour",
    )


def test_figures_of_a_recording_are_about_the_recording(
    bare_client: redis.Redis, reader: TileReader, now_ms: int
) -> None:
    create_series(bare_client, "0")
    begin = (now_ms - 180 * MINUTE_MS) // 1000 * 1000
    # the recording, and live sources before and after it
    for at, people in ((begin - 30_000, 99), (begin, 2), (begin + 42_000, 5), (begin + 61_000, 3), (now_ms, 77)):
        for name in ("people", "latency"):
            bare_client.execute_command("TS.ADD", schema.series_key("0", name), at, people)
    for at, seen in ((begin - 30_000, 50), (begin, 2), (begin + 42_000, 4), (now_ms, 60)):
        bare_client.execute_command("TS.ADD", schema.series_key("0", "seen"), at // 1000 * 1000, seen)
    for number, first, last in ((1, -90_000, -30_000), (2, 1_000, 42_000), (3, 45_000, 60_000)):
        add_track(bare_client, number, begin + first, begin + last)
    add_track(bare_client, 4, now_ms - 100 * MINUTE_MS, now_ms)
    add_people(bare_client, begin + 61_000, {7: begin + 60_000})
    record = {"capture": "c", "start_ms": begin, "last_ms": begin + 61_000, "frames": 610, "ended_ms": now_ms}
    bare_client.xadd(schema.captures_key("0"), record)
    found = tiles(bare_client, reader)
    shown = {key: (tile.label, tile.value, tile.detail) for key, tile in found.items()}
    assert shown == {
        "people": ("people at 1:01", "3", shown["people"][2]),
        "seen": ("seen in the recording", "6", ""),
        "stay": ("longest stay", "41 s", "#2, until 0:42"),
        "peak": ("peak of the recording", "5", "at 0:42"),
        "fps": ("frames per second", UNKNOWN, "610 frames, ended"),
        "latency": ("capture to result", "3 ms", "95 % below 3 ms"),
    }
    assert {tile.level for tile in found.values()} == {"info"}
    assert max(value or 0 for value in found["people"].trend) == 5
    # another source feeds the camera: the clock's time again
    bare_client.xadd(schema.captures_key("0"), {"capture": "d"})
    assert tiles(bare_client, reader)["people"].label == "people now"
    assert tiles(bare_client, reader)["peak"].label == "peak today"


def test_what_lies_in_the_future_is_not_shown(bare_client: redis.Redis, reader: TileReader, now_ms: int) -> None:
    """A recording with such times was counted before the camera was fed with a live source."""
    create_series(bare_client, "0")
    bare_client.set(schema.scene_key("0"), Scene().with_zone("desk", [(0, 0), (1, 0), (1, 1)]).to_json())
    later = now_ms + 120 * MINUTE_MS
    for name, present, future in (("people", 3, 99), ("latency", 20, 5_000), ("seen", 2, 50), ("different", 1, 40)):
        labels = ("LABELS", "camera", "0", "__name__", name)
        for at, value in ((now_ms // 1000 * 1000, present), (later // 1000 * 1000, future)):
            bare_client.execute_command("TS.ADD", schema.series_key("0", name), at, value, *labels)
    labels = ("LABELS", "camera", "0", "__name__", schema.TOO_FEW_FRAMES)
    bare_client.execute_command("TS.ADD", schema.series_key("0", schema.TOO_FEW_FRAMES), later, 1.5, *labels)
    add_track(bare_client, 1, now_ms - 3 * MINUTE_MS, now_ms - MINUTE_MS)
    add_track(bare_client, 2, later, later + 9 * MINUTE_MS)
    frame: Any = {
        "ref": "1-0",
        "ts": later,
        "boxes": "[0, 0, 9, 9]",
        "people": 1,
        "tracks": "[7]",
        "since": f"[{now_ms}]",
    }
    bare_client.xadd(schema.detections_key("0"), {**frame, "zones": '{"desk": [3, 75.5, 9, 6]}'})
    found = tiles(bare_client, reader)
    assert (found["people"].value, found["latency"].value) == ("3", "20 ms")
    assert (found["seen"].value, found["seen"].detail) == ("2", "2 today, about 1 different")
    assert (found["peak"].value, found["zone-desk"].value) == ("3", UNKNOWN)
    assert found["stay"].detail.startswith("#1, until ")
    # the clock of the capture is wrong: nothing is known of the present, and the tile says why
    bare_client.execute_command("TS.DEL", schema.series_key("0", "people"), now_ms - 1000, now_ms)
    people = tiles(bare_client, reader)["people"]
    assert (people.value, people.level) == (UNKNOWN, "warning")
    assert people.detail.startswith(("frames 1 h 59", "frames 2 h 0"))
    assert people.detail.endswith(" min ahead")
    assert people.note.startswith("the newest frames that were counted have times in the future")


def test_lines_and_zones_of_the_scene(bare_client: redis.Redis, reader: TileReader, now_ms: int) -> None:
    assert not any(key.startswith(("line", "zone")) for key in tiles(bare_client, reader))
    scene = Scene().with_line("door", (0, 0), (1, 1), forward="in", backward="out")
    scene = scene.with_zone("desk", [(0, 0), (1, 0), (1, 1)])
    bare_client.set(schema.scene_key("0"), scene.to_json())
    counted: Any = {"lines": '{"door": [7, 5]}', "zones": '{"desk": [3, 75.5, 9, 6]}'}
    for ts_ms, people in ((now_ms, "3"), (now_ms - MINUTE_MS, UNKNOWN)):
        bare_client.xadd(schema.detections_key("0"), {"ref": "1-0", "ts": ts_ms, "boxes": "[]", "people": 0, **counted})
        found = tiles(bare_client, reader)
        assert (found["line-door"].label, found["line-door"].value) == ("door: in / out", "7 / 5")
        assert (found["zone-desk"].label, found["zone-desk"].value) == ("in desk", people)
        assert found["zone-desk"].detail == "9 in, 6 out"
