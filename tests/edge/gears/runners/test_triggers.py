"""CommandReader registrations, RG.TRIGGER and RG.TRIGGERONKEY."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.gear_scripts import execute, only_registration, registrations
from tests.waiting import wait_for


def test_the_record_is_the_command_and_the_reply_is_the_results(client: redis.Redis) -> None:
    assert execute(client, "GB('CommandReader').map(lambda r: r).register(trigger='echo', convertToStr=False)") == b"OK"
    assert client.execute_command("RG.TRIGGER", "echo", "a", "b\0c", 3) == [[b"echo", b"a", b"b", b"3"]]
    assert client.execute_command("RG.TRIGGERONKEY", "echo", "key", "a") == [[b"echo", b"key", b"a"]]
    assert client.command_getkeys("RG.TRIGGERONKEY", "echo", "key", "a") == ["key"]


def test_the_key_of_a_trigger_is_in_the_record(client: redis.Redis) -> None:
    execute(client, "GB('CommandReader').map(lambda x: execute('set', x[1], x[2])).register(trigger='my_set')")
    assert client.execute_command("RG.TRIGGERONKEY", "my_set", "x", 1) == [b"OK"]
    assert client.get("x") == b"1"


def test_results_are_text_unless_convert_to_str_is_off(client: redis.Redis) -> None:
    execute(client, "GB('CommandReader').flatmap(lambda r: [1, 2.5, '-3']).register(trigger='t')")
    (error, *rest) = client.execute_command("RG.TRIGGER", "t")
    assert str(error) == "3"
    assert rest == [b"2.5", b"1"]


def test_an_error_is_the_reply(client: redis.Redis) -> None:
    execute(client, "GB('CommandReader').map(lambda r: flat_error('not so')).register(trigger='t')")
    with pytest.raises(redis.ResponseError, match=r"^not so$"):
        client.execute_command("RG.TRIGGER", "t")
    data = only_registration(client)["data"]
    assert (data["numTriggered"], data["numFailures"], data["lastError"]) == (1, 1, b"not so")
    with pytest.raises(redis.ResponseError, match="subcommand not found"):
        client.execute_command("RG.TRIGGER", "nothing")


def test_executions_of_triggers_are_dropped_at_once(client: redis.Redis) -> None:
    execute(client, "GB('CommandReader').register(trigger='t')")
    client.execute_command("RG.TRIGGER", "t")
    assert client.execute_command("RG.DUMPEXECUTIONS") == []


@pytest.mark.parametrize("arguments", ["mode='sync'", "mode='async_local', inorder=True", "mode='async'"])
def test_modes_and_arguments_are_shown(client: redis.Redis, arguments: str) -> None:
    execute(client, f"GB('CommandReader').map(lambda r: 1).register(trigger='t', convertToStr=False, {arguments})")
    assert client.execute_command("RG.TRIGGER", "t") == [1]
    registration = only_registration(client)
    assert registration["args"] == {"trigger": b"t", "inorder": int("inorder" in arguments)}
    assert registration["data"]["mode"].decode() in arguments
    assert "status" not in registration["data"]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("GB('CommandReader').register()", "no trigger or hook argument was given"),
        ("GB('CommandReader').register(trigger=3)", "trigger argument is not string"),
        ("GB('CommandReader').register(hook='exec')", "Can not override a command which are not allowed inside"),
        (
            "GB('CommandReader').register(trigger='t')\nGB('CommandReader').register(trigger='t')",
            "trigger already registered in this session",
        ),
    ],
)
def test_refusals(client: redis.Redis, script: str, error: str) -> None:
    with pytest.raises(redis.ResponseError, match=error):
        execute(client, script)


def test_a_trigger_belongs_to_one_session_and_an_upgrade_can_take_it_over(client: redis.Redis) -> None:
    script = "GB('CommandReader').map(lambda r: {}).register(trigger='t', convertToStr=False)"
    execute(client, script.format(1), "ID", "mine")
    with pytest.raises(redis.ResponseError, match="trigger already registered"):
        execute(client, script.format(2))
    assert client.execute_command("RG.TRIGGER", "t") == [1]
    execute(client, script.format(3), "ID", "mine", "UPGRADE")
    assert client.execute_command("RG.TRIGGER", "t") == [3]
    execute(client, script.format(4), "ID", "yours", "REPLACE_WITH", "mine")
    assert client.execute_command("RG.TRIGGER", "t") == [4]


def test_a_gear_runs_a_sync_trigger_in_place(client: redis.Redis) -> None:
    execute(client, "GB('CommandReader').map(lambda r: 'inner ' + r[1]).register(trigger='inner', mode='sync')")
    execute(client, "GB('CommandReader').map(lambda r: execute('RG.TRIGGER', 'inner', 'x')).register(trigger='outer')")
    assert client.execute_command("RG.TRIGGER", "outer") == [b"['inner x']"]


def test_sync_triggers_that_wait_let_others_begin(client: redis.Redis) -> None:
    script = """
