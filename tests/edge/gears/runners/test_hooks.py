"""Gears that answer commands, and gears for which commands wait."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from rededge_nb.edge.client import client_from_url
from tests.edge.gears.own_server import Server
from tests.gear_scripts import execute, only_registration, registrations
from tests.waiting import wait_for

ADD_TIME = """
def add_time(record):
    return call_next(*record[1:], 'changed', 'now')
GB('CommandReader').map(add_time).register(hook='hset', convertToStr=False)
"""


class TestHook:
    def test_a_hook_changes_a_command(self, client: redis.Redis) -> None:
        execute(client, ADD_TIME)
        assert client.hset("h", "f", "v") == 2
        assert client.hgetall("h") == {b"f": b"v", b"changed": b"now"}

    def test_a_hook_refuses_a_command(self, client: redis.Redis) -> None:
        execute(
            client,
            """
def check(record):
    if not record[2].isdigit():
        flat_error('ERR not a number: ' + record[2])
    return call_next(*record[1:])
GB('CommandReader').map(check).register(hook='SET', keyprefix='number:', convertToStr=False)
""",
        )
        assert client.set("number:1", "5") is True
        with pytest.raises(redis.ResponseError, match="not a number: five"):
            client.set("number:1", "five")
        assert client.set("text", "five") is True
        assert client.get("number:1") == b"5"

    def test_several_hooks_run_the_last_registered_first(self, client: redis.Redis) -> None:
        for letter in "abc":
            script = f"GB('CommandReader').map(lambda r: '{letter}' + call_next(*r[1:])).register(hook='get')"
            execute(client, script)
        client.set("k", "v")
        assert client.get("k") == b"cbav"

    def test_call_next_raises_the_error_of_redis(self, client: redis.Redis) -> None:
        execute(
            client,
            """
def attempt(record):
    try:
        return call_next(*record[1:])
    except Exception as error:
        return 'caught ' + str(error)
GB('CommandReader').map(attempt).register(hook='hget')
""",
        )
        client.set("text", "v")
        assert client.hget("text", "f").startswith(b"caught WRONGTYPE")

    @pytest.mark.parametrize("step", ["filter(lambda r: False)", "flatmap(lambda r: ['a', 'b'])"])
    def test_a_hook_must_return_one_result(self, client: redis.Redis, step: str) -> None:
        execute(client, f"GB('CommandReader').{step}.register(hook='get')")
        with pytest.raises(redis.ResponseError, match="Command hook must return exactly one result"):
            client.get("k")

    def test_hooks_run_at_the_same_time(self, client: redis.Redis) -> None:
        execute(
            client,
            """
import time
def until_all_run(record):
    execute('INCR', 'begun')
    while execute('GET', 'begun') != '12':
        time.sleep(0.01)
    return record[1]
GB('CommandReader').map(until_all_run).register(hook='get', keyprefix='together:')
""",
        )
        keys = [f"together:{number}" for number in range(12)]
        with ThreadPoolExecutor(12) as pool:
            assert list(pool.map(client.get, keys)) == [key.encode() for key in keys]

    def test_a_hook_may_wait(self, client: redis.Redis) -> None:
        execute(
            client,
            """
import asyncio
async def slow(record):
    await asyncio.sleep(0.3)
    return call_next(*record[1:])
