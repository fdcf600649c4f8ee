"""Replies that cannot be sent when they are ready."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
import redis

from rededge_nb.edge.switchboard.calls import Call
from rededge_nb.edge.worker.pending_replies import PendingReplies, PendingReply
from rededge_nb.edge.worker.worker import Worker
from tests.edge.bare_redis import PATIENCE, BareRedis, Wire, bare_redis
from tests.waiting import wait_for

CLASSES = [word for name in ("ai", "gears", "executions") for word in ("CLASS", f"{name},0,60000,100")]


@pytest.fixture
def server() -> Iterator[BareRedis]:
    with bare_redis("CMD", "T.CALL,ai,-1,readonly,read,", *CLASSES) as running:
        yield running


@pytest.fixture
def client(server: BareRedis) -> Iterator[redis.Redis]:
    """A client with a single connection."""
    with redis.Redis(unix_socket_path=server.socket_path, protocol=2, max_connections=1) as single:
        yield single


@pytest.fixture
def replies(client: redis.Redis) -> Iterator[PendingReplies]:
    late, ended = PendingReplies(lambda: client), threading.Event()
    thread = threading.Thread(target=late.serve, args=(ended,), daemon=True)
    thread.start()
    yield late
    ended.set()


def called(server: BareRedis) -> tuple[Wire, bytes]:
    """A caller that waits, and the id of its call, which a worker took."""
    caller = server.wire().send("T.CALL")
    calls = server.wire().call("EDGE.NEXT", 1, "ai")
    assert isinstance(calls, list)
    return caller, calls[0][0]


def keep_busy(server: BareRedis) -> Wire:
    """Have the server run a script that does not end; it takes SCRIPT KILL on the connection that is returned."""
    looking = server.wire()
    looking.call("CONFIG", "SET", "busy-reply-threshold", 1)
    server.wire().send("EVAL", "while true do end", 0)

    def refuses() -> bool:
        try:
            looking.call("PING")
        except redis.ResponseError as error:
            return str(error).startswith("BUSY ")
        return False

    wait_for(refuses, what="the script")
    return looking


def test_a_reply_is_sent_when_a_connection_is_free(
    server: BareRedis, client: redis.Redis, replies: PendingReplies
) -> None:
    caller, call_id = called(server)
    connection = client.connection_pool.get_connection()
    replies.send(PendingReply("T.CALL", call_id, b":1\r\n"))
    client.connection_pool.release(connection)
    assert caller.receive() == 1


def test_a_reply_is_sent_when_a_script_has_ended(server: BareRedis, replies: PendingReplies) -> None:
    caller, call_id = called(server)
    keeper = keep_busy(server)
    replies.send(PendingReply("T.CALL", call_id, b":1\r\n"))
    keeper.call("SCRIPT", "KILL")
    assert caller.receive() == 1


def test_a_reply_that_is_refused_is_not_sent_again(
    server: BareRedis, replies: PendingReplies, caplog: pytest.LogCaptureFixture
) -> None:
    caller, call_id = called(server)
    replies.send(PendingReply("T.CALL", call_id, b"?"))
    assert caller.receive_error().startswith("ERR the edge worker sent a malformed reply")
    assert "the reply to T.CALL was refused" in caplog.text
    caller, call_id = called(server)
    replies.send_later(PendingReply("T.CALL", call_id, b":2\r\n"))
    assert caller.receive() == 2


@pytest.mark.parametrize("late", [False, True])
def test_a_worker_sends_the_reply_to_a_call_that_it_did_while_a_script_ran(
    server: BareRedis, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    done: Future[object] = Future()
    keepers: list[Wire] = []

    def handler(call: Call) -> object:
        keepers.append(keep_busy(server))
        return done if late else 7

    worker = Worker(f"unix://{server.socket_path}")
    monkeypatch.setitem(worker.handlers, "T.CALL", handler)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        caller = server.wire().send("T.CALL")
        wait_for(lambda: keepers, what="the script")
        if late:
            done.set_result(7)
        keepers[0].call("SCRIPT", "KILL")
        assert caller.receive() == 7
        monkeypatch.setitem(worker.handlers, "T.CALL", lambda _: 8)
        assert caller.call("T.CALL") == 8
    finally:
        worker.stop()
        thread.join(PATIENCE)
