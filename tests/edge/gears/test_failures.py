"""Whatever gear code raises is its own failure: counted, told, and no reason for its runner to end."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute, only_registration
from tests.waiting import wait_for

ELSEWHERE = """
import redis
def work(r):
    raise redis.ConnectionError('another server is away')
"""


def data(client: redis.Redis) -> dict[str, object]:
    return dict(only_registration(client)["data"])


def is_told_and_the_next_entry_runs(client: redis.Redis, error: bytes) -> None:
    """The gear of stream `s` fails at each entry, and each is an execution that has ended."""
    for count in (1, 2):
        client.xadd("s", {"n": count})
        wait_for(lambda n=count: data(client)["numFailures"] == n, what="the failure")  # type: ignore[misc]
        assert error in data(client)["lastError"]
    wait_for(lambda: client.xpending("s", "__gears_consumer_group__")["pending"] == 0, what="the acknowledgement")
    assert data(client)["numTriggered"] == 3, "the first sight of the stream, and each entry once"


def test_another_server_that_is_away_fails_a_stream_gear(client: redis.Redis) -> None:
    execute(client, ELSEWHERE + "GB('StreamReader').foreach(work).register('s')")
    is_told_and_the_next_entry_runs(client, b"another server is away")


def test_another_server_that_is_away_fails_a_keys_gear_a_trigger_and_a_run(client: redis.Redis) -> None:
    execute(client, ELSEWHERE + "GB().foreach(work).register('k')", "ID", "mine")
    client.set("k", 1)
    wait_for(lambda: data(client)["numFailures"] == 1, what="the failure")
    execute(client, ELSEWHERE + "GB('CommandReader').foreach(work).register(trigger='t')", "ID", "mine", "UPGRADE")
    with pytest.raises(redis.ResponseError, match="another server is away"):
        client.execute_command("RG.TRIGGER", "t")
    assert data(client)["numFailures"] == 1
    results, (error,) = execute(client, ELSEWHERE + "GB('ShardsIDReader').foreach(work).run()")
    assert results == []
    assert b"another server is away" in error
    with pytest.raises(redis.ResponseError, match="Traceback"):
        execute(client, ELSEWHERE + "work(1)")


def test_a_lost_connection_to_the_own_server_is_no_failure(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').foreach(lambda r: execute('BLPOP', 'go', 0)).register('s')")
    client.xadd("s", {"n": 1})

    def waiting() -> list[str]:
        return [one["id"] for one in client.client_list() if one["cmd"] == "blpop"]

    (first,) = wait_for(waiting, what="the gear")
    client.client_kill_filter(_id=first)
    wait_for(lambda: waiting() not in ([], [first]), what="the same entry again")
    client.rpush("go", 1)
    wait_for(lambda: data(client)["numSuccess"] == 2, what="success: the first sight, and the entry")
    assert data(client)["numFailures"] == 0
