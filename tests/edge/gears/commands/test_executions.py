"""The RG.* commands about executions."""

from __future__ import annotations

import pytest
import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client
from tests.gear_scripts import execute, fields, only_registration
from tests.waiting import wait_for

SHARD = b"0" * 40
WAIT = """
import time
def wait(r):
    while not execute('EXISTS', 'go'):
        time.sleep(0.01)
    return 'gone'
"""


def test_an_unblocking_execution_can_be_read_and_dropped(client: redis.Redis) -> None:
    for number in (1, 2):
        client.xadd("s", {"x": number}, id=f"{number}-0")
    script = "GB('StreamReader').map(lambda r: r['id']).filter(lambda t: True).run('s')"
    execution = execute(client, script, "UNBLOCKING")

    def status() -> bytes:
        ((_, _, _, plan),) = client.execute_command("RG.GETEXECUTION", execution)
        return bytes(plan[1])

    wait_for(lambda: status() == b"done", what="the execution's end")
    ((name, shard, _, plan),) = client.execute_command("RG.GETEXECUTION", execution, "SHARD")
    assert (name, shard) == (b"shard_id", SHARD)
    assert plan[7] == 2
    assert plan[9] == []
    # the last step first
    assert [fields(step)["type"] for step in plan[15]] == [b"collect", b"map", b"filter", b"map"]
    assert client.execute_command("RG.GETRESULTS", execution) == [[b"1-0", b"2-0"], []]
    assert [b"executionId", execution, b"status", b"done", b"registered", 0] in client.execute_command(
        "RG.DUMPEXECUTIONS"
    )
    with pytest.raises(redis.ResponseError, match="no cluster detected"):
        client.execute_command("RG.GETEXECUTION", execution, "CLUSTER")
    with pytest.raises(redis.ResponseError, match="unknown subcommand"):
        client.execute_command("RG.GETEXECUTION", execution, "WHAT")
    assert client.execute_command("RG.DROPEXECUTION", execution) == b"OK"
    for command in ("RG.DROPEXECUTION", "RG.GETRESULTS", "RG.GETEXECUTION"):
        with pytest.raises(redis.ResponseError, match="execution plan does not exist"):
            client.execute_command(command, execution)


def test_a_running_execution_says_so(client: redis.Redis) -> None:
    client.xadd("s", {"x": 1})
    script = """
import time
def wait(r):
    while not execute('EXISTS', 'go'):
        time.sleep(0.01)
    return 'gone'
GB('StreamReader').map(wait).run('s')
"""
    execution = execute(client, script, "UNBLOCKING")
    assert [b"executionId", execution, b"status", b"running", b"registered", 0] in client.execute_command(
        "RG.DUMPEXECUTIONS"
    )
    with pytest.raises(redis.ResponseError, match="execution is still running"):
        client.execute_command("RG.GETRESULTS", execution)
    with pytest.raises(redis.ResponseError, match=r"can not drop a not yet finished execution, abort it first\."):
        client.execute_command("RG.DROPEXECUTION", execution)
    client.set("go", 1)

    def results() -> object:
        try:
            return client.execute_command("RG.GETRESULTS", execution)
        except redis.ResponseError:
            return None

    assert wait_for(results, what="the results") == [[b"gone"], []]


def test_results_can_be_waited_for(client: redis.Redis) -> None:
    script = """
import time
def wait(r):
    while not execute('EXISTS', 'go'):
        time.sleep(0.01)
    return 'gone'
GB('ShardsIDReader').map(wait).run()
"""
    execution = execute(client, script, "UNBLOCKING")
    waiting = client.client()
    waiting.connection.send_command("RG.GETRESULTSBLOCKING", execution)
    client.set("go", 1)
    assert waiting.connection.read_response() == [[b"gone"], []]
    waiting.close()


def executions(client: redis.Redis) -> dict[bytes, dict[str, object]]:
    found = [fields(one) for one in client.execute_command("RG.DUMPEXECUTIONS")]
    return {bytes(one["executionId"]): one for one in found}


def test_executions_of_registrations_are_found_by_their_id_and_dropped(client: redis.Redis) -> None:
    for stream in ("one", "two"):
        execute(client, f"GB('StreamReader').map(lambda r: r['value']['n']).register('{stream}')")
        for n in range(15):  # more than are searched at a time
            client.xadd(stream, {"n": f"{stream}-{n}"})
    wait_for(lambda: len(executions(client)) == 32, what="the executions, and the first one of each stream")
    results = {name: client.execute_command("RG.GETRESULTS", name) for name in executions(client)}
    expected = [[f"{stream}-{n}".encode()] for stream in ("one", "two") for n in range(15)]
    assert sorted(found for found, _ in results.values()) == sorted([*expected, [], []])
    assert all(one["registered"] == 1 for one in executions(client).values())
    dropped = next(name for name, (found, _) in results.items() if found == [b"one-3"])
    client.execute_command("RG.DROPEXECUTION", dropped)
    assert set(executions(client)) == set(results) - {dropped}
    with pytest.raises(redis.ResponseError, match="execution plan does not exist"):
        client.execute_command("RG.GETRESULTS", dropped)


