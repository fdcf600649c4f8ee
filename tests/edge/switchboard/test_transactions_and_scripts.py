"""Calls and answers in MULTI and Lua, where no client can wait."""

from __future__ import annotations

import pytest
import redis

from tests.edge.bare_redis import BareRedis
from tests.edge.switchboard.bare_switchboard import state, take, wait_until

REFUSALS = [
    (("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "b"), "ERR Cannot run RedisAI command within a transaction or a LUA"),
    (("RG.PYEXECUTE", "pass"), "Can not run gears inside a multi exec, lua, or when blocking is not allowed"),
    (("T.CALL",), "ERR T.CALL cannot run in MULTI, in a script or where a client cannot wait"),
]


@pytest.mark.parametrize(("command", "error"), REFUSALS)
def test_multi_is_refused(server: BareRedis, command: tuple[str | int, ...], error: str) -> None:
    caller = server.wire()
    caller.call("MULTI")
    caller.call(*command)
    caller.send("EXEC")
    assert caller.receive_line() == "*1"
    assert caller.receive_error().startswith(error)


@pytest.mark.parametrize(("command", "error"), REFUSALS)
def test_lua_is_refused(server: BareRedis, command: tuple[str | int, ...], error: str) -> None:
    caller = server.wire().send("EVAL", "return redis.call(unpack(ARGV))", 0, *command)
    assert error in caller.receive_error()


def test_a_worker_cannot_wait_in_multi(server: BareRedis) -> None:
    worker = server.wire()
    worker.call("MULTI")
    worker.call("EDGE.NEXT", 1, "main")
    worker.send("EXEC")
    assert worker.receive_line() == "*1"
    assert "cannot run in MULTI" in worker.receive_error()


@pytest.mark.parametrize("command", [("EDGE.NEXT", 1, "main"), ("EDGE.REPLY", "1-1", "+ok\r\n")])
def test_the_workers_commands_are_refused_in_lua(server: BareRedis, command: tuple[str | int, ...]) -> None:
    worker = server.wire().send("EVAL", "return redis.call(unpack(ARGV))", 0, *command)
    assert "not allowed from script" in worker.receive_error()


def test_an_answer_in_multi_is_sent_with_the_writes_or_not_at_all(server: BareRedis, admin: redis.Redis) -> None:
    caller, worker = server.wire(), server.wire()
    caller.send("T.CALL")
    [call] = take(worker)
    assert worker.call("WATCH", "result") == b"OK"
    admin.set("result", "of another")
    for words in (("MULTI",), ("SET", "result", "mine"), ("EDGE.REPLY", call[0], "+mine\r\n")):
        worker.call(*words)
    assert worker.call("EXEC") is None
    assert state(admin, "main")["in_flight"] == 1, "not answered"
    for words in (("MULTI",), ("SET", "result", "mine"), ("EDGE.REPLY", call[0], "+mine\r\n")):
        worker.call(*words)
    assert worker.call("EXEC") == [b"OK", 1]
    assert caller.receive() == b"mine"
    assert admin.get("result") == b"mine"


def test_a_malformed_answer_in_multi_fails_the_call(server: BareRedis) -> None:
    caller, worker = server.wire(), server.wire()
    caller.send("T.CALL")
    [call] = take(worker)
    worker.call("MULTI")
    worker.call("EDGE.REPLY", call[0], "nonsense")
    worker.send("EXEC")
    assert worker.receive_line() == "*1"
    assert worker.receive_error().startswith("ERR malformed reply")
    assert "malformed reply" in caller.receive_error()


@pytest.mark.parametrize(
    "command",
    [
        ("EDGE.NEXT", 1),
        ("EDGE.NEXT", 0, "main"),
        ("EDGE.NEXT", 1025, "main"),
        ("EDGE.NEXT", "many", "main"),
        ("EDGE.NEXT", 1, "main", "unheard-of"),
        ("EDGE.REPLY", "1-1"),
        ("EDGE.REPLY", "1", "+ok\r\n"),
        ("EDGE.REPLY", "1-1x", "+ok\r\n"),
        ("EDGE.REPLY", "", "+ok\r\n"),
    ],
)
def test_bad_requests_of_a_worker_are_errors(server: BareRedis, command: tuple[str | int, ...]) -> None:
    assert server.wire().send(*command).receive_error().startswith("ERR ")


def test_edge_reply_returns_0_for_an_unknown_id(server: BareRedis, admin: redis.Redis) -> None:
    caller, worker = server.wire(), server.wire()
    assert worker.call("EDGE.REPLY", "999999-1", "+ok\r\n") == 0
    caller.send("T.CALL")
    wait_until(admin, "main", queued=1)
    assert worker.call("EDGE.REPLY", f"{caller.client_id}-1", "+a guess\r\n") == 0
    assert state(admin, "main")["queued"] == 1
