"""The next entry is requested while a gear runs over the current one. It is never lost and never runs out of order."""

from __future__ import annotations

import redis

from tests.edge.gears.own_server import Server
from tests.gear_scripts import execute, only_registration
from tests.waiting import wait_for

GROUP = "__gears_consumer_group__"
HELD = """
def work(r):
    execute('RPUSH', 'seen', r['value']['n'])
    execute('BLPOP', 'go', 0)
GB('StreamReader').foreach(work).register('s')
"""
FAILING = """
def work(r):
    execute('RPUSH', 'seen', r['value']['n'])
    if not execute('EXISTS', 'go'):
        raise ValueError('not yet')
GB('StreamReader').foreach(work).register('s', onFailedPolicy='retry', onFailedRetryInterval=0)
"""


def add(client: redis.Redis, *numbers: int) -> None:
    """Add entries in one transaction: when the gear begins with the first, the others are there."""
    pipeline = client.pipeline(transaction=True)
    for number in numbers:
        pipeline.xadd("s", {"n": number})
    pipeline.execute()


def seen(client: redis.Redis) -> list[int]:
    return [int(number) for number in client.lrange("seen", 0, -1)]


def pending(client: redis.Redis) -> int:
    return int(client.xpending("s", GROUP)["pending"])


def test_one_entry_is_prefetched_while_another_is_processed(client: redis.Redis) -> None:
    execute(client, HELD)
    add(client, 1, 2, 3, 4)
    wait_for(lambda: seen(client) == [1], what="the first entry")
    assert pending(client) == 2, "one is processed, one is prefetched"
    client.rpush("go", 1)
    wait_for(lambda: seen(client) == [1, 2], what="the second entry")
    assert pending(client) == 2, "the first is acknowledged"
    client.rpush("go", 1, 1, 1)
    wait_for(lambda: pending(client) == 0, what="the rest")
    assert seen(client) == [1, 2, 3, 4]


def test_a_worker_that_is_killed_loses_neither_entry(own: Server) -> None:
    client = own.client
    execute(client, HELD)
    add(client, 1, 2, 3)
    wait_for(lambda: seen(client) == [1], what="the first entry")
    own.kill_worker()
    wait_for(lambda: seen(client) == [1, 1], what="the first entry again", timeout=30)
    client.rpush("go", 1)
    wait_for(lambda: seen(client) == [1, 1, 2], what="the second entry")
    own.kill_worker()
    wait_for(lambda: seen(client) == [1, 1, 2, 2], what="the second entry again", timeout=30)
    client.rpush("go", 1, 1)
    wait_for(lambda: pending(client) == 0 and seen(client)[-1] == 3, what="the rest")
    assert seen(client) == [1, 1, 2, 2, 3]


def test_a_retry_comes_before_prefetched_entries(client: redis.Redis) -> None:
    execute(client, FAILING)
    add(client, 1, 2, 3)
    wait_for(lambda: len(seen(client)) > 3, what="retries")
    assert set(seen(client)) == {1}
    client.set("go", 1)
    wait_for(lambda: pending(client) == 0 and seen(client)[-1] == 3, what="the rest")
    assert [number for number in seen(client) if number != 1] == [2, 3]


def test_entries_that_a_pause_leaves_pending_do_not_count_as_crashes(own: Server) -> None:
    client = own.client
    execute(client, HELD)
    registration = only_registration(client)["id"]
    add(client, 1, 2)
    wait_for(lambda: seen(client) == [1], what="the first entry")
    client.execute_command("RG.PAUSEREGISTRATIONS", registration)
    client.rpush("go", 1)
    wait_for(lambda: pending(client) == 1, what="the end of the first entry")
    client.execute_command("RG.UNPAUSEREGISTRATIONS", registration)
    wait_for(lambda: seen(client) == [1, 2], what="the second entry")
    own.kill_worker()
    wait_for(lambda: seen(client) == [1, 2, 2], what="the second entry again", timeout=30)
    client.rpush("go", 1)
    wait_for(lambda: pending(client) == 0, what="its end")
    assert only_registration(client)["data"]["status"] == b"OK"
