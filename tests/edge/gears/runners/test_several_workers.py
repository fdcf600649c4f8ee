"""Several workers on one server: which one runs what, and which one takes over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from rededge_nb import settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server.state import Instance
from tests.edge.worker.test_worker import workers_of
from tests.gear_scripts import execute, fields, registrations
from tests.waiting import wait_for

STREAMS = [f"p:{number}" for number in range(8)]
UPGRADERS, UPGRADES = 6, 12


@pytest.fixture
def instance(folder: Path) -> Instance:
    return server.start(folder, workers=2)


@pytest.fixture
def both(instance: Instance) -> Iterator[redis.Redis]:
    client = client_from_url(instance.url)
    wait_for(lambda: len(state_client(client).keys("rededge:worker:*")) == 2, what="both workers", timeout=30)
    yield client
    client.close()


def owners(client: redis.Redis) -> list[bytes]:
    return [(state_client(client).get(key_names.lease(client, stream)) or b"").split(b"/")[0] for stream in STREAMS]


def test_streams_are_spread_over_workers_and_taken_over(both: redis.Redis, instance: Instance) -> None:
    script = (
        "import os\nGB('StreamReader').foreach(lambda r: execute('HSET', 'by', r['key'], os.getpid())).register('p:*')"
    )
    for stream in STREAMS:
        both.xadd(stream, {"x": 1})
    execute(both, script)
    shares = wait_for(lambda: len(set(owners(both)) - {b""}) == 2 and Counter(owners(both)), what="two owners")
    assert sum(shares.values()) == len(STREAMS)
    wait_for(lambda: both.hlen("by") == len(STREAMS), what="every stream's entry")
    dying = workers_of(instance.pid)[0].pid
    theirs = [
        stream
        for stream in STREAMS
        if (state_client(both).get(key_names.lease(both, stream)) or b"").find(b"-%d-" % dying) > 0
    ]
    os.kill(dying, signal.SIGKILL)
    died = time.monotonic()
    for stream in STREAMS:
        both.xadd(stream, {"x": 2})
    wait_for(lambda: all(both.hget("by", stream) != str(dying).encode() for stream in theirs), what="other owners")
    # two seconds, as documented, and some more for a busy machine
    assert time.monotonic() - died < 5
    wait_for(lambda: len(set(owners(both)) - {b""}) == 2, what="the new worker's share", timeout=30)


def test_a_trigger_runs_in_every_worker(both: redis.Redis) -> None:
    execute(both, "import os\nGB('CommandReader').map(lambda r: os.getpid()).register(trigger='pid')")
    pids: set[bytes] = set()

    def seen() -> bool:
        pids.update(both.execute_command("RG.TRIGGER", "pid"))
        return len(pids) == 2

    wait_for(seen, what="an answer of each worker")
    with pytest.raises(redis.ResponseError, match="trigger already registered"):
        execute(both, "GB('CommandReader').register(trigger='pid')")


def test_an_execution_is_listed_and_aborted_by_any_worker(both: redis.Redis) -> None:
    script = "def loop(r):\n    execute('INCR', 'begun')\n    while True:\n        pass\n"
    ids = [execute(both, script + "GB('ShardsIDReader').foreach(loop).run()", "UNBLOCKING") for _ in range(4)]
    wait_for(lambda: both.get("begun") == b"4", what="all four")
    for execution in ids:
        assert both.execute_command("RG.ABORTEXECUTION", execution) == b"OK"
    found = {one["executionId"]: one["status"] for one in map(fields, both.execute_command("RG.DUMPEXECUTIONS"))}
    assert found == dict.fromkeys(ids, b"done")


def test_an_event_of_a_key_runs_once(both: redis.Redis) -> None:
    execute(both, "GB().foreach(lambda r: execute('RPUSH', 'seen', r['key'])).register('k*')")
    for number in range(20):
        both.set(f"k{number}", 1)
    wait_for(lambda: both.llen("seen") >= 20, what="the events")
    assert both.lrange("seen", 0, -1) == [b"k%d" % number for number in range(20)]


def test_flushall_and_changes_through_different_workers(both: redis.Redis) -> None:
    for number in range(6):
        execute(both, f"GB('StreamReader').register('s{number}')", "ID", f"session{number}")
        both.flushall()
    known = registrations(both)
    assert len(known) == 6
    for registration in known:
        both.flushall()
        both.execute_command("RG.UNREGISTER", registration["id"])
    both.flushall()
    assert registrations(both) == []


def test_an_option_reaches_every_worker_and_survives_flushall(both: redis.Redis) -> None:
    script = "import os\nGB('CommandReader').map(lambda r: [os.getpid(), configGet('mine')]).register(trigger='t'"
    execute(both, script + ", convertToStr=False)")
    for value in (b"first", b"second"):
        both.execute_command("RG.CONFIGSET", "mine", value)
        found: dict[int, bytes] = {}

        def seen(found: dict[int, bytes] = found, value: bytes = value) -> bool:
            ((pid, option),) = both.execute_command("RG.TRIGGER", "t")
            found[pid] = option
            return list(found.values()) == [value, value]

        wait_for(seen, what="the option in each worker")
        both.flushall()
        wait_for(
            lambda v=value: state_client(both).hget(key_names.gears_options(both), "mine") == v, what="the option again"
        )  # type: ignore[misc]
    assert both.execute_command("RG.CONFIGGET", "mine") == [b"second"]


def test_a_worker_of_another_folder_joins(folder: Path) -> None:
    alone = server.start(folder / "one")
    client = client_from_url(alone.url)
    execute(client, "import os\nGB('CommandReader').map(lambda r: os.getpid()).register(trigger='pid')")
    environment = os.environ | {settings.REDIS_URL: alone.tcp_url, settings.STATE_DIR: str(folder / "two")}
    other = subprocess.Popen([sys.executable, "-m", "rededge_nb.edge.worker"], env=environment)
    try:
        mine = str(other.pid).encode()
        wait_for(lambda: client.execute_command("RG.TRIGGER", "pid") == [mine], what="its answer", timeout=30)
        assert client.execute_command("RG.TRIGGER", "pid")
    finally:
        other.terminate()
        assert other.wait(20) == 0
    client.close()


def test_many_clients_upgrade_one_session_at_the_same_time(both: redis.Redis, instance: Instance) -> None:
    script = "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('many')"

    def upgrade(_: int) -> list[object]:
        client = client_from_url(instance.url)
        words = ("RG.PYEXECUTE", script, "ID", "many", "UPGRADE")
        replies = [client.execute_command(*words) for _ in range(UPGRADES)]
        client.close()
        return replies

    with ThreadPoolExecutor(UPGRADERS) as threads:
        replies = [reply for some in threads.map(upgrade, range(UPGRADERS)) for reply in some]
    assert replies == [b"OK"] * UPGRADERS * UPGRADES
    assert len(registrations(both)) == 1
    both.xadd("many", {"x": 1})
    wait_for(lambda: both.get("n") == b"1", what="the one registration that is left")