def test_a_running_execution_of_a_registration_is_found(client: redis.Redis) -> None:
    execute(client, WAIT + "GB('StreamReader').map(wait).register('s')")
    client.xadd("s", {"n": 1})
    (running,) = wait_for(
        lambda: [name for name, one in executions(client).items() if one["status"] == b"running"], what="the execution"
    )
    with pytest.raises(redis.ResponseError, match="execution is still running"):
        client.execute_command("RG.GETRESULTS", running)
    waiting = client.client()
    waiting.connection.send_command("RG.GETRESULTSBLOCKING", running)
    client.set("go", 1)
    wait_for(lambda: only_registration(client)["data"]["numSuccess"] == 2, what="the end")
    assert waiting.connection.read_response() == [[b"gone"], []]
    waiting.close()


def calls(client: redis.Redis, *commands: str) -> int:
    """How often the server has executed these commands, by whichever client."""
    counts = client.info("commandstats")
    return sum(counts.get(f"cmdstat_{command}", {}).get("calls", 0) for command in commands)


@pytest.mark.parametrize("command", ["RG.GETRESULTS", "RG.GETEXECUTION", "RG.GETRESULTSBLOCKING", "RG.ABORTEXECUTION"])
def test_one_execution_is_read_without_the_others(client: redis.Redis, command: str) -> None:
    execute(client, "GB('StreamReader').register('s')")
    wait_for(lambda: not client.xadd("s", {"n": 1}) or executions(client), what="an execution of the registration")
    ids = [execute(client, "GB('ShardsIDReader').run()", "UNBLOCKING") for _ in range(300)]
    wait_for(lambda: {one["status"] for one in executions(client).values()} == {b"done"}, what="the end of all")
    before = calls(client, "hgetall", "xrange", "xrevrange")
    for name in ids[:3]:
        client.execute_command(command, name)
    # the worker's housekeeping reads a few hashes meanwhile
    assert calls(client, "hgetall", "xrange", "xrevrange") - before < len(ids)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("RG.ABORTEXECUTION", "execution does not exist"),
        ("RG.GETRESULTSBLOCKING", "execution plan does not exist"),
        ("RG.GETRESULTS", "execution plan does not exist"),
        ("RG.GETEXECUTION", "execution plan does not exist"),
        ("RG.DROPEXECUTION", "execution plan does not exist"),
    ],
)
def test_an_unknown_execution(client: redis.Redis, command: str, error: str) -> None:
    with pytest.raises(redis.ResponseError, match=rf"^{error}$"):
        client.execute_command(command, "nothing")


def test_steps_have_durations_when_executions_are_profiled(client: redis.Redis) -> None:
    client.execute_command("RG.CONFIGSET", "ProfileExecutions", 1)
    script = "import time\nGB('ShardsIDReader').map(lambda r: time.sleep(0.05)).run()"
    execution = execute(client, script, "UNBLOCKING")
    client.execute_command("RG.GETRESULTSBLOCKING", execution)
    ((_, _, _, plan),) = client.execute_command("RG.GETEXECUTION", execution)
    durations = [fields(step)["duration"] for step in plan[15]]
    assert durations[-1] >= 50
    assert sum(durations[:-1]) < durations[-1]


def test_the_oldest_executions_are_removed(client: redis.Redis) -> None:
    client.execute_command("RG.CONFIGSET", "MaxExecutions", 3, "MaxExecutionsPerRegistration", 2)
    ids = []
    for _ in range(5):
        ids.append(execute(client, "GB('ShardsIDReader').run()", "UNBLOCKING"))
        # one that ends when it was pushed out already comes back, in place of another
        client.execute_command("RG.GETRESULTSBLOCKING", ids[-1])
    assert [fields(one)["executionId"] for one in client.execute_command("RG.DUMPEXECUTIONS")] == ids[-3:]
    execute(client, "GB('StreamReader').register('s')")
    for _ in range(5):
        client.xadd("s", {"x": 1})
    wait_for(lambda: only_registration(client)["data"]["numSuccess"] == 6, what="the runs")
    assert len(client.execute_command("RG.DUMPEXECUTIONS")) == 3 + 2


def test_an_execution_that_was_removed_before_it_ended_leaves_nothing_behind(client: redis.Redis) -> None:
    client.execute_command("RG.CONFIGSET", "MaxExecutions", 1)
    wait = "import time\ndef wait(r):\n    execute('SET', 'begun', 1)\n    execute('BLPOP', 'removed: go', 0)\n"
    slow = execute(client, wait + "GB('ShardsIDReader').foreach(wait).run()", "UNBLOCKING")
    wait_for(lambda: client.exists("begun"), what="the run")
    fast = execute(client, "GB('ShardsIDReader').run()", "UNBLOCKING")
    assert client.execute_command("RG.GETRESULTSBLOCKING", fast) == [[b"1"], []]
    client.rpush("removed: go", 1)
    assert client.execute_command("RG.GETRESULTSBLOCKING", slow) == [[b"1"], []]
    assert [fields(one)["executionId"] for one in client.execute_command("RG.DUMPEXECUTIONS")] == [slow]
    assert state_client(client).keys(key_names.execution(client, "*")) == [
        key_names.execution(client, slow.decode()).encode()
    ]
