"""EDGE.STREAMS tells workers of streams that XADD has created."""

from __future__ import annotations

import pytest
import redis

from tests.edge.bare_redis import BareRedis, Wire
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("nothing_stored")


@pytest.fixture
def nothing_stored(admin: redis.Redis) -> None:
    admin.flushall()


@pytest.fixture
def watcher(server: BareRedis) -> Wire:
    wire = server.wire()
    assert wire.call("EDGE.STREAMS", 0, "s:") == 1
    return wire


def wait_until_blocked(admin: redis.Redis, wire: Wire) -> None:
    def blocked() -> bool:
        return any(int(one["id"]) == wire.client_id and "b" in one["flags"] for one in admin.client_list())

    wait_for(blocked, what="the watcher to wait")


def test_the_first_request_is_answered_at_once_and_later_ones_by_a_new_stream(
    admin: redis.Redis, watcher: Wire
) -> None:
    watcher.send("EDGE.STREAMS", 0, "s:")
    wait_until_blocked(admin, watcher)
    admin.xadd("s:1", {"n": 1})
    assert watcher.receive() == 1


def test_only_new_streams_with_the_prefix_count(admin: redis.Redis, watcher: Wire) -> None:
    admin.xadd("s:1", {"n": 1})
    assert watcher.call("EDGE.STREAMS", 0, "s:") == 1
    watcher.send("EDGE.STREAMS", 0, "s:")
    wait_until_blocked(admin, watcher)
    admin.xadd("s:1", {"n": 2})
    admin.xadd("t:1", {"n": 1})
    admin.hset("s:2", "field", "value")
    admin.set("s:3", "text")
    admin.execute_command("SELECT", 1)
    admin.xadd("s:4", {"n": 1})
    admin.execute_command("SELECT", 0)
    wait_until_blocked(admin, watcher)
    admin.xadd("s:5", {"n": 1})
    assert watcher.receive() == 1


@pytest.mark.parametrize("how", ["MULTI", "script"])
def test_streams_of_transactions_and_scripts_count(admin: redis.Redis, watcher: Wire, how: str) -> None:
    watcher.send("EDGE.STREAMS", 0, "s:")
    wait_until_blocked(admin, watcher)
    if how == "MULTI":
        pipeline = admin.pipeline()
        pipeline.xadd("s:1", {"n": 1}).set("x", 1).execute()
    else:
        admin.eval("redis.call('XADD', KEYS[1], '*', 'n', 1) redis.call('SET', KEYS[2], 1)", 2, "s:1", "x")
    assert watcher.receive() == 1


def test_nothing_is_missed_between_two_requests(admin: redis.Redis, watcher: Wire) -> None:
    admin.xadd("s:1", {"n": 1})
    admin.delete("s:1")
    assert watcher.call("EDGE.STREAMS", 0, "s:") == 1


def test_watchers_come_and_go(server: BareRedis, admin: redis.Redis) -> None:
    first, second = server.wire(), server.wire()
    for wire in (first, second):
        assert wire.call("EDGE.STREAMS", 0, "s:") == 1
        wire.send("EDGE.STREAMS", 0, "s:")
        wait_until_blocked(admin, wire)
    first.close()
    wait_for(lambda: first.client_id not in {int(one["id"]) for one in admin.client_list()}, what="the disconnection")
    admin.xadd("s:1", {"n": 1})
    assert second.receive() == 1


@pytest.mark.parametrize("words", [("x", "s:"), ("-1", "s:"), ("0",), ("9" * 30, "s:")])
def test_wrong_arguments_are_refused(admin: redis.Redis, words: tuple[str, ...]) -> None:
    with pytest.raises(redis.ResponseError, match=r"number of a database|wrong number of arguments"):
        admin.execute_command("EDGE.STREAMS", *words)
    with pytest.raises(redis.ResponseError, match="cannot run in MULTI"):
        admin.pipeline().execute_command("EDGE.STREAMS", 0, "s:").execute()