import asyncio
async def slow(record):
    execute('INCR', 'begun')
    while execute('GET', 'begun') != '4':
        await asyncio.sleep(0.01)
    return 1
GB('CommandReader').map(slow).register(trigger='t', mode='sync')
"""
    execute(client, script)
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: client.execute_command("RG.TRIGGER", "t"), range(4)))
    assert replies == [[b"1"]] * 4


def test_a_gear_that_runs_can_register(client: redis.Redis) -> None:
    script = """
def add(record):
    GB('CommandReader').map(lambda r: 'new').register(trigger=record[1])
    return 1
GB('CommandReader').map(add).register(trigger='add')
"""
    execute(client, script, "ID", "mine")
    client.execute_command("RG.TRIGGER", "add", "new")
    assert client.execute_command("RG.TRIGGER", "new") == [b"new"]
    assert len(registrations(client)) == 2
    [session] = client.execute_command("RG.PYDUMPSESSIONS")
    assert session[1] == b"mine"
    assert len(session[15]) == 2
    with pytest.raises(redis.ResponseError, match="trigger already registered"):
        client.execute_command("RG.TRIGGER", "add", "add")


def test_a_trigger_is_refused_in_transactions_and_in_gears(client: redis.Redis) -> None:
    execute(client, "GB('CommandReader').register(trigger='other')")
    execute(client, "GB('CommandReader').map(lambda r: execute('RG.TRIGGER', 'other')).register(trigger='t')")
    with pytest.raises(redis.ResponseError, match="can not run a non-sync execution inside a MULTI/LUA"):
        client.execute_command("RG.TRIGGER", "t")
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("RG.TRIGGER", "t")
    with pytest.raises(redis.ResponseError, match="can not run a non-sync"):
        pipeline.execute()


def calls_that_wait(client: redis.Redis) -> int:
    return sum(one["cmd"] == "RG.TRIGGER" and "b" in one["flags"] for one in client.client_list())


def test_in_order_means_one_after_another(client: redis.Redis) -> None:
    script = """
import time
def work(r):
    execute('RPUSH', 'seen', 'begin ' + r[1])
    while r[1] == 'a' and not execute('EXISTS', 'go'):
        time.sleep(0.01)
    execute('RPUSH', 'seen', 'end ' + r[1])
GB('CommandReader').foreach(work).count().register(trigger='t', mode='async_local', inorder=True)
"""
    execute(client, script)
    waiting = []
    for name in ("a", "b", "c"):
        waiting.append(client.client())
        waiting[-1].connection.send_command("RG.TRIGGER", "t", name)
        wait_for(lambda: calls_that_wait(client) == len(waiting), what="the server to have the call")
    wait_for(lambda: client.lrange("seen", 0, -1) == [b"begin a"], what="the first call")
    client.set("go", 1)
    for one in waiting:
        assert one.connection.read_response() == [b"1"]
        one.close()
    assert client.lrange("seen", 0, -1) == [
        word + name for name in (b"a", b"b", b"c") for word in (b"begin ", b"end ")
    ]  # fmt: skip


def test_unregistering_ends_a_trigger(client: redis.Redis) -> None:
    execute(client, "GB('CommandReader').register(trigger='t')")
    client.execute_command("RG.UNREGISTER", only_registration(client)["id"], "ABORTPENDING")
    with pytest.raises(redis.ResponseError, match="subcommand not found"):
        client.execute_command("RG.TRIGGER", "t")
