"""Deleting the samples of a time: neighbours keep theirs, in the seconds that they share, too."""

from __future__ import annotations

import json
from random import Random

import pytest
import redis

from rededge_nb import schema
from rededge_nb.reading.samples import delete_samples, free_time_ms, has_samples, oldest_allowed_ms
from rededge_nb.reading.series import create_series, read_series, series_info
from rededge_nb.reading.track_removal import TrackRemoval

pytest_plugins = ("tests.bare_fixtures",)

START_MS = 1_767_607_200_000


@pytest.fixture
def camera(bare_client: redis.Redis) -> redis.Redis:
    create_series(bare_client, 0)
    bare_client.execute_command(
        "TS.CREATE", "camera:0:different", "DUPLICATE_POLICY", "SUM", "LABELS", "camera", 0, "__name__", "different"
    )
    return bare_client


def add_frame(client: redis.Redis, at: int, ids: list[int], new: int) -> None:
    """As the gear writes a frame in which these people are seen, some of them for the first time."""
    second = at // 1000 * 1000
    for name, when, value in (
        ("people", at, len(ids)),
        ("in_fps", second, 1),
        ("out_fps", second, 1),
        ("looked_fps", second, 1),
        ("seen", second, new),
        ("different", second, new),
        ("prf_model", at, 20),
    ):
        client.execute_command("TS.ADD", f"camera:0:{name}", when, value)
    client.xadd(
        "camera:0:yolo", {"ref": "1-1", "ts": at, "people": len(ids), "tracks": json.dumps(ids), "predicted": 0}
    )


def samples(client: redis.Redis, name: str) -> dict[int, float]:
    series = read_series(client, 0, name)
    return dict(zip((series.timestamps_ms - START_MS).tolist(), series.values.tolist(), strict=True))


def test_whole_seconds(camera: redis.Redis) -> None:
    for number in range(40):
        add_frame(camera, START_MS + 100 * number, [1, 2], new=2 * (number == 0))
    assert delete_samples(camera, 0, START_MS + 1000, START_MS + 3000) == 20
    assert list(samples(camera, "people")) == [100 * number for number in (*range(10), *range(30, 40))]
    assert samples(camera, "prf_model").keys() == samples(camera, "people").keys()
    for name in ("in_fps", "out_fps", "looked_fps"):
        assert samples(camera, name) == {0: 10, 3000: 10}
    assert samples(camera, "seen") == {0: 2, 3000: 0}
    assert delete_samples(camera, 0, START_MS + 1000, START_MS + 3000) == 0


def test_a_part_of_a_second_leaves_what_the_other_part_adds(camera: redis.Redis) -> None:
    """Two recordings that were cut at 0:02.5: somebody is new shortly before, and everybody in the second one."""
    for number in range(25):
        add_frame(camera, START_MS + 100 * number, [1, 2] if number < 23 else [1, 2, 3], new=int(number in (0, 23)))
    for number in range(25, 45):
        add_frame(camera, START_MS + 100 * number, [4, 5, 6, 7], new=4 * (number == 25))
    whole = {name: samples(camera, name) for name in ("people", "in_fps", "out_fps", "seen", "different")}
    assert whole["seen"][2000] == 5

    delete_samples(camera, 0, START_MS + 2500, START_MS + 4500)
    assert samples(camera, "in_fps") == {0: 10, 1000: 10, 2000: 5}
    assert samples(camera, "seen") == samples(camera, "different") == {0: 1, 1000: 0, 2000: 1}
    for number in range(25, 45):
        add_frame(camera, START_MS + 100 * number, [14, 15, 16, 17], new=4 * (number == 25))
    assert {name: samples(camera, name) for name in whole} == whole

    delete_samples(camera, 0, START_MS, START_MS + 2500)
    assert samples(camera, "out_fps") == {2000: 5, 3000: 10, 4000: 5}
    assert samples(camera, "seen") == {2000: 4, 3000: 0, 4000: 0}


@pytest.mark.parametrize(("start", "end", "left"), [(500, 1000, 1), (0, 500, 2), (750, 1000, 2), (0, 1000, None)])
def test_crossings_of_a_line_in_the_other_part_of_a_second_stay(
    camera: redis.Redis, start: int, end: int, left: int | None
) -> None:
    labels = ("LABELS", "camera", 0, "__name__", "line_forward", "line", "door")
    camera.execute_command("TS.CREATE", "camera:0:line:door:forward", "DUPLICATE_POLICY", "SUM", *labels)
    total = 5
    for at in range(0, 1000, 100):
        total += at in (200, 700, 800)
        add_frame(camera, START_MS + at, [1], new=0)
        newest = camera.xrevrange("camera:0:yolo", count=1)[0][1]
        camera.xadd("camera:0:yolo", {**newest, "lines": json.dumps({"door": [total, 0]})})
        if at in (200, 700, 800):
            camera.execute_command("TS.ADD", "camera:0:line:door:forward", START_MS, 1)
    delete_samples(camera, 0, START_MS + start, START_MS + end)
    found = camera.execute_command("TS.RANGE", "camera:0:line:door:forward", "-", "+")
    assert [float(value) for _, value in found] == ([] if left is None else [left])


