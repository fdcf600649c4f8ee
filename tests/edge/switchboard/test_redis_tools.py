"""INFO, SLOWLOG, MONITOR, CLIENT, the append-only file and replication."""

from __future__ import annotations

import time

import pytest
import redis

from tests.edge.bare_redis import BareRedis, bare_redis
from tests.edge.switchboard.bare_switchboard import module_arguments, state, take, wait_until
from tests.waiting import wait_for


def test_info_counts_calls(server: BareRedis, admin: redis.Redis) -> None:
    before = state(admin, "other")
    worker = server.wire().send("EDGE.NEXT", 2, "other")
    wait_until(admin, "other", workers=1, waiting=1, queued=0, in_flight=0)
    server.wire().send("T.OTHER")
    [call] = worker.receive()
    server.wire().send("T.OTHER")
    wait_until(admin, "other", workers=1, waiting=0, queued=1, in_flight=1)
    worker.call("EDGE.REPLY", call[0], ":1\r\n")
    wait_until(admin, "other", delivered=before["delivered"] + 1, in_flight=0)


def test_slowlog_shows_calls_with_their_time_and_no_worker_commands(server: BareRedis, admin: redis.Redis) -> None:
    threshold = admin.config_get("slowlog-log-slower-than")["slowlog-log-slower-than"]
    admin.config_set("slowlog-log-slower-than", 0)
    try:
        admin.slowlog_reset()
        caller, worker = server.wire().send("T.CALL"), server.wire()
        [call] = take(worker)
        taken = time.monotonic()
        wait_for(lambda: time.monotonic() > taken + 0.02)
        worker.call("EDGE.REPLY", call[0], ":1\r\n")
        caller.receive()
        entries = {entry["command"].split()[0]: entry["duration"] for entry in admin.slowlog_get(50)}
    finally:
        admin.config_set("slowlog-log-slower-than", threshold)
    assert entries[b"T.CALL"] >= 20_000, "microseconds"
    assert not {b"EDGE.NEXT", b"EDGE.REPLY"} & entries.keys()


def test_monitor_shows_calls_and_no_worker_commands(server: BareRedis) -> None:
    monitor, caller, worker = server.wire(), server.wire(), server.wire()
    monitor.call("MONITOR")
    caller.send("T.CALL", "shown")
    [call] = take(worker)
    worker.call("EDGE.REPLY", call[0], ":1\r\n")
    worker.call("ECHO", "end")
    seen = [monitor.receive()]
    while b"end" not in seen[-1]:
        seen.append(monitor.receive())
    assert any(b"T.CALL" in line for line in seen)
    assert not any(b"EDGE." in line for line in seen)


def test_client_unblock_does_not_affect_callers_and_workers(server: BareRedis, admin: redis.Redis) -> None:
    worker = server.wire().send("EDGE.NEXT", 1, "main")
    wait_until(admin, "main", waiting=1)
    for how in ("TIMEOUT", "ERROR"):
        assert admin.execute_command("CLIENT", "UNBLOCK", worker.client_id, how) == 0
    caller = server.wire().send("T.CALL")
    [call] = worker.receive()
    for how in ("TIMEOUT", "ERROR"):
        assert admin.execute_command("CLIENT", "UNBLOCK", caller.client_id, how) == 0
    worker.call("EDGE.REPLY", call[0], "+ok\r\n")
    assert caller.receive() == b"ok"


@pytest.mark.parametrize("mode", ["WRITE", "ALL"])
def test_client_pause_only_delays(server: BareRedis, admin: redis.Redis, mode: str) -> None:
    caller, worker = server.wire().send("T.CALL"), server.wire()
    [call] = take(worker)
    waiting = server.wire().send("EDGE.NEXT", 1, "main")
    wait_until(admin, "main", waiting=1)
    admin.execute_command("CLIENT", "PAUSE", 200, mode)
    worker.send("EDGE.REPLY", call[0], "+ok\r\n")
    later = server.wire().send("T.CALL", "later")
    assert (worker.receive(), caller.receive()) == (1, b"ok")
    [call] = waiting.receive()
    waiting.call("EDGE.REPLY", call[0], "+later\r\n")
    assert later.receive() == b"later"


def test_calls_are_not_written_to_the_append_only_file() -> None:
    with bare_redis(*module_arguments(), options=("--appendonly", "yes", "--appendfsync", "always")) as server:
        caller, worker = server.wire(), server.wire()
        worker.send("EDGE.NEXT", 1, "main")
        caller.send("T.CALL", "not in the file")
        [call] = worker.receive()
        worker.call("EDGE.REPLY", call[0], ":1\r\n")
        caller.receive()
        worker.call("SET", "in", "the file")
        files = [path.read_bytes() for path in (server.folder / "appendonlydir").iterdir()]
    assert any(b"the file" in data for data in files)
    assert not any(b"not in the file" in data or b"EDGE." in data for data in files)


def test_a_server_that_becomes_a_replica_disconnects_callers_and_workers() -> None:
    with bare_redis(*module_arguments()) as server, server.client() as admin:
        busy, waiting = server.wire(), server.wire()
        taken = server.wire().send("T.CALL")
        [call] = take(busy)
        waiting.send("EDGE.NEXT", 1, "other")
        queued = server.wire().send("T.CALL")
        wait_until(admin, "main", queued=1, in_flight=1)
        wait_until(admin, "other", waiting=1)
        admin.execute_command("REPLICAOF", "127.0.0.1", 1)
        for client in (taken, queued, waiting):
            assert client.receive_error().startswith("UNBLOCKED ")
        assert busy.call("EDGE.REPLY", call[0], ":1\r\n") == 0
        wait_until(admin, "main", queued=0, in_flight=0, workers=1)
        wait_until(admin, "other", waiting=0, workers=0)
        assert server.wire().send("T.ONE", "k").receive_error().startswith("READONLY ")
        admin.execute_command("REPLICAOF", "NO", "ONE")
        caller = server.wire().send("T.CALL")
        [call] = take(busy)
        busy.call("EDGE.REPLY", call[0], "+back\r\n")
        assert caller.receive() == b"back"
