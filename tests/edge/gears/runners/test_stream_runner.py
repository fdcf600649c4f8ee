"""How a StreamReader registration delivers entries, compared with redisgears.md section 10."""

from __future__ import annotations

import time

import pytest
import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client
from tests.gear_scripts import execute, fields, only_registration
from tests.waiting import wait_for

COLLECT = "lambda r: execute('RPUSH', 'seen', r['id'])"
GROUP = "__gears_consumer_group__"


def seen(client: redis.Redis) -> list[bytes]:
    return list(client.lrange("seen", 0, -1))


def add(client: redis.Redis, *ids: int, stream: str = "s") -> list[bytes]:
    return [client.xadd(stream, {"n": number}, id=f"{number}-0") for number in ids]


def pending(client: redis.Redis) -> int:
    return int(client.xpending("s", GROUP)["pending"])


def statistics(client: redis.Redis) -> dict[str, object]:
    return dict(only_registration(client)["data"])


def test_entries_before_and_after_registration_are_delivered_in_order(client: redis.Redis) -> None:
    before = add(client, 1, 2, 3)
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s')")
    after = add(client, 4, 5)
    wait_for(lambda: seen(client) == before + after, what="all entries, in order")


def test_a_stream_that_does_not_exist_is_not_created(client: redis.Redis) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s')")
    wait_for(lambda: state_client(client).exists(key_names.lease(client, "s")), what="the runner")
    assert not client.exists("s")
    entries = add(client, 1)
    wait_for(lambda: seen(client) == entries, what="the entry")


def test_acknowledged_entries_are_trimmed_unless_trim_stream_is_off(client: redis.Redis) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s')")
    add(client, 1, 2)
    wait_for(lambda: len(seen(client)) == 2 and client.xlen("s") == 0, what="the trim")
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('t', trimStream=False)")
    add(client, 1, 2, stream="t")
    wait_for(lambda: len(seen(client)) == 4, what="the entries of t")
    wait_for(lambda: client.xpending("t", GROUP)["pending"] == 0, what="their acknowledgement")
    assert client.xlen("t") == 2


def test_a_prefix_includes_streams_that_are_created_later(client: redis.Redis) -> None:
    add(client, 1, stream="p:a")
    execute(client, "GB('StreamReader').foreach(lambda r: execute('SADD', 'keys', r['key'])).register('p:*')")
    wait_for(lambda: client.smembers("keys") == {b"p:a"}, what="the existing stream")
    add(client, 1, stream="p:b")
    add(client, 1, stream="other")
    wait_for(lambda: client.smembers("keys") == {b"p:a", b"p:b"}, what="the stream that was created later")


def test_the_workers_own_streams_are_not_read(client: redis.Redis) -> None:
    add(client, 1, stream="a")
    execute(client, "GB('StreamReader').foreach(lambda r: execute('SADD', 'keys', r['key'])).register()")
    wait_for(lambda: state_client(client).xlen(bookkeeping(client)) >= 2, what="the executions over a")
    # the scan that finds z would find the streams of these executions, too, and z is read after that
    add(client, 1, stream="z")
    wait_for(lambda: client.sismember("keys", "z"), what="the stream that was created later")
    assert client.smembers("keys") == {b"a", b"z"}
    assert state_client(client).xinfo_groups(bookkeeping(client)) == []


def test_a_stream_whose_name_is_not_utf8_is_left_out(client: redis.Redis) -> None:
    client.xadd(b"p:\xff", {"n": 1})
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('p:*')")
    wait_for(lambda: b"its name is not UTF-8" in (statistics(client)["lastError"] or b""), what="the reason")
    entries = add(client, 1, stream="p:a")
    wait_for(lambda: seen(client) == entries, what="the entry of another stream")
    assert client.xlen(b"p:\xff") == 1


def bookkeeping(client: redis.Redis) -> str:
    return key_names.registration_keys(client, only_registration(client)["id"].decode())["executions"]


def sizes_of(client: redis.Redis, stream: str = "s") -> list[int]:
    return [int(size) for size in client.lrange(f"sizes:{stream}", 0, -1)]


SIZES = """
def note(a, r):
    return [r['key'], (a or ['', 0])[1] + 1]
GB('StreamReader').accumulate(note).foreach(lambda n: execute('RPUSH', 'sizes:' + n[0], n[1])).register({})
"""