def test_the_times_that_are_free(camera: redis.Redis) -> None:
    assert free_time_ms(camera, 0, 5000, START_MS) == START_MS - 5000
    for second in (-30, -12, -3):
        add_frame(camera, START_MS + 1000 * second + 500, [1], new=0)
    assert free_time_ms(camera, 0, 2000, START_MS) == START_MS - 2000
    assert free_time_ms(camera, 0, 4000, START_MS) == START_MS - 7000
    assert free_time_ms(camera, 0, 15_000, START_MS) == START_MS - 27_000
    assert free_time_ms(camera, 0, 20_000, START_MS) == START_MS - 50_000
    assert oldest_allowed_ms(camera, 0) == START_MS - 2500 - schema.RAW_RETENTION_MS
    assert free_time_ms(camera, 0, schema.RAW_RETENTION_MS, START_MS) is None
    assert has_samples(camera, 0, START_MS - 3000, START_MS)
    assert not has_samples(camera, 0, START_MS - 2499, START_MS)
    assert has_samples(camera, 0, START_MS - 2500, START_MS - 2499)


def test_people_of_a_time_are_removed_from_those_who_have_left(camera: redis.Redis) -> None:
    def add(track: int, last: int) -> None:
        camera.xadd("camera:0:tracks", {"track": track, "first": 1, "last": last, "path": "[]"})

    def left() -> list[bytes]:
        return [fields[b"track"] for _, fields in camera.xrange("camera:0:tracks")]

    for track, last in ((1, 100), (2, 200), (3, 300)):
        add(track, last)
    removal = TrackRemoval(camera, 0)
    removal.remove(lambda last: 150 <= last < 250)
    assert left() == [b"1", b"3"]
    add(4, 220)
    add(5, 310)
    removal.remove(lambda last: last >= 300)
    assert left() == [b"1", b"4"]
    removal.remove(lambda _: False)
    assert left() == [b"1", b"4"]


def test_the_newest_minute_can_be_deleted_after_others(camera: redis.Redis) -> None:
    """RedisTimeSeries ends the server when TS.DEL empties the newest bucket of a rule, and two others are complete."""
    for minute in range(3):
        for second in range(0, 60, 20):
            add_frame(camera, START_MS + 60_000 * minute + 1000 * second, [1], new=1)
    assert series_info(camera, "camera:0:people")["chunkCount"] == 1
    delete_samples(camera, 0, START_MS + 120_000, START_MS + 180_000)
    assert camera.ping()
    assert list(samples(camera, "people")) == [*range(0, 120_000, 20_000), 160_000], "one sample stays"
    assert samples(camera, "seen") == {**dict.fromkeys(range(0, 120_000, 20_000), 1), 160_000: 0}
    # with one complete bucket before, and where older samples of the bucket stay, all can be deleted
    delete_samples(camera, 0, START_MS + 60_000, START_MS + 180_000)
    delete_samples(camera, 0, START_MS + 20_000, START_MS + 60_000)
    assert 0 in samples(camera, "people")
    assert camera.ping()


def test_the_newest_samples_after_a_full_chunk_can_be_deleted(camera: redis.Redis) -> None:
    """The same after a day, where the newest samples have a chunk of their own."""
    random = Random(1)
    later = START_MS + 130_000
    for name, times in (
        ("people", [*range(START_MS, START_MS + 60_000, 100), *range(later, later + 1000, 100)]),
        ("seen", [*range(START_MS - 700_000_000, START_MS, 1_000_000), later, later + 1000]),
    ):
        for at in times:
            camera.execute_command("TS.ADD", f"camera:0:{name}", at, random.random())
    delete_samples(camera, 0, later, later + 10_000)
    assert camera.ping()
    left = {
        name: {at: value for at, value in samples(camera, name).items() if at >= 130_000} for name in ("people", "seen")
    }
    assert list(left["people"]) in ([], [130_900]), "one sample may stay"
    assert set(left["seen"].values()) <= {0}
    camera.execute_command("TS.ADD", "camera:0:people", later + 200_000, 1)
    assert camera.ping()