GB('CommandReader').map(slow).register(hook='incr', convertToStr=False)
""",
        )
        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(lambda _: client.incr("n"), range(8))) == list(range(1, 9))
        assert time.monotonic() - started < 1.5, "they wait together"

    def test_gear_code_reaches_sync_hooks_and_is_refused_by_others(self, client: redis.Redis) -> None:
        execute(client, "GB('CommandReader').map(lambda r: 'sync ' + r[1]).register(hook='get', mode='sync')")
        execute(client, "GB('CommandReader').map(lambda r: 'async').register(hook='hget')")
        run = "GB('ShardsIDReader').map(lambda r: execute({})).run()"
        assert execute(client, run.format("'GET', 'k'")) == [[b"sync k"], []]
        _, [error] = execute(client, run.format("'hget', 'k', 'f'"))
        assert b"ERR can not run a non-sync execution inside a MULTI/LUA" in error

    def test_hooks_that_call_each_other_without_end_are_stopped(self, client: redis.Redis) -> None:
        execute(client, "GB('CommandReader').map(lambda r: execute('GET', r[1])).register(hook='get', mode='sync')")
        with pytest.raises(redis.ResponseError, match="more than 32 levels"):
            client.get("k")

    def test_gears_of_our_own_do_not_meet_hooks(self, client: redis.Redis) -> None:
        """Reading a key's value and keeping results use commands that users may hook."""
        for command in ("get", "hset", "hgetall", "xadd", "set", "xrange"):
            script = "GB('CommandReader').map(lambda r: call_next(*r[1:])).register(hook='%s', convertToStr=False)"
            execute(client, script % command)
        client.hset("h", "f", "v")
        assert execute(client, "GB().map(lambda r: r['value']).run('h')") == [[b"{'f': 'v'}"], []]
        execution = execute(client, "GB('ShardsIDReader').run()", "UNBLOCKING")
        wait_for(lambda: client.execute_command("RG.GETEXECUTION", execution)[0][3][1] == b"done", what="the end")
        assert client.execute_command("RG.GETRESULTS", execution) == [[b"1"], []]

    def test_its_entry_in_dumpregistrations(self, client: redis.Redis) -> None:
        execute(client, ADD_TIME)
        client.hset("h", "f", "v")
        registration = only_registration(client)
        assert registration["args"] == {"trigger": b"hset", "inorder": 0}
        assert (registration["data"]["numTriggered"], registration["data"]["numSuccess"]) == (1, 1)
        with pytest.raises(redis.ResponseError, match="subcommand not found"):
            client.execute_command("RG.TRIGGER", "hset")

    def test_unregistered_it_is_gone(self, client: redis.Redis) -> None:
        execute(client, ADD_TIME)
        client.execute_command("RG.UNREGISTER", only_registration(client)["id"])
        assert client.hset("h", "f", "v") == 1

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ("hook=1", "hook argument is not string"),
            ("hook='nosuch'", "Can not override an unexisting command"),
            ("hook='multi'", "Can not override a command which are not allowed inside a script"),
            ("hook='rg.trigger'", "Can not override a command which are not allowed inside a script"),
            ("hook='sort', keyprefix='k'", "Can not override a command with moveable keys by key prefix"),
            ("hook='get', trigger='t'", "trigger and hook can not be given together"),
            ("", "no trigger or hook argument was given"),
        ],
    )
    def test_wrong_arguments(self, client: redis.Redis, arguments: str, error: str) -> None:
        with pytest.raises(redis.ResponseError, match=error):
            execute(client, f"GB('CommandReader').register({arguments})")

    def test_outside_a_hook_there_is_no_next(self, client: redis.Redis) -> None:
        _, [error] = execute(client, "GB('ShardsIDReader').map(lambda r: call_next('k')).run()")
        assert b"Can not get CommandHook ctx" in error


