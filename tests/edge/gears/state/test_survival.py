"""Registrations survive FLUSHALL, restarts and crashes. Each test has a server of its own, which it may damage."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from rededge_nb.edge import server
from tests.edge.gears.own_server import Server
from tests.gear_scripts import execute, fields, only_registration, registrations
from tests.waiting import wait_for

GROUP = "__gears_consumer_group__"


def test_registrations_survive_flushall(own: Server) -> None:
    client = own.client
    script = "GB('StreamReader').foreach(lambda r: execute('RPUSH', 'seen', r['id'])).register('{}')"
    execute(client, script.format("s"), "ID", "mine", "DESCRIPTION", "of mine")
    execute(client, script.format("paused"), "ID", "other")
    paused = next(one["id"] for one in registrations(client) if one["args"]["stream"] == b"paused")
    client.execute_command("RG.PAUSEREGISTRATIONS", paused)
    before = {(one["id"], one["args"]["stream"], one["data"]["status"]) for one in registrations(client)}
    client.flushall()
    assert {(one["id"], one["args"]["stream"], one["data"]["status"]) for one in registrations(client)} == before
    entry = client.xadd("s", {"x": 1})
    wait_for(lambda: client.lrange("seen", 0, -1) == [entry], what="the entry")
    client.flushall()
    # nobody has looked since: what is registered next must not hide what was there
    execute(client, script.format("new"))
    known = {bytes(one["args"]["stream"]): one["id"] for one in registrations(client)}
    assert set(known) == {b"s", b"paused", b"new"}
    assert len(set(known.values())) == 3, "ids are not given again"
    client.flushall()
    own.kill_worker()
    entry = client.xadd("s", {"x": 1})
    wait_for(lambda: client.lrange("seen", 0, -1) == [entry], what="the entry, at a new worker", timeout=30)
    used = {registration["id"] for registration in registrations(client)}
    for registration_id in used:
        client.execute_command("RG.UNREGISTER", registration_id)
    client.flushall()
    assert registrations(client) == []
    execute(client, script.format("newest"))
    assert only_registration(client)["id"] not in used


def test_registrations_survive_a_restart(folder: Path) -> None:
    first = Server(server.start(folder))
    script = """
n = 5
opened = []
def add(r):
    global n
    n += 1
    return [n, len(opened)]
GB('CommandReader').map(add).register(trigger='t', convertToStr=False, onRegistered=lambda: opened.append(1))
"""
    execute(first.client, script)
    assert first.client.execute_command("RG.TRIGGER", "t") == [[6, 1]]
    first.client.flushall()
    first.client.close()
    server.stop(folder)
    second = Server(server.start(folder))
    # globals as they were when it was registered
    assert second.client.execute_command("RG.TRIGGER", "t") == [[6, 1]]
    second.client.close()


def test_a_gear_that_kills_its_worker_twice_is_paused(own: Server) -> None:
    client = own.client
    script = """
import os
def work(r):
    execute('RPUSH', 'seen', r['value']['n'])
    if r['value']['n'] == '2' and not execute('EXISTS', 'mended'):
        os._exit(139)
GB('StreamReader').foreach(work).register('s')
"""
    execute(client, script)
    execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'others')).register('other')")
    bad = [client.xadd("s", {"n": n}) for n in (1, 2, 3)][1]

    def status() -> object:
        try:
            found = {bytes(one["args"]["stream"]): one["data"] for one in registrations(client)}
        except redis.ResponseError:
            return None  # the worker died under the call
        return found[b"s"] if found[b"s"]["status"] == b"PAUSED" else None

    data = wait_for(status, what="the pause", timeout=40)
    assert b"2 workers in a row died" in data["lastError"]
    assert bad in data["lastError"]
    assert client.lrange("seen", 0, -1) == [b"1", b"2", b"2"]
    client.xadd("other", {"x": 1})
    wait_for(lambda: client.get("others") == b"1", what="the other gear, which goes on")
    client.set("mended", 1)
    (paused,) = [one["id"] for one in registrations(client) if one["args"]["stream"] == b"s"]
    client.execute_command("RG.UNPAUSEREGISTRATIONS", paused)
    wait_for(lambda: client.lrange("seen", 0, -1) == [b"1", b"2", b"2", b"2", b"3"], what="the rest")


def test_a_failure_does_not_count_as_a_crash(own: Server) -> None:
    client = own.client
    script = """
