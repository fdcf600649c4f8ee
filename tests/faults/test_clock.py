"""A clock that goes back: frames, series, leases and signs of life that are ahead of it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import redis

from rededge_nb import schema
from rededge_nb.capture.run import capture
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.gears.state import leases
from rededge_nb.edge.processes import end_process
from rededge_nb.edge.server.binaries import find_binaries
from rededge_nb.edge.server.redis_server import STOP_TIMEOUT, start_redis, wait_until_ready
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.monitoring.doctor import examine
from rededge_nb.monitoring.status import server_status
from rededge_nb.reading.series import read_series
from tests.edge.worker.test_worker import workers_of
from tests.gear_scripts import execute, only_registration
from tests.gears.test_people_counter import answered, jpeg_of
from tests.waiting import wait_for

HOUR_MS = 3_600_000
GEAR = "GB('StreamReader').foreach(lambda r: execute('RPUSH', 'seen', r['id'])).register('s')"


def now_ms(client: redis.Redis) -> int:
    seconds, _ = client.time()
    return int(seconds) * 1000


def test_frames_of_equal_and_older_times_are_counted(client: redis.Redis, video: Path) -> None:
    provision(client)
    now = now_ms(client)
    jpeg = jpeg_of(video)
    times = [now, now, now - HOUR_MS, now - HOUR_MS + 1]
    refs = [client.xadd("camera:0", {"image": jpeg, "ts": ts, "keep": 1}) for ts in times]
    wait_for(lambda: answered(client, refs), what="all frames", timeout=60)
    assert client.xlen(schema.errors_key(0)) == 0
    people = read_series(client, "0", "people")
    assert list(people.timestamps_ms) == sorted(set(times))
    rate = read_series(client, "0", "out_fps")
    assert dict(zip(rate.timestamps_ms.tolist(), rate.values.tolist(), strict=True)) == {
        now - HOUR_MS: 2.0,
        now: 2.0,
    }
    # samples of the past reach the compactions, too
    minute = (now - HOUR_MS) // schema.MINUTE_MS * schema.MINUTE_MS
    assert client.execute_command("TS.RANGE", schema.compaction_key(0, "max", 1), minute, minute)


def test_frames_older_than_the_retention_are_counted_without_samples(
    edge: Instance, client: redis.Redis, video: Path
) -> None:
    provision(client)
    now = now_ms(client)
    jpeg = jpeg_of(video)
    ahead = now + 3 * schema.RAW_RETENTION_MS
    refs = [client.xadd("camera:0", {"image": jpeg, "ts": ts, "keep": 1}) for ts in (ahead, now)]
    wait_for(lambda: answered(client, refs), what="all frames", timeout=60)
    assert client.xlen(schema.detections_key(0)) == 2, "detections are there whatever the clock said"
    assert list(read_series(client, "0", "people").timestamps_ms) == [ahead]
    clock = next(finding for finding in examine(edge.dir) if finding.name == "clock")
    assert clock.state == "warn"
    assert clock.found == "samples of camera 0 are 72.0 hours in the future; cameras with such samples: 1"
    assert "create new ones with `rededge init --camera 0`" in clock.advice


def test_a_capture_continues_above_ids_of_the_future(client: redis.Redis) -> None:
    future = now_ms(client) + HOUR_MS
    client.xadd("camera:9", {"count": 1, "ts": future, "image": b"x"}, id=f"{future}-0")
    report = capture(client, "synthetic:people=0,size=128x64,frames=5,fps=500", camera="9")
    assert report.frames + report.skipped == 5
    ids = [entry_id for entry_id, _ in client.xrange("camera:9")]
    assert ids == [f"{future}-{number}".encode() for number in range(1 + report.frames)]
    times = [int(fields[b"ts"]) for _, fields in client.xrange("camera:9")][1:]
    assert max(times) < future - HOUR_MS / 2, "the frames have the time that it is"


@pytest.fixture
def running(folder: Path) -> tuple[Instance, redis.Redis]:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    execute(client, GEAR)
    client.xadd("s", {"n": 1})
    wait_for(lambda: client.llen("seen") == 1, what="an entry", timeout=30)
    return instance, client


def leave_traces_of_the_future(instance: Instance, client: redis.Redis) -> None:
    """Do as if a worker had died, and then the clock had gone back by an hour."""
    key = wait_for(
        lambda: next(state_client(client).scan_iter(key_names.heartbeat(client, "*")), None),
        what="the worker's sign of life",
    )
    living = key.decode().rpartition(":")[2]
    names = (f"dead-{number}" for number in range(1000))
    dead = next(name for name in names if leases._weight(name, "s") > leases._weight(living, "s"))
    registration = only_registration(client)["id"].decode()
    worker = psutil.Process(workers_of(instance.pid)[0].pid)
    worker.suspend()  # else it would renew its lease in between
    workers = key_names.registration_keys(client, registration)["workers"]
    state = state_client(client)
    state.zadd(workers, {dead: now_ms(client) + HOUR_MS})
    state.set(key_names.heartbeat(client, dead), 1, px=HOUR_MS)
    state.set(key_names.lease(client, "s"), f"{dead}/{registration}", px=HOUR_MS)
    seen = state.zscore(workers, living)
    worker.resume()
    wait_for(lambda: state.zscore(workers, living) != seen, what="the worker to look at its leases")


def test_a_dead_worker_with_a_heartbeat_of_the_future_does_not_block_others(
    running: tuple[Instance, redis.Redis],
) -> None:
    instance, client = running
    leave_traces_of_the_future(instance, client)
    client.xadd("s", {"n": 2})
    wait_for(lambda: client.llen("seen") == 2, what="the entry, although the lease lasts for an hour", timeout=30)
    for number in range(20):
        client.xadd("s", {"n": number})
    wait_for(lambda: client.llen("seen") == 22, what="the rest, at full speed", timeout=15)
    client.close()


def test_a_start_removes_the_heartbeats_and_leases_of_the_last_run(running: tuple[Instance, redis.Redis]) -> None:
    instance, client = running
    registration = only_registration(client)["id"].decode()
    server.stop(instance.dir)
    state = StateFolder(instance.dir)
    process = start_redis(state, find_binaries())
    wait_until_ready(process, state, instance.url)
    state_client(client).set(key_names.heartbeat(client, "dead"), 1, px=HOUR_MS)
    state_client(client).set(key_names.lease(client, "s"), f"dead/{registration}", px=HOUR_MS)
    state_client(client).zadd(
        key_names.registration_keys(client, registration)["workers"], {"dead": now_ms(client) + HOUR_MS}
    )
    end_process(process, STOP_TIMEOUT)
    again = server.start(instance.dir)
    assert state_client(client).exists(key_names.heartbeat(client, "dead")) == 0
    wait_for(lambda: server_status(again.url, again)["workers"] == 1, what="the one worker that lives", timeout=30)
    client.xadd("s", {"n": 2})
    wait_for(lambda: client.llen("seen") == 2, what="the entry", timeout=30)
    client.close()
