"""RG.ABORTEXECUTION, and executions that have not ended."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute, fields, only_registration
from tests.waiting import wait_for

LOOP = "def loop(r):\n    execute('INCR', 'begun')\n    while True:\n        pass\n"


def executions(client: redis.Redis) -> dict[bytes, bytes]:
    found = [fields(one) for one in client.execute_command("RG.DUMPEXECUTIONS")]
    return {one["executionId"]: one["status"] for one in found}


def plan(client: redis.Redis, execution: bytes) -> dict[str, object]:
    ((_, _, _, flat),) = client.execute_command("RG.GETEXECUTION", execution)
    return fields(flat)


def still_answers(client: redis.Redis) -> None:
    client.execute_command("AI.TENSORSET", "t", "FLOAT", 1, "VALUES", 3)
    assert client.execute_command("AI.TENSORGET", "t", "VALUES") == [b"3"]


@pytest.mark.parametrize(
    "body",
    [
        "while True:\n    pass",
        "import time\nwhile True:\n    time.sleep(0.01)",
        "caught = 0\nwhile caught < 3:\n    try:\n        while True:\n            pass\n    except Exception:\n"
        "        caught += 1",
        "while True:\n    execute('PING')",
    ],
)
def test_an_endless_script_can_be_aborted_while_other_calls_are_answered(client: redis.Redis, body: str) -> None:
    waiting = client.client()
    waiting.connection.send_command("RG.PYEXECUTE", "execute('SET', 'begun', 1)\n" + body)
    wait_for(lambda: client.exists("begun"), what="the script")
    ((execution, status),) = executions(client).items()
    assert status == b"running"
    still_answers(client)
    assert client.execute_command("RG.ABORTEXECUTION", execution) == b"OK"
    if "caught" not in body:
        with pytest.raises(redis.ResponseError, match=r"gears\.forcestopped"):
            waiting.connection.read_response()
    else:
        assert waiting.connection.read_response() == b"OK"
    waiting.close()
    assert executions(client) == {}
    assert execute(client, "GB('ShardsIDReader').run()") == [[b"1"], []], "what comes after is not hit"


def test_a_running_execution_ends_with_an_error(client: redis.Redis) -> None:
    execution = execute(client, LOOP + "GB('ShardsIDReader').foreach(loop).run()", "UNBLOCKING")
    wait_for(lambda: client.exists("begun"), what="the run")
    assert executions(client) == {execution: b"running"}
    with pytest.raises(redis.ResponseError, match="abort it first"):
        client.execute_command("RG.DROPEXECUTION", execution)
    still_answers(client)
    assert client.execute_command("RG.ABORTEXECUTION", execution) == b"OK"
    found = plan(client, execution)
    assert found["status"] == b"done"
    assert len(found["errors"]) == 1
    assert b"gears.forcestopped" in found["errors"][0]
    assert client.execute_command("RG.ABORTEXECUTION", execution) == b"OK", "also when it has ended"


def test_an_execution_that_has_not_begun_is_aborted(client: redis.Redis) -> None:
    script = LOOP + "GB('ShardsIDReader').foreach(loop).run()"
    running = [execute(client, script, "UNBLOCKING") for _ in range(3)]
    wait_for(lambda: client.get("begun") == b"3", what="as many executions as may run at once")
    created = execute(client, script, "UNBLOCKING")
    assert executions(client)[created] == b"created"
    assert client.execute_command("RG.ABORTEXECUTION", created) == b"OK"
    assert plan(client, created)["status"] == b"aborted"
    for execution in running:
        client.execute_command("RG.ABORTEXECUTION", execution)
    assert client.get("begun") == b"3"


@pytest.mark.parametrize("step", ["kept.append(gearsFuture()) or kept[0]", "forever()"])
def test_an_execution_that_waits_for_a_future_is_aborted(client: redis.Redis, step: str) -> None:
    script = f"""
kept = []
async def forever():
    await createFuture()
GB('ShardsIDReader').map(lambda r: {step}).run()
"""
    execution = execute(client, script, "UNBLOCKING")
    busy = LOOP.replace("while True:\n        pass", "while not execute('EXISTS', 'go'):\n        time.sleep(0.01)")
    script = f"import time\n{busy}GB('ShardsIDReader').foreach(loop).run()"
    others = [execute(client, script, "UNBLOCKING") for _ in range(3)]
    wait_for(
        lambda: client.get("begun") == b"3", what="three others, of which one needs the slot of the one that waits"
    )
    assert client.execute_command("RG.ABORTEXECUTION", execution) == b"OK"
    assert plan(client, execution)["status"] == b"aborted"
    client.set("go", 1)
    for other in others:
        assert client.execute_command("RG.GETRESULTSBLOCKING", other)[1] == []


def test_an_abort_while_a_coroutine_is_handed_over_counts_as_one_while_it_waits(client: redis.Redis) -> None:
    script = """
async def forever():
    execute('INCR', 'begun')
    await createFuture()
GB('ShardsIDReader').map(lambda r: forever()).run()
"""
    for _ in range(20):
        execution = execute(client, script, "UNBLOCKING")
        # the thread that has handed the coroutine over may not yet wait for it
        wait_for(lambda: client.getdel("begun"), what="the coroutine")
        assert client.execute_command("RG.ABORTEXECUTION", execution) == b"OK"
        assert plan(client, execution)["status"] == b"aborted"


def test_a_coroutine_that_never_awaits_is_interrupted(client: redis.Redis) -> None:
    script = "async def loop(r):\n    execute('SET', 'begun', 1)\n    while True:\n        pass\n"
    execution = execute(client, script + "GB('ShardsIDReader').map(loop).run()", "UNBLOCKING")
    wait_for(lambda: client.exists("begun"), what="the run")
    assert client.execute_command("RG.ABORTEXECUTION", execution) == b"OK"
    after = "async def f(r):\n    return 'the loop turns'\nGB('ShardsIDReader').map(f).run()"
    assert execute(client, after) == [[b"the loop turns"], []]


def test_an_execution_of_a_registration_can_be_aborted(client: redis.Redis) -> None:
    script = LOOP.replace("while True", "while not execute('EXISTS', 'go')")
    execute(client, script + "GB('StreamReader').foreach(loop).register('s')")
    client.xadd("s", {"x": 1})
    wait_for(lambda: client.exists("begun"), what="the run")
    (execution,) = [one for one, status in executions(client).items() if status == b"running"]
    assert only_registration(client)["data"]["numTriggered"] == 2, "what is in flight counts"
    assert client.execute_command("RG.ABORTEXECUTION", execution) == b"OK"
    wait_for(lambda: only_registration(client)["data"]["numFailures"] == 1, what="the failure")
    assert b"forcestopped" in only_registration(client)["data"]["lastError"]
    client.set("go", 1)
    client.xadd("s", {"x": 2})
    wait_for(lambda: only_registration(client)["data"]["numSuccess"] == 2, what="the next entry")