class TestSync:
    def test_the_reply_waits_for_the_gear(self, client: redis.Redis) -> None:
        execute(
            client, "GB().foreach(lambda r: execute('INCR', 'count')).register('k*', mode='sync', eventTypes=['set'])"
        )
        for number in range(100):
            client.set(f"k{number}", "v")
            assert client.get("count") == b"%d" % (number + 1)

    def test_what_the_gear_writes_does_not_start_it_again(self, client: redis.Redis) -> None:
        execute(client, "GB().foreach(lambda r: execute('INCR', 'count')).register('*', mode='sync')")
        client.set("k", "v")
        client.set("l", "v")
        assert client.get("count") == b"2"

    def test_a_slow_gear_is_waited_for(self, client: redis.Redis) -> None:
        script = """
import asyncio
async def slow(record):
    await asyncio.sleep(0.2)
    execute('SET', 'done', record['key'])
GB().foreach(slow).register('k', mode='sync')
"""
        execute(client, script)
        client.set("k", "v")
        assert client.get("done") == b"k"

    def test_a_gear_that_fails_does_not_change_the_reply(self, client: redis.Redis) -> None:
        execute(client, "GB().map(lambda r: 1 / 0).register('k', mode='sync')")
        assert client.set("k", "v") is True
        assert only_registration(client)["data"]["numFailures"] == 1

    def test_multi_gets_the_real_replies_and_the_gear_runs_afterwards(self, client: redis.Redis) -> None:
        execute(client, "GB().foreach(lambda r: execute('RPUSH', 'seen', r['key'])).register('k*', mode='sync')")
        with client.pipeline(transaction=True) as pipeline:
            pipeline.set("k1", "v").set("k2", "v")
            assert pipeline.execute() == [True, True]
        wait_for(lambda: client.lrange("seen", 0, -1) == [b"k1", b"k2"], what="both events")

    def test_commands_link_a_client_to_the_gear(self, client: redis.Redis) -> None:
        script = """
def answer(record):
    override_reply('no ' + record['key'] + ' for ' + ' '.join(get_command()))
GB().foreach(answer).register('k*', commands=['get'], eventTypes=['keymiss'], mode='async_local', readValue=False)
"""
        execute(client, script)
        assert client.get("k1") == b"no k1 for GET k1"
        assert client.get("other") is None
        client.set("k1", "v")
        assert client.get("k1") == b"v"
        assert only_registration(client)["args"]["hookCommands"] == [b"get"]

    def test_a_reply_is_overridden_once(self, client: redis.Redis) -> None:
        script = """
def answer(record):
    override_reply(record['key'])
    override_reply('again')
GB().foreach(answer).register('k', commands=['getset'])
GB().foreach(lambda r: override_reply('x')).register('other')
"""
        execute(client, script)
        assert client.getset("k", "v") == b"k"
        client.set("other", "v")
        errors = lambda: [one["data"]["lastError"] for one in registrations(client)]  # noqa: E731
        wait_for(lambda: all(errors()), what="both errors")
        assert any(b"Can only override reply once" in error for error in errors())
        assert any(b"Can not get command ctx" in error for error in errors())

    @pytest.mark.parametrize("stream", ["s1", "s*"])
    def test_whoever_adds_an_entry_waits_for_the_gear(self, client: redis.Redis, stream: str) -> None:
        note = "foreach(lambda r: execute('RPUSH', 'seen', r['value']['n']))"
        execute(client, f"GB('StreamReader').{note}.register('{stream}', mode='sync')")
        for number in range(10):
            client.xadd("s1", {"n": number})
            assert client.llen("seen") == number + 1
        assert client.xlen("s1") == 0, "trimmed"

    def test_nobody_waits_for_a_batch_that_is_not_full(self, client: redis.Redis) -> None:
        execute(
            client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('s', mode='sync', batch=2)"
        )
        client.xadd("s", {"a": 1})
        assert client.get("n") is None
        client.xadd("s", {"a": 2})
        assert client.get("n") == b"2"

    def test_nobody_waits_for_a_paused_gear(self, client: redis.Redis) -> None:
        execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('s', mode='sync')")
        registration = only_registration(client)["id"]
        client.execute_command("RG.PAUSEREGISTRATIONS", registration)
        client.xadd("s", {"a": 1})
        assert client.get("n") is None
        client.execute_command("RG.UNPAUSEREGISTRATIONS", registration)
        client.xadd("s", {"a": 2})
        assert client.get("n") == b"2"

    @pytest.mark.parametrize(
        ("commands", "error"),
        [
            ("['nosuch']", "bad reply on COMMAND command"),
            ("['eval']", "Can not hook a command which are not allowed inside a script"),
            ("['sort']", "Can not hook a command with moveable keys by key prefix"),
            ("[1]", "given command is not string"),
        ],
    )
    def test_wrong_commands(self, client: redis.Redis, commands: str, error: str) -> None:
        with pytest.raises(redis.ResponseError, match=error):
            execute(client, f"GB().register('k*', commands={commands})")


def another_worker(own: Server, old: int) -> bool:
    return any(worker.pid != old for worker in own.workers())


class TestWorkersThatDie:
    def test_no_event_is_lost_while_no_worker_runs(self, own: Server) -> None:
        execute(own.client, "GB().foreach(lambda r: execute('RPUSH', 'seen', r['key'])).register('k*')")
        own.kill_worker()
        for number in range(50):
            own.client.set(f"k{number}", "v")
        expected = [b"k%d" % number for number in range(50)]
        wait_for(lambda: own.client.lrange("seen", 0, -1) == expected, timeout=20, what="all events in order")

    def test_every_write_goes_through_the_hook_or_is_refused(self, own: Server) -> None:
        execute(own.client, ADD_TIME)
        ended = threading.Event()

        def write(writer: int) -> list[str]:
            written = []
            with client_from_url(own.instance.url) as client:
                number = 0
                while not ended.is_set():
                    key, number = f"h:{writer}:{number}", number + 1
                    try:
                        client.hset(key, "f", "v")
                    except redis.ResponseError as error:
                        if not str(error).startswith(("WORKERLOST", "NOWORKER")):
                            raise
                    else:
                        written.append(key)
            return written

        with ThreadPoolExecutor(10) as pool:
            writers = [pool.submit(write, number) for number in range(10)]
            try:
                for _ in range(3):
                    before = own.client.dbsize()
                    wait_for(lambda: own.client.dbsize() > before + 20, timeout=60, what="some writes")  # noqa: B023
                    old = own.workers()[0].pid
                    own.kill_worker()
                    wait_for(lambda: another_worker(own, old), timeout=60, what="another worker")  # noqa: B023
            finally:
                ended.set()
            written = [key for writer in writers for key in writer.result()]
        assert len(written) > 60
        for key in own.client.scan_iter("h:*"):
            assert own.client.hget(key, "changed") == b"now"
        assert own.client.exists(*written) == len(written)
