"""Changes that a gear makes to its connection end with its execution."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute, only_registration
from tests.waiting import wait_for

REFUSED = [
    "'MULTI'", "'exec'", "'WATCH', 'k'", "'SUBSCRIBE', 'c'", "'PSUBSCRIBE', '*'", "'MONITOR'", "'HELLO', 3", "'QUIT'",
    "'RESET'", "'AUTH', 'x'", "'CLIENT', 'REPLY', 'OFF'", "'client', b'tracking', 'on'",
]  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_commands_that_make_no_sense_on_a_shared_connection_are_refused(client: redis.Redis, words: str) -> None:
    with pytest.raises(redis.ResponseError, match="is not possible here, a gear shares its connection"):
        execute(client, f"execute({words})")
    # the connection is the next script's
    assert execute(client, "execute('SET', 'k', 'written')") == b"OK"
    assert client.get("k") == b"written"


def test_select_lasts_for_one_script(client: redis.Redis) -> None:
    execute(client, "execute('SELECT', 1)\nexecute('SET', 'k', 1)\nexecute('FLUSHDB')\nexecute('SELECT', 1)")
    execute(client, "execute('SET', 'k', 2)")
    assert client.get("k") == b"2"
    with pytest.raises(redis.ResponseError, match="SELECT is not possible inside an atomic block"):
        execute(client, "with atomic():\n    execute('SELECT', 1)")


def test_select_lasts_for_one_execution_of_a_registration(client: redis.Redis) -> None:
    script = "GB('StreamReader').foreach(lambda r: [execute('INCR', 'n'), execute('SELECT', 1)]).register('s')"
    execute(client, script)
    for count in (1, 2):
        client.xadd("s", {"x": 1})
        wait_for(lambda n=count: only_registration(client)["data"]["numSuccess"] == n + 1, what="the run")  # type: ignore[misc]
    assert client.get("n") == b"2"


def test_select_in_a_thread_lasts_for_one_command(client: redis.Redis) -> None:
    script = """
import threading
def work():
    execute('SELECT', 1)
    execute('SET', 'k', 1)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    execute(client, script)
    assert client.get("k") == b"1"


def test_a_client_name_lasts_for_one_execution(client: redis.Redis) -> None:
    execute(client, "execute('CLIENT', 'SETNAME', 'a-gears-own')")
    assert "a-gears-own" not in {one["name"] for one in client.client_list()}