def work(r):
    execute('RPUSH', 'seen', r['id'])
    if not execute('EXISTS', 'go'):
        raise ValueError('not yet')
GB('StreamReader').foreach(work).register('s', onFailedPolicy='retry', onFailedRetryInterval=0)
"""
    execute(client, script)
    client.xadd("s", {"n": 1})
    wait_for(lambda: client.llen("seen") > 3, what="retries")
    own.kill_worker()
    seen = client.llen("seen")
    wait_for(lambda: client.llen("seen") > seen + 3, what="retries of the next worker", timeout=30)
    client.set("go", 1)
    wait_for(lambda: client.xpending("s", GROUP)["pending"] == 0, what="success")
    assert only_registration(client)["data"]["status"] == b"OK"


def test_an_abort_applies_to_all_workers_and_survives_them(own: Server) -> None:
    client = own.client
    script = """
def work(r):
    execute('RPUSH', 'seen', r['id'])
    raise ValueError('never')
GB('StreamReader').foreach(work).register('s', onFailedPolicy='abort')
"""
    execute(client, script)
    client.xadd("s", {"n": 1})
    wait_for(lambda: only_registration(client)["data"]["status"] == b"ABORTED", what="the abort")
    own.kill_worker()
    wait_for(lambda: alive(client), what="the next worker", timeout=30)
    assert only_registration(client)["data"]["status"] == b"ABORTED"
    # what is registered now runs only once the new worker has looked at all that is there
    execute(client, "GB('StreamReader').foreach(lambda r: execute('SET', 'other', 1)).register('t')")
    client.xadd("t", {"n": 1})
    wait_for(lambda: client.exists("other"), what="another gear")
    assert client.llen("seen") == 1
    assert client.xpending("s", GROUP)["pending"] == 1
    client.flushall()
    assert b"ABORTED" in {one["data"]["status"] for one in registrations(client)}


def alive(client: redis.Redis) -> bool:
    try:
        return bool(client.execute_command("RG.DUMPREGISTRATIONS"))
    except redis.ResponseError:
        return False  # the worker died under the call


def test_an_on_registered_that_kills_its_worker_is_paused(own: Server) -> None:
    client = own.client
    script = "import os\nGB('StreamReader').register('s', onRegistered=lambda: os._exit(139))"
    with pytest.raises(redis.ResponseError, match="WORKERLOST"):
        execute(client, script)

    def paused() -> object:
        try:
            data = only_registration(client)["data"]
        except redis.ResponseError:
            return None
        return data["lastError"] if data["status"] == b"PAUSED" else None

    assert b"died in its onRegistered" in wait_for(paused, what="the pause", timeout=40)


def test_an_execution_whose_worker_died_is_aborted(own: Server) -> None:
    client = own.client
    script = """
import os, time
def work(r):
    while not execute('EXISTS', 'go'):
        time.sleep(0.01)
    os._exit(1)
GB('ShardsIDReader').foreach(work).run()
"""
    execution = execute(client, script, "UNBLOCKING")
    client.set("go", 1)

    def status() -> object:
        try:
            found = [fields(one) for one in client.execute_command("RG.DUMPEXECUTIONS")]
        except redis.ResponseError:
            return None
        return found[0]["status"] == b"aborted" if found else None

    wait_for(status, what="its end", timeout=30)
    client.execute_command("RG.DROPEXECUTION", execution)


def test_an_error_that_begins_with_pause_pauses(own: Server) -> None:
    client = own.client
    script = """
def work(r):
    if not execute('EXISTS', 'go'):
        flat_error('PAUSE until there is a go')
    execute('RPUSH', 'seen', r['id'])
GB('StreamReader').foreach(work).register('s')
"""
    execute(client, script)
    entries = [client.xadd("s", {"n": 1}), client.xadd("s", {"n": 2})]
    wait_for(lambda: only_registration(client)["data"]["status"] == b"PAUSED", what="the pause")
    assert only_registration(client)["data"]["lastError"] == b"PAUSE until there is a go"
    client.set("go", 1)
    client.execute_command("RG.UNPAUSEREGISTRATIONS", only_registration(client)["id"])
    wait_for(lambda: client.lrange("seen", 0, -1) == entries, what="both entries")
