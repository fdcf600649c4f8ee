"""Calls and their answers."""

from __future__ import annotations

import redis

from tests.edge.bare_redis import BareRedis
from tests.edge.switchboard.bare_switchboard import state, take, wait_until


def test_a_call_reaches_a_worker_and_its_answer_the_caller(server: BareRedis) -> None:
    caller, worker = server.wire(), server.wire()
    worker.send("EDGE.NEXT", 8, "main")
    caller.send("t.call", "a", b"\x00\xff", "")
    [[call_id, name, client_id, resp, db, user, argv]] = worker.receive()
    assert (name, client_id, resp, db, user) == (b"main", caller.client_id, 2, 0, b"default")
    assert argv == [b"t.call", b"a", b"\x00\xff", b""]
    assert worker.call("EDGE.REPLY", call_id, "+done\r\n") == 1
    assert caller.receive() == b"done"


def test_the_worker_gets_protocol_database_and_user_of_the_caller(server: BareRedis, admin: redis.Redis) -> None:
    admin.execute_command("ACL", "SETUSER", "ann", "on", "nopass", "+@all", "~*")
    caller, worker = server.wire(protocol=3), server.wire()
    caller.call("AUTH", "ann", "any")
    caller.call("SELECT", 5)
    caller.send("T.CALL")
    [[_, _, _, resp, db, user, _]] = take(worker)
    assert (resp, db, user) == (3, 5, b"ann")


def test_a_worker_takes_as_many_calls_as_it_asked_for_and_answers_in_any_order(server: BareRedis) -> None:
    callers = [server.wire().send("T.CALL", number) for number in range(5)]
    worker = server.wire()
    with server.client() as client:
        wait_until(client, "main", queued=5)
    first = take(worker, count=3)
    second = take(worker, count=100)
    assert [call[6][1] for call in first + second] == [b"0", b"1", b"2", b"3", b"4"], "oldest first"
    for call in reversed(first + second):
        assert worker.call("EDGE.REPLY", call[0], b"$1\r\n%b\r\n" % call[6][1]) == 1
    assert [caller.receive() for caller in callers] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_reply_and_the_next_request_go_in_one_write(server: BareRedis) -> None:
    caller, worker = server.wire(), server.wire()
    caller.send("T.CALL", 1)
    [call] = take(worker)
    worker.send("EDGE.REPLY", call[0], ":1\r\n").send("EDGE.NEXT", 1, "main")
    assert worker.receive() == 1
    caller.send("T.CALL", 2)
    assert worker.receive()[0][6] == [b"T.CALL", b"2"]
    assert caller.receive() == 1


def test_another_connection_may_answer_and_only_the_first_answer_counts(server: BareRedis) -> None:
    caller, worker, helper = server.wire(), server.wire(), server.wire()
    caller.send("T.CALL")
    [call] = take(worker)
    assert helper.call("EDGE.REPLY", call[0], ":1\r\n") == 1
    assert worker.call("EDGE.REPLY", call[0], ":2\r\n") == 0
    assert caller.receive() == 1


def test_one_worker_is_woken_for_each_call(server: BareRedis) -> None:
    workers = [server.wire().send("EDGE.NEXT", 1, "main") for _ in range(3)]
    with server.client() as client:
        wait_until(client, "main", waiting=3)
        callers = [server.wire().send("T.CALL", number) for number in range(3)]
        taken = [worker.receive()[0] for worker in workers]
        assert sorted(call[6][1] for call in taken) == [b"0", b"1", b"2"]
        assert state(client, "main")["in_flight"] == 3
    for worker, call in zip(workers, taken, strict=True):
        worker.call("EDGE.REPLY", call[0], "+ok\r\n")
    assert [caller.receive() for caller in callers] == [b"ok"] * 3


def test_one_class_is_served_while_another_one_is_busy(server: BareRedis) -> None:
    slow, quick = server.wire().send("T.CALL"), server.wire()
    slow_worker, quick_worker = server.wire(), server.wire()
    [slow_call] = take(slow_worker)
    quick.send("T.OTHER")
    [quick_call] = take(quick_worker, classes=("other",))
    quick_worker.call("EDGE.REPLY", quick_call[0], "+quick\r\n")
    assert quick.receive() == b"quick"
    slow_worker.call("EDGE.REPLY", slow_call[0], "+slow\r\n")
    assert slow.receive() == b"slow"


def test_a_worker_of_several_classes_takes_the_oldest_call(server: BareRedis, admin: redis.Redis) -> None:
    server.wire().send("T.OTHER")
    wait_until(admin, "other", queued=1)
    server.wire().send("T.CALL")
    wait_until(admin, "main", queued=1)
    calls = take(server.wire(), count=2, classes=("main", "other"))
    assert [call[1] for call in calls] == [b"other", b"main"]


def test_arguments_and_replies_of_fifteen_megabytes(server: BareRedis) -> None:
    caller, worker = server.wire(), server.wire()
    sent = bytes(range(256)) * (15 * 4096)
    caller.send("T.CALL", sent)
    [call] = take(worker)
    assert call[6][1] == sent
    assert worker.call("EDGE.REPLY", call[0], b"$%d\r\n%b\r\n" % (len(sent), sent)) == 1
    assert caller.receive() == sent
