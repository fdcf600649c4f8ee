"""The workers' state has a database of its own, and clients see only their own keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.client.state_database import in_state_database, is_own_key, state_client, state_database
from rededge_nb.edge.server.state import Instance
from tests.edge.bare_redis import BareRedis, bare_redis
from tests.gear_scripts import execute, registrations
from tests.waiting import wait_for


@pytest.fixture(params=[(16, 15), (20, 15), (4, 3), (1, 0)], ids=lambda pair: f"{pair[0]} databases")
def bare(request: pytest.FixtureRequest) -> Iterator[tuple[BareRedis, int]]:
    databases, expected = request.param
    with bare_redis(options=("--databases", str(databases)), load=False) as started:
        yield started, expected


def test_it_is_number_15_or_the_last_one(bare: tuple[BareRedis, int]) -> None:
    started, expected = bare
    client = client_from_url(f"unix://{started.socket_path}")
    assert state_database(client) == expected
    state_client(client).set("k", "v")
    assert client.exists("k") == (expected == 0)
    assert in_state_database(client, [("GET", "k")]) == (
        [("SELECT", expected), ("GET", "k"), ("SELECT", 0)] if expected else [("GET", "k")]
    )
    assert is_own_key(client, b"rededge:k") == (expected == 0)
    assert not is_own_key(client, b"k")


def test_clients_of_all_databases_agree(bare: tuple[BareRedis, int]) -> None:
    started, expected = bare
    for number in {0, expected, max(0, expected - 1)}:
        client = client_from_url(f"unix://{started.socket_path}", db=number)
        assert state_database(client) == expected


@pytest.fixture
def busy(client: redis.Redis) -> redis.Redis:
    """A server with a gear of each kind, stored executions, options and a timer."""
    script = """
GB('StreamReader').register('s')
GB('KeysReader').foreach(lambda r: execute('INCR', 'n')).register('k')
GB('CommandReader').register(trigger='t')
registerTE(1, lambda: None, 'timer')
"""
    assert execute(client, script) == b"OK"
    client.execute_command("RG.CONFIGSET", "mine", "1", "AI.X", "2")
    execute(client, "GB('ShardsIDReader').run()", "UNBLOCKING")
    client.execute_command("RG.TRIGGER", "t")
    client.set("k", 1)
    client.xadd("s", {"a": 1})
    wait_for(lambda: client.get("n") == b"1" and client.xlen("s") == 0, what="the gears")
    return client


def test_clients_see_what_clients_have_put_there(busy: redis.Redis) -> None:
    keys = {b"k", b"n", b"s", b"timer"}
    assert set(busy.keys("*")) == set(busy.scan_iter()) == keys
    assert busy.dbsize() == len(keys)
    assert all(busy.randomkey() in keys for _ in range(100))
    (found,), errors = execute(busy, "GB('ShardsIDReader').map(lambda r: sorted(execute('keys', '*'))).run()")
    assert (found, errors) == (b"['k', 'n', 's', 'timer']", [])
    assert busy.info("keyspace").keys() == {"db0", f"db{state_database(busy)}"}


def test_flushdb_does_not_touch_the_state(busy: redis.Redis) -> None:
    before = state_client(busy).get(key_names.sessions_version(busy))
    busy.flushdb()
    assert len(registrations(busy)) == 3
    assert state_client(busy).get(key_names.sessions_version(busy)) == before
    assert busy.execute_command("RG.CONFIGGET", "mine") == [b"1"]


def test_state_of_an_older_version_is_moved_at_the_first_start(folder_with_former_state: Instance) -> None:
    instance = server.start(folder_with_former_state.dir)
    client = client_from_url(instance.url)
    (registration,) = registrations(client)
    assert registration["data"]["numTriggered"] == 7
    assert client.keys("*") == [b"mine"]
    assert client.execute_command("RG.CONFIGGET", "option") == [b"kept"]
    assert client.execute_command("RG.TRIGGER", "t") == [b"['t']"]
    execute(client, "GB('CommandReader').register(trigger='u')")
    assert len({one["id"] for one in registrations(client)}) == 2, "no id is given twice"


@pytest.fixture
def folder_with_former_state(folder: Path) -> Instance:
    """A state folder with the layout of commit a592920: everything is in database 0."""
    instance = server.start(folder)
    client = client_from_url(instance.url)
    client.set("mine", 1)
    execute(client, "GB('CommandReader').register(trigger='t')")
    (registration,) = registrations(client)
    client.execute_command("RG.CONFIGSET", "option", "kept")
    state = state_client(client)
    statistics = key_names.registration_keys(client, registration["id"].decode())["statistics"]
    state.hset(statistics, mapping={"triggered": 7, "success": 7})
    moved = {key: state.dump(key) for key in state.keys("*") if state.pttl(key) == -1}
    server.stop(folder)
    # without workers, which would use the state database again
    alone = server.start(folder, workers=0)
    client = client_from_url(alone.url)
    for key, value in moved.items():
        client.restore(key, 0, value)
    state_client(client).flushdb()
    server.stop(folder)
    return instance
