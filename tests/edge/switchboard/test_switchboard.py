"""The edge module in a real Redis, with workers made of bare connections."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import redis

from tests.edge.bare_redis import BareRedis, Wire, bare_redis
from tests.waiting import wait_for

NEVER = 3_600_000
CLASSES = (
    f"main,0,{NEVER},100",
    f"other,0,{NEVER},100",
    "nobody,0,0,100",
    "graced,0,250,100",
    f"hasty,250,{NEVER},100",
    f"narrow,0,{NEVER},2",
)
COMMANDS = (
    "T.CALL,main,-1,,,",
    "T.OTHER,other,-1,,,",
    "T.NOBODY,nobody,-1,readonly,read,",
    "T.GRACED,graced,-1,,,",
    "T.HASTY,hasty,-1,,,",
    "T.NARROW,narrow,-1,,,",
    "T.ONE,nobody,2,write,write,w",
    "T.ALL,nobody,-2,readonly,read,r*",
    "T.MIXED,nobody,-2,write,write,. rw w*",
    "AI.MODELEXECUTE,nobody,-6,write,write,r INPUTS:r OUTPUTS:w",
    "RG.PYEXECUTE,nobody,-2,,dangerous,",
)


SIGNS_OF_A_CRASH = ("REDIS BUG REPORT", "ERROR: AddressSanitizer", "runtime error:")


def arguments(classes: tuple[str, ...] = CLASSES, commands: tuple[str, ...] = COMMANDS) -> list[str]:
    words = [word for text in commands for word in ("CMD", text)]
    return words + [word for text in classes for word in ("CLASS", text)]


@pytest.fixture(scope="module")
def shared_server() -> Iterator[BareRedis]:
    with bare_redis(*arguments()) as server:
        yield server


@pytest.fixture
def server(shared_server: BareRedis) -> Iterator[BareRedis]:
    """The shared server, without workers and calls, whose process must survive the test."""
    yield shared_server
    shared_server.close_wires()
    with shared_server.client() as client:
        for text in CLASSES:
            wait_until(client, text.split(",")[0], workers=0, queued=0, in_flight=0)
    assert not [sign for sign in SIGNS_OF_A_CRASH if sign in shared_server.log()]


@pytest.fixture
def admin(server: BareRedis) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


def state(client: redis.Redis, name: str) -> dict[str, int]:
    """What INFO says of a class."""
    return client.info("rededge_switchboard")[f"rededge_{name}"]


def take(worker: Wire, *, count: int = 1, classes: tuple[str, ...] = ("main",)) -> list[list]:
    return worker.call("EDGE.NEXT", count, *classes)


def wait_until(client: redis.Redis, name: str, **expected: int) -> None:
    wait_for(lambda: expected.items() <= state(client, name).items(), what=f"{name} to have {expected}")


# ---- The way of a call ----


def test_a_call_reaches_a_worker_and_its_answer_the_caller(server: BareRedis) -> None:
    caller, worker = server.wire(), server.wire()
    worker.send("EDGE.NEXT", 8, "main")
    caller.send("t.call", "a", b"\x00\xff", "")
    [[call_id, name, client_id, resp, db, user, argv]] = worker.receive()
    assert (name, client_id, resp, db, user) == (b"main", caller.client_id, 2, 0, b"default")
    assert argv == [b"t.call", b"a", b"\x00\xff", b""]
    assert worker.call("EDGE.REPLY", call_id, "+done\r\n") == 1
    assert caller.receive() == b"done"


def test_the_worker_is_told_protocol_database_and_user(server: BareRedis, admin: redis.Redis) -> None:
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


def test_a_class_goes_on_while_another_is_busy(server: BareRedis) -> None:
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


def test_fifteen_megabytes_both_ways(server: BareRedis) -> None:
    caller, worker = server.wire(), server.wire()
    sent = bytes(range(256)) * (15 * 4096)
    caller.send("T.CALL", sent)
    [call] = take(worker)
    assert call[6][1] == sent
    assert worker.call("EDGE.REPLY", call[0], b"$%d\r\n%b\r\n" % (len(sent), sent)) == 1
    assert caller.receive() == sent


# ---- When something goes wrong ----


def test_no_worker_at_once_where_there_is_no_grace(server: BareRedis) -> None:
    assert server.wire().send("T.NOBODY").receive_error().startswith("NOWORKER no edge worker serves 'nobody'")


def test_no_worker_once_the_grace_is_over(server: BareRedis) -> None:
    started = time.monotonic()
    assert server.wire().send("T.GRACED").receive_error().startswith("NOWORKER ")
    assert time.monotonic() - started >= 0.25


def test_a_worker_that_comes_within_the_grace_is_in_time(server: BareRedis, admin: redis.Redis) -> None:
    caller = server.wire().send("T.CALL")
    wait_until(admin, "main", queued=1, workers=0)
    worker = server.wire()
    [call] = take(worker)
    worker.call("EDGE.REPLY", call[0], "+in time\r\n")
    assert caller.receive() == b"in time"


def test_a_busy_worker_is_a_worker_and_the_grace_starts_when_it_goes(server: BareRedis, admin: redis.Redis) -> None:
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
def test_a_worker_that_dies_loses_what_it_took_and_nothing_else(
    server: BareRedis, admin: redis.Redis, how: str
) -> None:
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


def test_a_woken_worker_that_dies_leaves_its_call_to_another(server: BareRedis, admin: redis.Redis) -> None:
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
    [call] = second.receive()
    second.call("EDGE.REPLY", call[0], "+second\r\n")
    assert caller.receive() == b"second"


@pytest.mark.parametrize("how", ["close", "CLIENT KILL"])
def test_the_worker_is_told_that_the_caller_is_gone(server: BareRedis, admin: redis.Redis, how: str) -> None:
    caller, worker = server.wire().send("T.CALL"), server.wire()
    [call] = take(worker)
    if how == "close":
        caller.close()
    else:
        admin.execute_command("CLIENT", "KILL", "ID", caller.client_id)
    wait_until(admin, "main", in_flight=0)
    assert worker.call("EDGE.REPLY", call[0], "+too late\r\n") == 0


def test_a_queued_call_whose_caller_is_gone_is_never_taken(server: BareRedis, admin: redis.Redis) -> None:
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


# ---- Where blocking is not allowed ----

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


def test_an_answer_in_multi_goes_out_with_the_writes_or_not_at_all(server: BareRedis, admin: redis.Redis) -> None:
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


def test_an_id_that_no_call_has_is_a_caller_that_is_gone(server: BareRedis, admin: redis.Redis) -> None:
    caller, worker = server.wire(), server.wire()
    assert worker.call("EDGE.REPLY", "999999-1", "+ok\r\n") == 0
    caller.send("T.CALL")
    wait_until(admin, "main", queued=1)
    assert worker.call("EDGE.REPLY", f"{caller.client_id}-1", "+a guess\r\n") == 0
    assert state(admin, "main")["queued"] == 1


# ---- Replies ----


def nested(depth: int) -> bytes:
    return b"*1\r\n" * depth + b":1\r\n"


REPLIES = [
    (b"+OK\r\n", b"+OK\r\n", b"+OK\r\n"),
    (b"+\r\n", b"+\r\n", b"+\r\n"),
    (b"-WRONGTYPE not a tensor\r\n", b"-WRONGTYPE not a tensor\r\n", b"-WRONGTYPE not a tensor\r\n"),
    (b":0\r\n", b":0\r\n", b":0\r\n"),
    (b":+7\r\n", b":7\r\n", b":7\r\n"),
    (b":-9223372036854775808\r\n", b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
    (b"$0\r\n\r\n", b"$0\r\n\r\n", b"$0\r\n\r\n"),
    (b"$6\r\na\r\n\x00\xffb\r\n", b"$6\r\na\r\n\x00\xffb\r\n", b"$6\r\na\r\n\x00\xffb\r\n"),
    (b"$-1\r\n", b"$-1\r\n", b"_\r\n"),
    (b"*-1\r\n", b"*-1\r\n", b"_\r\n"),
    (b"_\r\n", b"$-1\r\n", b"_\r\n"),
    (b"#t\r\n", b":1\r\n", b"#t\r\n"),
    (b"#f\r\n", b":0\r\n", b"#f\r\n"),
    (b",1.5\r\n", b"$3\r\n1.5\r\n", b",1.5\r\n"),
    (b",-2e3\r\n", b"$5\r\n-2000\r\n", b",-2000\r\n"),
    (b",inf\r\n", b"$3\r\ninf\r\n", b",inf\r\n"),
    (b",-inf\r\n", b"$4\r\n-inf\r\n", b",-inf\r\n"),
    (b"(-123456789012345678901\r\n", b"$22\r\n-123456789012345678901\r\n", b"(-123456789012345678901\r\n"),
    (b"=8\r\nmkd:# hi\r\n", b"$4\r\n# hi\r\n", b"=8\r\nmkd:# hi\r\n"),
    (b"*0\r\n", b"*0\r\n", b"*0\r\n"),
    (b"~2\r\n:1\r\n:2\r\n", b"*2\r\n:1\r\n:2\r\n", b"~2\r\n:1\r\n:2\r\n"),
    (b"%1\r\n+a\r\n#t\r\n", b"*2\r\n+a\r\n:1\r\n", b"%1\r\n+a\r\n#t\r\n"),
    (b"%0\r\n", b"*0\r\n", b"%0\r\n"),
    (b"*3\r\n:1\r\n-ERR in the middle\r\n*1\r\n$-1\r\n",) * 2 + (b"*3\r\n:1\r\n-ERR in the middle\r\n*1\r\n_\r\n",),
    (nested(32), nested(32), nested(32)),
]


@pytest.mark.parametrize(("payload", "resp2", "resp3"), REPLIES, ids=lambda value: repr(value)[:24])
def test_every_reply_type_in_both_protocols(server: BareRedis, payload: bytes, resp2: bytes, resp3: bytes) -> None:
    worker = server.wire()
    for protocol, expected in ((2, resp2), (3, resp3)):
        caller = server.wire(protocol=protocol).send("T.CALL")
        [call] = take(worker)
        assert worker.call("EDGE.REPLY", call[0], payload) == 1
        assert caller.receive_bytes(len(expected)) == expected
        assert caller.call("PING") == b"PONG", "nothing came after the reply"


MALFORMED = [
    b"",
    b"\r\n",
    b"\x00\r\n",
    b"\x001\r\n",
    b"OK",
    b"OK\r\n",
    b"+OK",
    b"+OK\r",
    b"+OK\n",
    b"+O\nK\r\n",
    b"+O\x00K\r\n",
    b"+OK\r\n+OK\r\n",
    b"+OK\r\n ",
    b"-\r\n",
    b":\r\n",
    b":+\r\n",
    b": 1\r\n",
    b":1 \r\n",
    b":1.0\r\n",
    b":0x10\r\n",
    b":--1\r\n",
    b":9223372036854775808\r\n",
    b"$1\r\n",
    b"$1\r\n\r\n",
    b"$2\r\nabc\r\n",
    b"$3\r\nab\r\n",
    b"$-2\r\n",
    b"$9223372036854775807\r\nab\r\n",
    b"$1\r\nab\n",
    b"*1\r\n",
    b"*-2\r\n",
    b"*2\r\n:1\r\n",
    b"*9223372036854775807\r\n:1\r\n",
    b"*1\r\n:1\r\n:2\r\n",
    b"~-1\r\n",
    b"%-1\r\n",
    b"%1\r\n:1\r\n",
    b"%4611686018427387905\r\n:1\r\n:1\r\n",
    b"_x\r\n",
    b"#\r\n",
    b"#true\r\n",
    b"#x\r\n",
    b",\r\n",
    b",1,5\r\n",
    b",0x1p3\r\n",
    b",1e\r\n",
    b",infinity\r\n",
    b", 1\r\n",
    b"(\r\n",
    b"(-\r\n",
    b"(1.0\r\n",
    b"=3\r\ntxt\r\n",
    b"=4\r\ntxtx\r\n",
    b"=-1\r\n",
    b"!3\r\nERR\r\n",
    b">1\r\n:1\r\n",
    b"|1\r\n+a\r\n+b\r\n:1\r\n",
    b"*2\r\n:1\r\n>0\r\n",
    nested(33),
    b"*1\r\n" * 100_000,
]


@pytest.mark.parametrize("payload", MALFORMED, ids=lambda value: repr(value)[:24])
def test_a_malformed_reply_is_an_error_to_both_sides(server: BareRedis, payload: bytes) -> None:
    caller, worker = server.wire().send("T.CALL"), server.wire()
    [call] = take(worker)
    assert worker.send("EDGE.REPLY", call[0], payload).receive_error().startswith("ERR malformed reply")
    assert caller.receive_error().startswith("ERR the edge worker sent a malformed reply to T.CALL: ")
    assert caller.call("PING") == b"PONG"
    assert worker.call("EDGE.REPLY", call[0], "+OK\r\n") == 0


# ---- Keys and permissions ----


def ro(*names: str) -> list[list]:
    return [[name.encode(), [b"RO", b"access"]] for name in names]


def ow(*names: str) -> list[list]:
    return [[name.encode(), [b"OW", b"update"]] for name in names]


def rw(*names: str) -> list[list]:
    return [[name.encode(), [b"RW", b"access", b"update"]] for name in names]


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("T.ONE k", ow("k")),
        ("T.ALL a b c", ro("a", "b", "c")),
        ("T.MIXED skipped a b c", rw("a") + ow("b", "c")),
        ("T.MIXED skipped a", rw("a")),
        ("AI.MODELEXECUTE m INPUTS 2 a b OUTPUTS 1 c", ro("m", "a", "b") + ow("c")),
        ("AI.MODELEXECUTE m inputs 1 a outputs 1 c TIMEOUT 5", ro("m", "a") + ow("c")),
        ("AI.MODELEXECUTE m INPUTS 0 OUTPUTS 1 c", ro("m") + ow("c")),
        ("AI.MODELEXECUTE m INPUTS 1 OUTPUTS OUTPUTS 1 secret", ro("m", "OUTPUTS") + ow("secret")),
        ("AI.MODELEXECUTE m INPUTS 2 a OUTPUTS 1 secret", ro("m", "a", "OUTPUTS") + rw("1", "secret")),
        ("AI.MODELEXECUTE m INPUTS 9 a OUTPUTS 1 c", ro("m") + rw("INPUTS", "9", "a", "OUTPUTS", "1", "c")),
        ("AI.MODELEXECUTE m INPUTS -1 a OUTPUTS 1 c", ro("m") + rw("INPUTS", "-1", "a", "OUTPUTS", "1", "c")),
        ("AI.MODELEXECUTE m INPUTS +1 a OUTPUTS 1 c", ro("m") + rw("INPUTS", "+1", "a", "OUTPUTS", "1", "c")),
        ("AI.MODELEXECUTE m OUTPUTS 1 c INPUTS 1", ro("m") + rw("OUTPUTS", "1", "c", "INPUTS", "1")),
        ("AI.MODELEXECUTE m INPUTS 1 a OUTPUTS", ro("m", "a") + rw("OUTPUTS")),
    ],
)
def test_the_keys_of_a_command(server: BareRedis, command: str, keys: list[list]) -> None:
    assert server.wire().call("COMMAND", "GETKEYSANDFLAGS", *command.split()) == keys


@pytest.fixture
def limited(server: BareRedis, admin: redis.Redis) -> Wire:
    """A connection whose user may read in:*, write out:* and run nothing dangerous."""
    rules = ("reset", "on", "nopass", "+@all", "-@dangerous", "%R~in:*", "%W~out:*")
    admin.execute_command("ACL", "SETUSER", "limited", *rules)
    wire = server.wire()
    wire.call("AUTH", "limited", "any")
    return wire


@pytest.mark.parametrize("command", ["RG.PYEXECUTE pass", "EDGE.NEXT 1 main", "EDGE.REPLY 1-1 x"])
def test_who_may_run_nothing_dangerous_may_not_run_these(limited: Wire, command: str) -> None:
    assert limited.send(*command.split()).receive_error().startswith("NOPERM")


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("T.NOBODY in:or:not", True),
        ("T.ONE out:x", True),
        ("T.ONE in:x", False),
        ("T.ALL in:x in:y", True),
        ("T.ALL in:x secret", False),
        ("AI.MODELEXECUTE in:m INPUTS 1 in:x OUTPUTS 1 out:y", True),
        ("AI.MODELEXECUTE in:m INPUTS 1 out:x OUTPUTS 1 out:y", False),
        ("AI.MODELEXECUTE in:m INPUTS 1 in:x OUTPUTS 1 in:y", False),
        ("AI.MODELEXECUTE in:m INPUTS 1 OUTPUTS OUTPUTS 1 secret", False),
        ("AI.MODELEXECUTE in:m INPUTS 1 in:a OUTPUTS 9 secret", False),
        ("AI.MODELEXECUTE in:m ELSEWHERE 1 secret 1 2", False),
    ],
)
def test_key_patterns_are_enforced(limited: Wire, command: str, allowed: bool) -> None:
    assert limited.send(*command.split()).receive_error().startswith("NOWORKER" if allowed else "NOPERM")


def skip_without_categories(client: redis.Redis) -> None:
    if [int(part) for part in client.info("server")["redis_version"].split(".")[:2]] < [7, 2]:
        pytest.skip("before Redis 7.2 a module's command cannot join an ACL category")


def test_categories_are_what_was_asked_for(admin: redis.Redis, server: BareRedis) -> None:
    skip_without_categories(admin)
    one, execute, take_next = server.wire().call("COMMAND", "INFO", "T.ONE", "RG.PYEXECUTE", "EDGE.NEXT")
    assert (one[6], execute[6]) == ([b"@write"], [b"@dangerous"])
    assert b"@dangerous" in take_next[6]


def test_arity_and_flags_are_what_was_asked_for(server: BareRedis) -> None:
    client = server.wire()
    one, execute, take_next = client.call("COMMAND", "INFO", "T.ONE", "RG.PYEXECUTE", "EDGE.NEXT")
    arity, flags = 1, 2
    assert (one[arity], execute[arity]) == (2, -2)
    assert b"write" in one[flags]
    assert {b"noscript", b"skip_monitor", b"skip_slowlog"} <= set(take_next[flags])
    assert "wrong number of arguments" in client.send("T.ONE", "a", "b").receive_error()


# ---- Redis's own tools ----


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


def test_client_unblock_leaves_callers_and_workers_alone(server: BareRedis, admin: redis.Redis) -> None:
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


def test_nothing_of_a_call_reaches_the_append_only_file() -> None:
    with bare_redis(*arguments(), options=("--appendonly", "yes", "--appendfsync", "always")) as server:
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


def test_becoming_a_replica_drops_callers_and_workers() -> None:
    with bare_redis(*arguments()) as server, server.client() as admin:
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


# ---- Loading ----


def test_the_module_cannot_be_unloaded_or_loaded_twice(server: BareRedis, admin: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError):
        admin.execute_command("MODULE", "UNLOAD", "rededge")
    with pytest.raises(redis.ResponseError):
        admin.execute_command("MODULE", "LOAD", str(server.binaries.switchboard), *arguments())
    caller, worker = server.wire().send("T.CALL"), server.wire()
    [call] = take(worker)
    worker.call("EDGE.REPLY", call[0], "+still here\r\n")
    assert caller.receive() == b"still here"


@pytest.fixture(scope="module")
def empty_server() -> Iterator[BareRedis]:
    with bare_redis(load=False) as server:
        yield server


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["KLASS", "a,0,0,1"], "'KLASS' is neither CLASS nor CMD"),
        (["CLASS"], "CLASS without a value"),
        (["CLASS", "a,0,0"], "CLASS 'a,0,0' is not"),
        (["CLASS", "a,0,0,1,"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,-1,0,1"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,0,0,0"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,0,1s,1"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,0,999999999999999999999,1"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a b,0,0,1"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,0,0,1", "CLASS", "a,0,0,1"], "CLASS 'a' is given twice"),
        ([word for number in range(33) for word in ("CLASS", f"c{number},0,0,1")], "more than 32 classes"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,,"], "is not NAME,class,arity,flags,categories,keys"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,,,,"], "is not NAME,class,arity,flags,categories,keys"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,0,,,"], "is not NAME,class,arity,flags,categories,keys"),
        (["CLASS", "a,0,0,1", "CMD", "X|Y,a,1,,,"], "is not NAME,class,arity,flags,categories,keys"),
        (["CMD", "X.Y,a,1,,,", "CLASS", "b,0,0,1"], "CMD 'X.Y,a,1,,,' names a class that is not given: a"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,,,", "CMD", "x.y,a,1,,,"], "CMD 'x.y' is given twice"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,writing,,"], "X.Y has unknown flags 'writing'"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,,harmful,"], "X.Y has unknown ACL categories 'harmful'"),
        *(
            (["CLASS", "a,0,0,1", "CMD", f"X.Y,a,1,,,{keys}"], f"CMD 'X.Y,a,1,,,{keys}' has a bad key grammar")
            for keys in ("x", "*", "r:", ":r", "INPUTS:x", "INPUTS:r*", "rr", "r " * 17)
        ),
    ],
)
def test_bad_arguments_are_named_and_fail_the_load(empty_server: BareRedis, words: list[str], reason: str) -> None:
    with empty_server.client() as client:
        if "categories" in reason and "is not" not in reason:
            skip_without_categories(client)
        with pytest.raises(redis.ResponseError):
            client.execute_command("MODULE", "LOAD", str(empty_server.binaries.switchboard), *words)
        assert reason in empty_server.log()[-1500:]
        assert b"rededge" not in [module[b"name"] for module in client.module_list()]


def test_names_that_are_taken_are_skipped_with_a_line_in_the_log() -> None:
    with bare_redis(load=False) as server, server.client() as client:
        client.execute_command("MODULE", "LOAD", str(server.binaries.timeseries))
        words = arguments(commands=("TS.GET,nobody,-1,,,", "get,nobody,-1,,,", "T.CALL,nobody,-1,,,"))
        client.execute_command("MODULE", "LOAD", str(server.binaries.switchboard), *words)
        assert "TS.GET is a command already" in server.log()
        assert "get is a command already" in server.log()
        assert client.get("key") is None
        assert server.wire().send("T.CALL").receive_error().startswith("NOWORKER ")
