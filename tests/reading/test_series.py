from __future__ import annotations

import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.errors import ConfigurationError, MissingModuleError, NoDataError, ServerUnavailableError
from rededge_nb.reading.series import camera_ids, create_series, read_many, read_series
from tests.bare import BareServer, bare_server

pytest_plugins = ("tests.bare_fixtures",)


def add(client: redis.Redis, name: str, samples: dict[int, float]) -> None:
    for timestamp_ms, value in samples.items():
        client.execute_command("TS.ADD", f"camera:0:{name}", timestamp_ms, value)


def test_creating_twice_changes_nothing(bare_client: redis.Redis) -> None:
    changes = create_series(bare_client, "0")
    assert "created camera:0:people" in changes
    assert "added rule camera:0:people -> camera:0:people:max:15m (max, 900000 ms)" in changes
    rules = [rule for spec in schema.series_specs("0") for rule in spec.rules]
    expected = len(schema.raw_series_names()) + len(rules)
    assert len(rules) == 12
    assert len(changes) == expected + len(rules)
    assert bare_client.dbsize() == expected
    assert create_series(bare_client, "0") == []


def test_labels_policies_and_retention(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    info = bare_client.ts().info("camera:0:people")
    assert info.labels == {"camera": "0", "__name__": "people"}
    assert info.retention_msecs == schema.RAW_RETENTION_MS
    assert info.duplicate_policy == "last"
    assert bare_client.ts().info("camera:0:in_fps").duplicate_policy == "sum"
    compaction = bare_client.ts().info("camera:0:people:avg:5m")
    assert compaction.labels == {"camera": "0", "__name__": "people_avg_5m"}
    assert compaction.retention_msecs == schema.COMPACTION_RETENTION_MS


def test_differences_are_corrected_and_reported(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    add(bare_client, "people", {1_000: 3})
    run = bare_client.execute_command
    run("TS.ALTER", "camera:0:people", "RETENTION", 5, "DUPLICATE_POLICY", "MIN", "LABELS", "camera", "9")
    run("TS.DELETERULE", "camera:0:people", "camera:0:people:avg:1m")
    run("TS.CREATERULE", "camera:0:people", "camera:0:people:avg:1m", "AGGREGATION", "avg", 60)
    run("TS.DELETERULE", "camera:0:people", "camera:0:people:min:1m")
    run("TS.DELETERULE", "camera:0:people", "camera:0:people:max:1m")
    run("TS.CREATERULE", "camera:0:in_fps", "camera:0:people:max:1m", "AGGREGATION", "max", 60_000)
    bare_client.delete("camera:0:latency")
    assert create_series(bare_client, "0") == [
        "changed retention of camera:0:people from 5 to 86400000",
        "changed duplicate policy of camera:0:people from MIN to LAST",
        "changed labels of camera:0:people from {'camera': '9'} to {'camera': '0', '__name__': 'people'}",
        "removed rule camera:0:people -> camera:0:people:avg:1m (avg, 60 ms)",
        "added rule camera:0:people -> camera:0:people:avg:1m (avg, 60000 ms)",
        "added rule camera:0:people -> camera:0:people:min:1m (min, 60000 ms)",
        "removed rule camera:0:in_fps -> camera:0:people:max:1m",
        "added rule camera:0:people -> camera:0:people:max:1m (max, 60000 ms)",
        "created camera:0:latency",
    ]
    assert create_series(bare_client, "0") == []
    assert read_series(bare_client, "0", "people").latest == 3


def test_buckets_are_milliseconds(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    add(bare_client, "people", {1_000: 2, 59_000: 6, 61_000: 10})
    averages = read_series(bare_client, "0", "people_avg_1m")
    # The second minute is still filling.
    assert dict(zip(averages.timestamps_ms.tolist(), averages.values.tolist(), strict=True)) == {0: 4, 60_000: 10}
    assert averages.bucket_ms == 60_000
    assert averages.key == "camera:0:people:avg:1m"


def test_samples_are_arrays(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    now = 1_790_000_000_123
    add(bare_client, "prf_model", {now: 1.5, now + 1: 2.25})
    series = read_series(bare_client, "0", "prf_model")
    assert series.timestamps_ms.dtype == np.int64
    assert series.timestamps_ms.tolist() == [now, now + 1]
    assert series.values.dtype == np.float64
    assert series.values.tolist() == [1.5, 2.25]
    assert series.times[0] == np.datetime64(now, "ms")
    assert (series.name, series.latest, len(series), series.bucket_ms) == ("prf_model", 2.25, 2, None)
    assert "camera:0:prf_model: 2 samples" in repr(series)


def test_range_and_aggregation(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    add(bare_client, "people", {number * 1000: number for number in range(10)})
    assert read_series(bare_client, "0", "people", start_ms=2000, end_ms=4000).values.tolist() == [2, 3, 4]
    sums = read_series(bare_client, "0", "people", aggregation="sum", bucket_ms=5000)
    assert (sums.values.tolist(), sums.timestamps_ms.tolist(), sums.bucket_ms) == ([10, 35], [0, 5000], 5000)
    with pytest.raises(ConfigurationError, match="give both"):
        read_series(bare_client, "0", "people", aggregation="sum")


def test_several_series_in_the_requested_order(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    create_series(bare_client, "10")
    add(bare_client, "people", {1: 1})
    found = read_many(bare_client, "0", ["prf_store", "people", "people_max_15m", "people"])
    assert list(found) == ["prf_store", "people", "people_max_15m"]
    assert [len(series) for series in found.values()] == [0, 1, 1]
    assert {series.labels["camera"] for series in found.values()} == {"0"}
    with pytest.raises(ConfigurationError, match="no names of series were given"):
        read_many(bare_client, "0", [])


def test_empty_and_missing_series_are_distinguished(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    empty = read_series(bare_client, "0", "people")
    assert len(empty) == 0
    assert repr(empty) == "<Series camera:0:people: no samples>"
    with pytest.raises(NoDataError, match="camera:0:people has no samples"):
        _ = empty.latest
    with pytest.raises(NoDataError, match=r"no series poeple: create them with `rededge init --camera 0`"):
        read_series(bare_client, "0", "poeple")
    with pytest.raises(NoDataError, match="rededge init --camera 7"):
        read_series(bare_client, "7", "people")


def test_camera_ids_are_in_order(bare_client: redis.Redis) -> None:
    assert camera_ids(bare_client) == []
    for camera in ("10", "door", "2", "{a}"):
        create_series(bare_client, camera)
    assert camera_ids(bare_client) == ["2", "10", "door", "{a}"]
    assert read_series(bare_client, "{a}", "people").labels["camera"] == "{a}"


def test_key_in_use_for_something_else(bare_client: redis.Redis) -> None:
    bare_client.set("camera:0:in_fps", 1)
    with pytest.raises(ConfigurationError, match="the key camera:0:in_fps holds something else than a time series"):
        create_series(bare_client, "0")


@pytest.mark.parametrize("protocol", [2, 3])
def test_clients_of_both_protocols(shared_bare_server: BareServer, bare_client: redis.Redis, protocol: int) -> None:
    client = shared_bare_server.client(protocol)
    client.ts()
    create_series(client, "0")
    assert create_series(client, "0") == []
    add(bare_client, "people", {5: 3})
    assert read_many(client, "0", ["people"])["people"].values.tolist() == [3]
    buckets = read_series(client, "0", "people", aggregation="max", bucket_ms=10)
    assert (buckets.timestamps_ms.tolist(), buckets.values.tolist()) == ([0], [3])
    client.close()


def test_server_without_the_module() -> None:
    with bare_server(timeseries=False) as server:
        client = server.client()
        with pytest.raises(MissingModuleError, match=r"does not know TS\.CREATE: it lacks RedisTimeSeries"):
            create_series(client, "0")
        with pytest.raises(MissingModuleError):
            camera_ids(client)
        server.kill()
        with pytest.raises(ServerUnavailableError):
            read_series(client, "0", "people")
        client.close()