def test_old_entries_run_as_a_short_batch_and_new_ones_wait_for_a_full_batch(client: redis.Redis) -> None:
    add(client, *range(1, 8))
    execute(client, SIZES.format("'s', batch=4"))
    wait_for(lambda: sizes_of(client) == [4, 3], what="the old entries")
    add(client, 8, 9)
    add(client, *range(10, 16))
    wait_for(lambda: sizes_of(client) == [4, 3, 4, 4], what="two full batches")
    add(client, 16)
    registration = only_registration(client)["id"]
    client.execute_command("RG.PAUSEREGISTRATIONS", registration)
    client.execute_command("RG.UNPAUSEREGISTRATIONS", registration)
    wait_for(lambda: sizes_of(client) == [4, 3, 4, 4, 1], what="the entries from before the pause")


def test_a_batch_of_a_new_stream_waits_until_it_is_full(client: redis.Redis) -> None:
    execute(client, SIZES.format("'s', batch=4"))
    wait_for(lambda: state_client(client).exists(key_names.lease(client, "s")), what="the runner")
    for number in range(1, 9):
        add(client, number)
    wait_for(lambda: sum(sizes_of(client)) == 8, what="all entries")
    assert sizes_of(client) == [4, 4]


def test_a_full_batch_of_one_stream_does_not_start_another_stream(client: redis.Redis) -> None:
    for stream in ("p:a", "p:b"):
        add(client, 1, 2, 3, stream=stream)
    execute(client, SIZES.format("'p:*', batch=3"))
    for stream in ("p:a", "p:b"):
        wait_for(lambda s=stream: sizes_of(client, s) == [3], what="the old entries")  # type: ignore[misc]
    for _ in range(2):
        client.xadd("p:b", {"n": 1})
    for count in (2, 3, 4):
        for _ in range(3):
            client.xadd("p:a", {"n": 1})
        wait_for(lambda n=count: sizes_of(client, "p:a") == [3] * n, what="a batch of a")  # type: ignore[misc]
    assert sizes_of(client, "p:b") == [3]
    client.xadd("p:b", {"n": 1})
    wait_for(lambda: sizes_of(client, "p:b") == [3, 3], what="a batch of b")


def test_duration_ends_the_wait_for_a_batch(client: redis.Redis) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s', batch=100, duration=50)")
    first = [client.xadd("s", {"n": 1})]
    wait_for(lambda: seen(client) == first, what="the first entry")
    second = [client.xadd("s", {"n": 2}), client.xadd("s", {"n": 3})]
    wait_for(lambda: seen(client) == first + second, what="a batch that never became full")


def test_duration_is_not_measured_by_entry_ids(client: redis.Redis) -> None:
    future = 2**42 - 1  # in the year 2109
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s', batch=3, duration=50)")
    wait_for(lambda: state_client(client).exists(key_names.lease(client, "s")), what="the runner")
    entries = add(client, future)
    wait_for(lambda: seen(client) == entries, what="an entry that will have been added in a century")
    # an hour is over by the ids of these, but not by any clock
    script = f"GB('StreamReader').foreach({COLLECT}).register('t', batch=3, duration=3600000)"
    execute(client, script)
    wait_for(lambda: state_client(client).exists(key_names.lease(client, "t")), what="the runner")
    entries += add(client, 1, stream="t")
    wait_for(lambda: client.xinfo_stream("t")["groups"], what="the group")
    entries += add(client, 2, 3, stream="t")
    wait_for(lambda: seen(client) == entries, what="a full batch")
    executions = [fields(one)["executionId"] for one in client.execute_command("RG.DUMPEXECUTIONS")]
    counts = [len(client.execute_command("RG.GETRESULTS", execution)[0]) for execution in executions]
    assert sorted(counts) == [0, 0, 1, 3], "two first sights, the entry and the batch"


def test_an_entry_id_that_is_no_time_is_not_counted_as_lag(client: redis.Redis) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s')")
    add(client, 1)
    soon = int(time.time() * 1000) + 60_000  # by a clock that is a minute ahead
    add(client, soon, 2**42 - 1)
    wait_for(lambda: len(seen(client)) == 3 and statistics(client)["numSuccess"] == 4, what="the runs")
    assert statistics(client)["lastEstimatedLagMS"] == 0
    assert statistics(client)["avgEstimatedLagMS"] == b"0"


