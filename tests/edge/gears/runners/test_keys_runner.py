"""KeysReader registrations: gears on keyspace events."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.gear_scripts import execute, only_registration
from tests.waiting import wait_for

NOTE = "foreach(lambda r: execute('RPUSH', 'seen', str(r['event']) + ' ' + r['key']))"


def seen(client: redis.Redis) -> list[bytes]:
    return list(client.lrange("seen", 0, -1))


def test_events_of_a_prefix_arrive_in_order(client: redis.Redis) -> None:
    execute(client, f"GB().{NOTE}.register('k:*')")
    client.set("k:1", "x")
    client.hset("k:2", "f", "v")
    client.set("other", "x")
    client.delete("k:1")
    wait_for(lambda: len(seen(client)) == 3, what="three events")
    assert seen(client) == [b"set k:1", b"hset k:2", b"del k:1"]


def test_a_prefix_without_star_is_one_key(client: redis.Redis) -> None:
    execute(client, f"GB().{NOTE}.register('k')")
    client.set("kk", 1)
    client.set("k", 1)
    wait_for(lambda: seen(client), what="the event")
    assert seen(client) == [b"set k"]


def test_event_types_choose_events(client: redis.Redis) -> None:
    execute(client, f"GB().{NOTE}.register('k*', eventTypes=['HSET', 'keymiss'])")
    client.set("k1", 1)
    client.hset("k2", "f", "v")
    assert client.get("k3") is None
    wait_for(lambda: len(seen(client)) == 2, what="the events")
    assert seen(client) == [b"hset k2", b"keymiss k3"]


def test_key_types_are_checked_when_the_event_comes(client: redis.Redis) -> None:
    execute(client, f"GB().{NOTE}.register('k*', keyTypes=['hash', 'empty'])")
    client.set("k1", 1)
    client.hset("k2", "f", "v")
    wait_for(lambda: len(seen(client)) == 1, what="the event of a hash")
    client.delete("k2")
    wait_for(lambda: len(seen(client)) == 2, what="the event of a deleted key")
    assert seen(client) == [b"hset k2", b"del k2"]


def test_the_record_has_the_value_unless_read_value_is_off(client: redis.Redis) -> None:
    show = "foreach(lambda r: execute('SET', 'shown:' + r['key'], repr(sorted(r.items()))))"
    execute(client, f"GB().{show}.register('with')\nGB().{show}.register('without', readValue=False)")
    client.hset("with", "f", "v")
    client.hset("without", "f", "v")
    wait_for(lambda: client.get("shown:with") and client.get("shown:without"), what="both records")
    assert client.get("shown:with") == b"[('event', 'hset'), ('key', 'with'), ('type', 'hash'), ('value', {'f': 'v'})]"
    assert client.get("shown:without") == b"[('event', 'hset'), ('key', 'without')]"


def test_each_type_of_key_has_its_value_alone_and_among_other_events(client: redis.Redis) -> None:
    show = "foreach(lambda r: execute('RPUSH', 'shown', repr((r['type'], r['value']))))"
    execute(client, f"GB().{show}.register('k:*', mode='sync')")
    commands = {
        "text": ("SET", "t"), "bytes": ("SET", b"\xff"), "hash": ("HSET", "f", "v"), "list": ("RPUSH", "a", "b"),
        "set": ("SADD", "m"), "zset": ("ZADD", 1, "m"), "stream": ("XADD", "*", "f", "v"), "module": ("TS.ADD", 1, 2),
    }  # fmt: skip
    expected = [
        b"('string', 't')", b"('string', bytearray(b'\\xff'))", b"('hash', {'f': 'v'})", b"('list', ['a', 'b'])",
        b"('set', None)", b"('zset', None)", b"('unknown', None)", b"('module', None)",
    ]  # fmt: skip
    for name, (command, *arguments) in commands.items():
        client.execute_command(command, f"k:{name}", *arguments)
    client.delete("k:text")
    assert client.lrange("shown", 0, -1) == [*expected, b"('empty', None)"]
    client.delete("shown")
    with client.pipeline() as transaction:
        for name, (command, *arguments) in commands.items():
            transaction.execute_command(command, f"k:second {name}", *arguments)
        transaction.execute()
    wait_for(lambda: client.llen("shown") == len(commands), what="the events of the transaction")
    assert client.lrange("shown", 0, -1) == expected


def test_its_entry_in_dumpregistrations(client: redis.Redis) -> None:
    execute(client, "GB(desc='d').map(lambda r: 1 / 0).register('k*', eventTypes=['set'], mode='async_local')")
    client.set("k", 1)
    wait_for(lambda: only_registration(client)["data"]["numFailures"] == 1, what="the failure")
    registration = only_registration(client)
    assert registration["args"] == {"regex": b"k*", "eventTypes": [b"set"], "keyTypes": None, "hookCommands": None}
    data = registration["data"]
    assert list(data) == [
        "mode", "numTriggered", "numSuccess", "numFailures", "numAborted", "lastRunDurationMS", "totalRunDurationMS",
        "avgRunDurationMS", "lastError", "args",
    ]  # fmt: skip
    assert (data["mode"], data["numTriggered"]) == (b"async_local", 1)
    assert b"ZeroDivisionError" in data["lastError"]


def test_it_cannot_be_paused(client: redis.Redis) -> None:
    execute(client, "GB().register('k*')")
    registration = only_registration(client)["id"]
    for command, word in (("RG.PAUSEREGISTRATIONS", "pause"), ("RG.UNPAUSEREGISTRATIONS", "unpause")):
        with pytest.raises(redis.ResponseError, match=f"Reader KeysReader does not support {word}"):
            client.execute_command(command, registration)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("eventTypes=3", "given eventTypes is not iterable"),
        ("eventTypes=[3]", "given event type is not string"),
        ("keyTypes=['what']", "unknown key type"),
        ("readValue=1", "readValue argument must be a boolean"),
        ("commands=['nosuch']", "bad reply on COMMAND command"),
        ("onRegistered=3", "onRegistered argument must be a function"),
    ],
)
def test_refusals(client: redis.Redis, arguments: str, error: str) -> None:
    with pytest.raises(redis.ResponseError, match=error):
        execute(client, f"GB().register('k*', {arguments})")


def test_on_unregistered_runs_when_the_registration_is_removed(client: redis.Redis) -> None:
    execute(client, "GB().register('k*', onUnregistered=lambda: execute('SET', 'gone', 1))")
    client.execute_command("RG.UNREGISTER", only_registration(client)["id"])
    wait_for(lambda: client.get("gone") == b"1", what="onUnregistered")


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_executions_that_wait_let_others_begin(client: redis.Redis, mode: str) -> None:
    script = f"""
import asyncio
async def until_four_run(record):
    execute('INCR', 'begun')
    while execute('GET', 'begun') != '4':
        await asyncio.sleep(0.01)
    execute('RPUSH', 'seen', record['key'])
    return record
GB().map(until_four_run).register('k:*', mode='{mode}')
"""
    execute(client, script)
    keys = [b"k:%d" % number for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: client.set(key, "x"), keys))
    wait_for(lambda: len(seen(client)) == 4, what="all executions", timeout=30)
    assert sorted(seen(client)) == keys
    wait_for(lambda: only_registration(client)["data"]["numSuccess"] == 4, what="the end of all executions")
