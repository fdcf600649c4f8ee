"""Missing and dead workers, callers that disconnect, timeouts and full queues."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
import redis

from tests.edge.bare_redis import BareRedis
from tests.edge.switchboard.bare_switchboard import state, take, wait_until
from tests.waiting import wait_for


def test_without_grace_a_call_fails_at_once_if_there_is_no_worker(server: BareRedis) -> None:
    assert server.wire().send("T.NOBODY").receive_error().startswith("NOWORKER no edge worker serves 'nobody'")


def test_a_call_fails_after_the_grace_if_there_is_no_worker(server: BareRedis) -> None:
    started = time.monotonic()
    assert server.wire().send("T.GRACED").receive_error().startswith("NOWORKER ")
    assert time.monotonic() - started >= 0.25


def test_a_worker_that_connects_within_the_grace_gets_the_call(server: BareRedis, admin: redis.Redis) -> None:
    caller = server.wire().send("T.CALL")
    wait_until(admin, "main", queued=1, workers=0)
    worker = server.wire()
    [call] = take(worker)
    worker.call("EDGE.REPLY", call[0], "+in time\r\n")
    assert caller.receive() == b"in time"


def test_the_grace_starts_when_the_last_worker_disconnects_busy_or_not(server: BareRedis, admin: redis.Redis) -> None:
    worker = server.wire()
    server.wire().send("T.GRACED", "taken")
    take(worker, classes=("graced",))
    waiting = server.wire().send("T.GRACED", "waiting")
    arrived = time.monotonic()
    wait_for(lambda: time.monotonic() > arrived + 0.3, what="more than the grace to pass")
    assert state(admin, "graced")["queued"] == 1
    gone = time.monotonic()
    worker.close()
    assert waiting.receive_error().startswith("NOWORKER ")
    assert time.monotonic() - gone >= 0.24


@pytest.mark.parametrize("how", ["close", "CLIENT KILL", "SIGKILL"])
def test_only_the_calls_that_a_dead_worker_took_are_lost(server: BareRedis, admin: redis.Redis, how: str) -> None:
    lost_before = state(admin, "main")["lost"]
    taken = server.wire().send("T.CALL", "taken")
    wait_until(admin, "main", queued=1)
    waiting = [server.wire().send("T.CALL", number) for number in range(3)]
    wait_until(admin, "main", queued=4)
    if how == "SIGKILL":
        code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"
        code += "; s.sendall(b'EDGE.NEXT 1 main\\r\\n'); s.recv(1); sys.stdin.read()"
        process = subprocess.Popen([sys.executable, "-c", code, server.socket_path], stdin=subprocess.PIPE)
        wait_until(admin, "main", in_flight=1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    else:
        worker = server.wire()
        take(worker)
        if how == "close":
            worker.close()
        else:
            admin.execute_command("CLIENT", "KILL", "ID", worker.client_id)
    assert taken.receive_error().startswith("WORKERLOST ")
    assert state(admin, "main")["lost"] == lost_before + 1
    successor = server.wire()
    for call in take(successor, count=10):
        successor.call("EDGE.REPLY", call[0], b"+%b\r\n" % call[6][1])
    assert [caller.receive() for caller in waiting] == [b"0", b"1", b"2"]


def test_another_worker_gets_the_call_of_a_woken_worker_that_died(server: BareRedis, admin: redis.Redis) -> None:
    first, second, caller, killer = (server.wire() for _ in range(4))
    first.send("EDGE.NEXT", 1, "main")
    wait_until(admin, "main", waiting=1)
    second.send("EDGE.NEXT", 1, "main")
    wait_until(admin, "main", waiting=2)
    # What arrives while Redis is stopped runs in one go, so that the kill comes between the waking and the reply.
    with server.stopped():
        caller.send("T.CALL")
        killer.send("CLIENT", "KILL", "ID", first.client_id)
    assert killer.receive() == 1
    assert second.receive() is None, "it has to ask again"
    [call] = take(second)
    second.call("EDGE.REPLY", call[0], "+second\r\n")
    assert caller.receive() == b"second"


@pytest.mark.parametrize("woken", [False, True])
def test_a_call_waits_when_connections_of_a_dead_process_close_one_after_the_other(
    server: BareRedis, admin: redis.Redis, woken: bool
) -> None:
    dead = [server.wire().send("EDGE.NEXT", 1, "main"), server.wire().send("EDGE.NEXT", 1, "main")]
    wait_until(admin, "main", waiting=2)
    caller, killer = server.wire(), server.wire()
    if woken:  # in one go, so that the second one is woken for a call when the first one closes
        taken = server.wire()
        with server.stopped():
            taken.send("T.CALL")
            caller.send("T.CALL", "kept")
            killer.send("CLIENT", "KILL", "ID", dead[0].client_id)
    else:
        killer.send("CLIENT", "KILL", "ID", dead[0].client_id)
        wait_until(admin, "main", waiting=0)
        caller.send("T.CALL", "kept")
    wait_until(admin, "main", queued=2 if woken else 1, in_flight=0)
    dead[1].close()
    successor = server.wire()
    calls = take(successor, count=10)
    assert calls[-1][6] == [b"T.CALL", b"kept"]
    for call in calls:
        successor.call("EDGE.REPLY", call[0], "+ok\r\n")
    assert caller.receive() == b"ok"


@pytest.mark.parametrize("how", ["close", "CLIENT KILL"])
def test_edge_reply_returns_0_if_the_caller_has_disconnected(server: BareRedis, admin: redis.Redis, how: str) -> None:
    caller, worker = server.wire().send("T.CALL"), server.wire()
    [call] = take(worker)
    if how == "close":
        caller.close()
    else:
        admin.execute_command("CLIENT", "KILL", "ID", caller.client_id)
    wait_until(admin, "main", in_flight=0)
    assert worker.call("EDGE.REPLY", call[0], "+too late\r\n") == 0


def test_a_queued_call_of_a_disconnected_caller_is_never_taken(server: BareRedis, admin: redis.Redis) -> None:
    gone = server.wire().send("T.CALL", "gone")
    wait_until(admin, "main", queued=1)
    server.wire().send("T.CALL", "here")
    wait_until(admin, "main", queued=2)
    gone.close()
    wait_until(admin, "main", queued=1)
    assert [call[6][1] for call in take(server.wire(), count=10)] == [b"here"]


def test_a_call_in_flight_times_out(server: BareRedis, admin: redis.Redis) -> None:
    before = state(admin, "hasty")["timed_out"]
    caller, worker = server.wire().send("T.HASTY"), server.wire()
    [call] = take(worker, classes=("hasty",))
    assert caller.receive_error() == "TIMEOUT T.HASTY had no answer within 250 ms"
    assert worker.call("EDGE.REPLY", call[0], "+late\r\n") == 0
    assert state(admin, "hasty") | {"timed_out": before + 1, "in_flight": 0} == state(admin, "hasty")


def test_a_queued_call_times_out(server: BareRedis, admin: redis.Redis) -> None:
    assert server.wire().send("T.HASTY").receive_error().startswith("TIMEOUT ")
    assert state(admin, "hasty")["queued"] == 0


def test_a_full_queue_is_busy_until_a_worker_waits(server: BareRedis, admin: redis.Redis) -> None:
    queued = [server.wire().send("T.NARROW", number) for number in range(2)]
    wait_until(admin, "narrow", queued=2)
    assert server.wire().send("T.NARROW").receive_error() == "BUSYWORKER 2 'narrow' calls wait already"
    worker = server.wire()
    for call in take(worker, count=5, classes=("narrow",)):
        worker.call("EDGE.REPLY", call[0], "+ok\r\n")
    assert [caller.receive() for caller in queued] == [b"ok", b"ok"]
    accepted = server.wire().send("T.NARROW")
    [call] = take(worker, classes=("narrow",))
    worker.call("EDGE.REPLY", call[0], "+ok\r\n")
    assert accepted.receive() == b"ok"
