"""Hooks in the switchboard: bare connections act as callers, and as the workers that run gears."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.edge.bare_redis import BareRedis, Wire, bare_redis
from tests.edge.switchboard import bare_switchboard
from tests.edge.switchboard.bare_switchboard import SIGNS_OF_A_CRASH, skip_without_categories, wait_until
from tests.waiting import wait_for

GRACE_MS = 400
ARGUMENTS = ("CLASS", f"hooks,0,{GRACE_MS},100", "HOOKS", "hooks,15,rededge:hooks")


@pytest.fixture
def server() -> Iterator[BareRedis]:
    with bare_redis(*ARGUMENTS) as server:
        with server.client() as client:
            skip_without_categories(client)
        yield server
        assert not [sign for sign in SIGNS_OF_A_CRASH if sign in server.log()]
        assert server.process.poll() is None


@pytest.fixture
def admin(server: BareRedis) -> Iterator[redis.Redis]:
    with server.client() as client:
        client.response_callbacks.clear()
        yield client


@pytest.fixture
def worker(server: BareRedis) -> Wire:
    wire = server.wire()
    wire.call("EDGE.JOIN")
    return wire


def hook(wire: Wire, spec: str, *, name: str = "r-1") -> None:
    assert wire.call("EDGE.HOOK", name, spec) == b"OK"


def take(worker: Wire) -> list:
    [call] = bare_switchboard.take(worker, classes=("hooks",))
    return call


class TestHook:
    """Hooks of kind `hook`: a worker answers."""

    def test_a_worker_answers_in_place_of_redis(self, server: BareRedis, worker: Wire, admin: redis.Redis) -> None:
        hook(worker, "hook 0 hset * *")
        caller = server.wire().send("HSET", "h", "f", "v")
        call = take(worker)
        assert call[6] == [b"r-1", b"HSET", b"h", b"f", b"v"]
        assert worker.call("EDGE.REPLY", call[0], "+mine\r\n") == 1
        assert caller.receive() == b"mine"
        assert admin.exists("h") == 0

    def test_the_worker_can_have_the_command_executed_with_other_arguments(
        self, server: BareRedis, worker: Wire, admin: redis.Redis
    ) -> None:
        hook(worker, "hook 0 hset * *")
        caller = server.wire()
        caller.call("SELECT", 3)
        caller.send("hset", "h", "f", "v")
        call = take(worker)
        assert worker.call("EDGE.CALL", call[0], "h", "f", "v", "g", "w") == 2
        worker.call("EDGE.REPLY", call[0], ":2\r\n")
        assert caller.receive() == 2
        assert caller.call("HLEN", "h") == 2, "in the caller's database"
        assert admin.exists("h") == 0
        assert worker.call("HLEN", "h") == 0, "the worker is still in its own database"

    def test_only_keys_with_the_prefix_are_hooked(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "hook 0 mset * user:*")
        caller = server.wire()
        assert caller.call("MSET", "other", "1", "x", "user:") == b"OK"
        caller.send("MSET", "other", "1", "user:2", "2")
        assert take(worker)[6][1:] == [b"MSET", b"other", b"1", b"user:2", b"2"]

    def test_several_hooks_are_named_in_the_order_in_which_they_run(self, server: BareRedis, worker: Wire) -> None:
        for number in (9, 11, 10):
            hook(worker, "hook 0 get,set * *", name=f"r-{number}")
        server.wire().send("GET", "k")
        assert take(worker)[6] == [b"r-11 r-10 r-9", b"GET", b"k"]

    def test_a_worker_is_not_hooked(self, worker: Wire, admin: redis.Redis) -> None:
        hook(worker, "hook 0 set * *")
        assert worker.call("SET", "k", "v") == b"OK"

    def test_multi_and_lua_are_refused(self, server: BareRedis, worker: Wire, admin: redis.Redis) -> None:
        hook(worker, "hook 0 set * *")
        caller = server.wire()
        caller.call("MULTI")
        caller.call("SET", "k", "v")
        caller.send("EXEC")
        assert caller.receive_line() == "*1"
        assert caller.receive_error().startswith("ERR can not run a non-sync execution inside a MULTI/LUA")
        caller.send("EVAL", "return redis.call('SET', 'k', 'v')", 0)
        assert "can not run a non-sync execution" in caller.receive_error()
        assert admin.exists("k") == 0

    def test_what_was_queued_before_the_hook_is_executed_as_it_is(self, server: BareRedis, worker: Wire) -> None:
        caller = server.wire()
        caller.call("MULTI")
        caller.call("SET", "k", "v")
        hook(worker, "hook 0 set * *")
        assert caller.call("EXEC") == [b"OK"]
        caller.call("MULTI")
        caller.call("SET", "k", "w")
        worker.call("EDGE.UNHOOK", "r-1")
        assert caller.call("EXEC") == [b"OK"], "queued as hooked, and the hook is gone"

    def test_without_a_worker_it_is_refused(self, server: BareRedis, worker: Wire, admin: redis.Redis) -> None:
        hook(worker, "hook 0 set * *")
        assert server.wire().send("SET", "k", "v").receive_error().startswith("NOWORKER")
        assert admin.exists("k") == 0

    def test_wrong_arity_is_redis_own_error(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "hook 0 set,get * *")
        error = server.wire().send("SET", "k").receive_error()
        assert error == "ERR wrong number of arguments for 'set' command"

    @pytest.mark.parametrize("command", ["eval", "multi", "auth", "subscribe", "nosuch", "select", "edge.next"])
    def test_some_commands_cannot_be_hooked(self, worker: Wire, command: str) -> None:
        assert worker.send("EDGE.HOOK", "r-1", f"hook 0 {command} * *").receive_error().startswith("ERR")
        assert worker.call("PING") == b"PONG"

    def test_without_hooks_there_is_no_filter(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "hook 0 set * *")
        assert worker.call("EDGE.UNHOOK", "r-1") == 1
        assert worker.call("EDGE.UNHOOK", "r-1") == 0
        assert server.wire().call("SET", "k", "v") == b"OK"


class TestPermissions:
    def test_who_may_run_the_command_needs_nothing_else(
        self, server: BareRedis, worker: Wire, admin: redis.Redis
    ) -> None:
        admin.execute_command("ACL", "SETUSER", "early", "on", ">p", "~h*", "+hset")
        hook(worker, "hook 0 hset * *")
        admin.execute_command("ACL", "SETUSER", "late", "on", ">p", "~h*", "+hset")
        for user in ("early", "late"):
            caller = server.wire()
            caller.call("AUTH", user, "p")
            caller.send("HSET", "h", "f", user)
            call = take(worker)
            assert call[5] == user.encode()
            worker.call("EDGE.CALL", call[0], "h", "f", user)
            error = worker.send("EDGE.CALL", call[0], "other", "f", user).receive_error()
            assert error.startswith("NOPERM"), "a hook may do for its caller what the caller may do"
            worker.call("EDGE.REPLY", call[0], "+OK\r\n")
            assert caller.receive() == b"OK"

    def test_who_may_not_run_the_command_cannot_do_so_by_a_hook(
        self, server: BareRedis, worker: Wire, admin: redis.Redis
    ) -> None:
        admin.execute_command("ACL", "SETUSER", "reader", "on", ">p", "~h*", "+hget", "+get", "+multi", "+exec")
        hook(worker, "hook 0 hset,get * *")
        hook(worker, "linked 0 * * *", name="r-2")
        caller = server.wire()
        caller.call("AUTH", "reader", "p")
        for words in (
            ("HSET", "h", "f", "v"),
            ("EDGE.WRITE", "HSET", "h", "f", "v"),
            ("EDGE.READ", "HSET", "h", "f", "v"),
            ("GET", "other"),
            ("SET", "h", "v"),
            ("EDGE.QUIET", "SET", "h", "v"),
            ("EDGE.CALL", "1-1", "h"),
            ("EDGE.HOOK", "r-3", "hook 0 get * *"),
            ("EDGE.JOIN",),
        ):
            assert caller.send(*words).receive_error().startswith("NOPERM"), words
        assert admin.exists("h") == 0

    def test_scripts_cannot_be_used_to_get_round_a_hook(
        self, server: BareRedis, worker: Wire, admin: redis.Redis
    ) -> None:
        hook(worker, "hook 0 set * *")
        caller = server.wire()
        for words in (
            ("EDGE.WRITE", "EVAL", "return redis.call('SET', 'k', 'v')", 0),
            ("EDGE.WRITE", "EDGE.WRITE", "SET", "k", "v"),
            ("EDGE.READ", "EDGE.QUIET", "SET", "k", "v"),
        ):
            assert caller.send(*words).receive_error().startswith("ERR")
        assert admin.exists("k") == 0


class TestLinked:
    """Hooks of kind `linked`: the reply waits until the events have been processed."""

    def test_the_reply_waits_for_the_gear(self, server: BareRedis, worker: Wire, admin: redis.Redis) -> None:
        hook(worker, "linked 0 * * k*")
        server.wire().send("EDGE.NEXT", 1, "hooks")
        worker.send("EDGE.EVENTS", "r-1", 0)
        caller = server.wire().send("SET", "k1", "v").send("PING")
        lost, [[sequence, event, key, waits, words]] = worker.receive()
        assert (lost, event, key, waits, words) == (0, b"set", b"k1", 1, [b"SET", b"k1", b"v"])
        assert admin.get("k1") == b"v", "it is executed already"
        assert worker.call("EDGE.DONE", "r-1", sequence) == 1
        assert [caller.receive(), caller.receive()] == [b"OK", b"PONG"]

    @pytest.mark.parametrize("protocol", [2, 3])
    def test_the_real_reply_comes_in_the_callers_protocol(self, server: BareRedis, worker: Wire, protocol: int) -> None:
        hook(worker, "linked 0 zpopmin,hdel * *")
        caller = server.wire(protocol=protocol)
        caller.call("ZADD", "z", 1.5, "a")
        expected = server.wire(protocol=protocol)
        expected.call("ZADD", "y", 1.5, "a")
        caller.send("ZPOPMIN", "z")
        server.wire().send("EDGE.NEXT", 1, "hooks")
        _, events = worker.call("EDGE.EVENTS", "r-1", 0)
        assert [event[1] for event in events] == [b"zpopmin", b"del"]
        for event in events:
            worker.call("EDGE.DONE", "r-1", event[0])
        worker.call("EDGE.UNHOOK", "r-1")
        assert caller.receive() == expected.call("ZPOPMIN", "y")

    def test_a_gear_can_replace_the_reply(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "linked 0 get keymiss *")
        server.wire().send("EDGE.NEXT", 1, "hooks")
        caller = server.wire().send("GET", "nosuch")
        _, [[sequence, event, *_]] = worker.call("EDGE.EVENTS", "r-1", 0)
        assert event == b"keymiss"
        worker.send("EDGE.DONE", "r-1", sequence, "no reply")
        assert "malformed" in worker.receive_error()
        assert worker.call("EDGE.DONE", "r-1", sequence, "$4\r\nmine\r\n") == 1
        assert caller.receive() == b"mine"

    def test_no_event_no_waiting(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "linked 0 * hset user:*")
        caller = server.wire()
        assert caller.call("SET", "user:1", "v") == b"OK"
        assert caller.call("HSET", "other", "f", "v") == 1
        assert caller.call("DEL", "nosuch") == 0

    def test_multi_and_lua_get_the_real_reply_and_the_events_are_kept(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "linked 0 * * *")
        caller = server.wire()
        caller.call("MULTI")
        caller.call("SET", "k", "v")
        assert caller.call("EXEC") == [b"OK"]
        assert caller.call("EVAL", "return redis.call('INCR', 'n')", 0) == 1
        _, events = worker.call("EDGE.EVENTS", "r-1", 0)
        assert [event[1:4] for event in events] == [[b"set", b"k", 0], [b"incrby", b"n", 0]]

    def test_commands_that_block_or_that_workers_answer_are_left_alone(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "linked 0 * * other*")
        hook(worker, "linked 0 * nothing *", name="r-2")
        caller = server.wire().send("BLPOP", "list", 0)
        server.wire().call("RPUSH", "list", "a")
        assert caller.receive() == [b"list", b"a"]

    def test_the_value_of_the_first_key_comes_with_its_event(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "events 3 * * *")
        caller = server.wire()
        caller.call("SELECT", 3)
        worker.send("EDGE.EVENTS", "r-1", 0, "VALUE")
        caller.call("SET", "k1", "v")
        _, [[first, *_]], value = worker.receive()
        assert value == [b"string", b"v"]
        caller.call("HSET", "k2", "f", "v")
        caller.call("RPUSH", "k3", "a", "b")
        caller.call("ZADD", "k4", 1, "m")
        _, events, value = worker.call("EDGE.EVENTS", "r-1", first, "value")
        assert (len(events), value) == (3, [b"hash", [b"f", b"v"]])
        assert worker.call("EDGE.EVENTS", "r-1", events[0][0], "VALUE")[2] == [b"list", [b"a", b"b"]]
        assert worker.call("EDGE.EVENTS", "r-1", events[1][0], "VALUE")[2] == [b"zset"]
        caller.call("DEL", "k1")
        _, [[last, event, *_]], value = worker.call("EDGE.EVENTS", "r-1", events[2][0], "VALUE")
        assert (event, value) == (b"del", [b"none"]), "and looking at a missing key is no event keymiss"
        worker.send("EDGE.EVENTS", "r-1", last, "VALUE")
        caller.call("SET", "k5", "v")
        assert worker.receive()[1][0][1] == b"set"
        assert "VALUE" in worker.send("EDGE.EVENTS", "r-1", 0, "VALUES").receive_error()

    def test_events_stay_until_they_are_processed(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "events 0 * del,set k*")
        caller = server.wire()
        for words in (("SET", "k1", "v"), ("SET", "other", "v"), ("APPEND", "k1", "v"), ("DEL", "k1")):
            caller.call(*words)
        first = server.wire()
        _, events = first.call("EDGE.EVENTS", "r-1", 0)
        assert [event[1:4] for event in events] == [[b"set", b"k1", 0], [b"del", b"k1", 0]]
        assert first.call("EDGE.EVENTS", "r-1", events[0][0]) == [0, [events[1]]]
        first.call("EDGE.DONE", "r-1", events[1][0])
        first.close()
        assert worker.call("EDGE.EVENTS", "r-1", 0) == [0, [events[0]]]
        worker.send("EDGE.EVENTS", "r-1", events[0][0])
        caller.call("SET", "k3", "v")
        assert worker.receive()[1][0][2] == b"k3"

    def test_other_databases_are_not_watched(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "linked 0 * * *")
        caller = server.wire()
        caller.call("SELECT", 1)
        assert caller.call("SET", "k", "v") == b"OK"

    def test_quiet_commands_raise_no_events(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "events 0 * * *")
        assert worker.call("EDGE.QUIET", "SET", "k", "v") == b"OK"
        assert worker.call("EDGE.QUIET", "EVAL", "return redis.call('GET', 'k')", 0) == b"v"
        server.wire().call("SET", "loud", "v")
        _, events = worker.call("EDGE.EVENTS", "r-1", 0)
        assert [event[2] for event in events] == [b"loud"]

    def test_a_reader_that_dies_is_replaced_and_nobody_notices(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "linked 0 * * *")
        server.wire().send("EDGE.NEXT", 1, "hooks")
        first = server.wire().send("EDGE.EVENTS", "r-1", 0)
        caller = server.wire().send("SET", "k", "v")
        first.receive()
        first.close()
        _, [[sequence, *_]] = worker.call("EDGE.EVENTS", "r-1", 0)
        worker.call("EDGE.DONE", "r-1", sequence)
        assert caller.receive() == b"OK"

    def test_without_a_reader_the_command_is_refused_or_told_that_it_was_executed(
        self, server: BareRedis, worker: Wire, admin: redis.Redis
    ) -> None:
        hook(worker, "linked 0 * * *")
        server.wire().send("EDGE.NEXT", 1, "hooks")
        caller = server.wire().send("SET", "early", "v")
        error = caller.receive_error()
        assert error.startswith("NOWORKER")
        assert "was executed" in error
        assert caller.send("SET", "late", "v").receive_error().startswith("NOWORKER")
        assert admin.exists("early", "late") == 1

    def test_a_hook_that_goes_releases_who_waits(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "linked 0 * * *")
        server.wire().send("EDGE.NEXT", 1, "hooks")
        worker.send("EDGE.EVENTS", "r-1", 0)
        caller = server.wire().send("SET", "k", "v")
        worker.receive()
        worker.call("EDGE.UNHOOK", "r-1")
        assert caller.receive() == b"OK"
        assert worker.call("EDGE.DONE", "r-1", 1) == 0

    def test_a_hooked_command_waits_for_the_events_that_it_causes(self, server: BareRedis, worker: Wire) -> None:
        hook(worker, "hook 0 set * *")
        hook(worker, "linked 0 * * *", name="r-2")
        reader = server.wire().send("EDGE.EVENTS", "r-2", 0)
        caller = server.wire().send("SET", "k", "v")
        call = take(worker)
        worker.call("EDGE.CALL", call[0], "k", "changed")
        worker.call("EDGE.REPLY", call[0], "+done\r\n")
        _, [[sequence, _, _, waits, words]] = reader.receive()
        assert (waits, words) == (1, [b"SET", b"k", b"changed"])
        with server.client() as client:
            wait_until(client, "hooks", in_flight=1)
        reader.call("EDGE.DONE", "r-2", sequence)
        assert caller.receive() == b"done"

    def test_who_waits_may_disconnect(self, server: BareRedis, worker: Wire, admin: redis.Redis) -> None:
        hook(worker, "linked 0 * * *")
        server.wire().send("EDGE.NEXT", 1, "hooks")
        worker.send("EDGE.EVENTS", "r-1", 0)
        caller = server.wire().send("SET", "k", "v")
        _, [[sequence, *_]] = worker.receive()
        caller.close()
        with server.client() as client:
            wait_until(client, "hooks", in_flight=0)
        assert worker.call("EDGE.DONE", "r-1", sequence, "+late\r\n") == 1

    def test_too_many_events_are_counted(self, server: BareRedis, worker: Wire, admin: redis.Redis) -> None:
        hook(worker, "events 0 * * *")
        admin.execute_command("EVAL", "for i = 1, 100010 do redis.call('SET', 'k', i) end", 0)
        assert worker.call("EDGE.EVENTS", "r-1", 0)[0] == 10


def test_hooks_are_in_force_again_when_redis_has_loaded_its_data(tmp_path) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with bare_redis(*ARGUMENTS, options=options) as server:
        with server.client() as client:
            skip_without_categories(client)
        writer = server.wire()
        writer.call("SELECT", 15)
        writer.call("HSET", "rededge:hooks", "r-1", "hook 0 set * *", "r-2", "nonsense")
        server.restart()
        with server.client() as client:
            wait_for(lambda: client.ping(), what="Redis to answer")
        caller = server.wire()
        assert caller.send("SET", "k", "v").receive_error().startswith("NOWORKER")
        assert caller.call("EXISTS", "k") == 0