def test_statistics_count_every_run(client: redis.Redis) -> None:
    script = "GB('StreamReader').map(lambda r: 1 // int(r['value']['n'])).register('s')"
    execute(client, script)
    client.xadd("s", {"n": 1})
    wait_for(lambda: statistics(client)["numSuccess"] == 2, what="the first execution of the stream, and the entry")
    client.xadd("s", {"n": 0})
    wait_for(lambda: statistics(client)["numFailures"] == 1, what="the failure")
    after = statistics(client)
    assert after["numTriggered"] == 3
    assert after["numAborted"] == 0
    assert b"ZeroDivisionError" in after["lastError"]
    client.xadd("s", {"n": 1})
    wait_for(lambda: statistics(client)["numSuccess"] == 3, what="the next success")
    assert statistics(client)["lastError"] is None


def test_executions_of_a_registration_are_stored(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').map(lambda r: r['id']).register('s')")
    add(client, 7)
    wait_for(lambda: statistics(client)["numSuccess"] == 2, what="the run")
    executions = [fields(execution) for execution in client.execute_command("RG.DUMPEXECUTIONS")]
    assert [(execution["status"], execution["registered"]) for execution in executions] == [(b"done", 1)] * 2
    results = [client.execute_command("RG.GETRESULTS", execution["executionId"]) for execution in executions]
    assert results == [[[], []], [[b"7-0"], []]]
    client.execute_command("RG.DROPEXECUTION", executions[1]["executionId"])
    assert len(client.execute_command("RG.DUMPEXECUTIONS")) == 1


def test_results_that_are_too_large_are_not_stored_but_counted(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').map(lambda r: 'x' * 300_000).register('s')")
    add(client, 1)
    wait_for(lambda: statistics(client)["numSuccess"] == 2, what="the run")
    execution = fields(client.execute_command("RG.DUMPEXECUTIONS")[-1])["executionId"]
    results, errors = client.execute_command("RG.GETRESULTS", execution)
    assert results == []
    assert b"too large to be kept" in errors[0]


def test_policy_continue_continues_after_a_failure(client: redis.Redis) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).map(lambda r: 1 / 0).register('s')")
    entries = add(client, 1, 2, 3)
    wait_for(lambda: seen(client) == entries, what="every entry, once")
    wait_for(lambda: client.xlen("s") == 0, what="the trim of failed entries")
    assert statistics(client)["status"] == b"OK"


def test_policy_abort_stops_and_leaves_the_batch_pending(client: redis.Redis) -> None:
    script = f"GB('StreamReader').foreach({COLLECT}).map(lambda r: 1 / 0).register('s', onFailedPolicy='abort')"
    execute(client, script)
    first, _ = add(client, 1, 2)
    wait_for(lambda: statistics(client)["status"] == b"ABORTED", what="the abort")
    assert seen(client) == [first]
    assert pending(client) >= 1
    assert client.xlen("s") == 2


def test_policy_retry_delivers_the_batch_again_until_it_succeeds(client: redis.Redis) -> None:
    script = f"""
def fail_unless_allowed(r):
    if not execute('EXISTS', 'allowed'):
        raise ValueError('not yet')
GB('StreamReader').foreach({COLLECT}).foreach(fail_unless_allowed).register(
    's', onFailedPolicy='Retry', onFailedRetryInterval=0)
"""
    execute(client, script)
    first, second = add(client, 1, 2)
    wait_for(lambda: statistics(client)["numFailures"] >= 2, what="a retry")
    assert set(seen(client)) == {first}
    assert statistics(client)["status"] == b"WAITING_FOR_RETRY_ON_FAILURE"
    client.set("allowed", 1)
    wait_for(lambda: seen(client)[-1] == second and pending(client) == 0, what="both entries done")
    assert statistics(client)["status"] == b"OK"


def test_globals_are_kept_from_one_event_to_the_next(client: redis.Redis) -> None:
    script = """
seen = []
def note(r):
    seen.append(r['id'])
    return len(seen)
GB('StreamReader').map(note).foreach(lambda n: execute('SET', 'count', n)).register('s')
"""
    execute(client, script)
    add(client, 1, 2, 3)
    wait_for(lambda: client.get("count") == b"3", what="a count that goes on")


def test_on_registered_runs_before_events(client: redis.Redis) -> None:
    script = """
resource = []
def open_it():
    resource.append(execute('INCR', 'opened'))
GB('StreamReader').foreach(lambda r: execute('RPUSH', 'seen', resource[0])).register('s', onRegistered=open_it)
"""
    execute(client, script)
    add(client, 1, 2)
    wait_for(lambda: seen(client) == [b"1", b"1"], what="both entries, with the resource")


def test_on_registered_does_not_run_again_after_a_pause(client: redis.Redis) -> None:
    script = f"GB('StreamReader').foreach({COLLECT}).register('s', onRegistered=lambda: execute('INCR', 'registered'))"
    execute(client, script)
    registration = only_registration(client)["id"]
    client.execute_command("RG.PAUSEREGISTRATIONS", registration)
    client.execute_command("RG.UNPAUSEREGISTRATIONS", registration)
    entries = add(client, 1)
    wait_for(lambda: seen(client) == entries, what="the entry")
    assert client.get("registered") == b"1"


def test_an_unregistered_gear_gets_no_entries(client: redis.Redis) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s')")
    entries = add(client, 1)
    wait_for(lambda: seen(client) == entries, what="the entry")
    client.execute_command("RG.UNREGISTER", only_registration(client)["id"])
    add(client, 2)
    assert not state_client(client).exists(key_names.lease(client, "s"))
    assert seen(client) == entries


def test_an_unpaused_registration_continues_where_it_stopped(client: redis.Redis) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s')")
    registration = only_registration(client)["id"]
    before = add(client, 1)
    wait_for(lambda: seen(client) == before, what="the entry")
    with pytest.raises(redis.ResponseError, match=r"^Execution nothing does not exists on shard 0{40}$"):
        client.execute_command("RG.PAUSEREGISTRATIONS", registration, "nothing")
    assert statistics(client)["status"] == b"OK", "all or none"
    for _ in range(2):
        assert client.execute_command("RG.PAUSEREGISTRATIONS", registration) == b"OK"
    assert statistics(client)["status"] == b"PAUSED"
    meanwhile = add(client, 2, 3)
    assert not state_client(client).exists(key_names.lease(client, "s")), "nobody reads the stream"
    for _ in range(2):
        assert client.execute_command("RG.UNPAUSEREGISTRATIONS", registration) == b"OK"
    wait_for(lambda: seen(client) == before + meanwhile, what="the entries added during the pause")
    assert statistics(client)["status"] == b"OK"


@pytest.mark.parametrize("commands", [["PAUSE", "UNPAUSE"], ["UNPAUSE"]])
def test_an_aborted_registration_continues_when_it_is_unpaused(client: redis.Redis, commands: list[str]) -> None:
    script = f"""
def fail_unless_allowed(r):
    if not execute('EXISTS', 'allowed'):
        raise ValueError('not yet')
GB('StreamReader').foreach(fail_unless_allowed).foreach({COLLECT}).register('s', onFailedPolicy='abort')
"""
    execute(client, script)
    entries = add(client, 1, 2)
    wait_for(lambda: statistics(client)["status"] == b"ABORTED", what="the abort")
    client.set("allowed", 1)
    registration = only_registration(client)["id"]
    for command in commands:
        client.execute_command(f"RG.{command}REGISTRATIONS", registration)
    assert statistics(client)["status"] == b"OK"
    wait_for(lambda: seen(client) == entries, what="the batch that was left pending, and the rest")


def test_a_stream_that_is_deleted_and_created_again_is_read(client: redis.Redis) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s')")
    first = add(client, 1)
    wait_for(lambda: seen(client) == first, what="the entry")
    client.delete("s")
    second = add(client, 2)
    wait_for(lambda: seen(client) == first + second, what="the entry of the new stream")


def test_a_key_of_another_type_is_reported_and_the_runner_goes_on(client: redis.Redis) -> None:
    client.set("s", "text")
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s')")
    wait_for(lambda: b"WRONGTYPE" in (statistics(client)["lastError"] or b""), what="the reason")
    client.delete("s")
    entries = add(client, 1)
    wait_for(lambda: seen(client) == entries, what="the entry once the key is a stream")


@pytest.mark.parametrize("count", [500])
def test_many_entries_in_batches_are_delivered_once_and_in_order(client: redis.Redis, count: int) -> None:
    execute(client, f"GB('StreamReader').foreach({COLLECT}).register('s', batch=50, duration=20)")
    pipeline = client.pipeline(transaction=False)
    for number in range(count):
        pipeline.xadd("s", {"n": number})
    ids = pipeline.execute()
    wait_for(lambda: len(seen(client)) >= count, what="all entries", timeout=30)
    assert seen(client) == ids
