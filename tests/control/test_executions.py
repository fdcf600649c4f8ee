"""Executions as dataclasses, against a real server."""

from __future__ import annotations

import pytest
import redis

from rededge_nb.control import executions
from rededge_nb.errors import GearError
from tests.waiting import wait_for

SHARDS = "GB('ShardsIDReader').map(lambda shard: 'shard ' + shard).run()"
FAILING = "GB('ShardsIDReader').map(lambda shard: 1 / 0).run()"
ENDLESS = "def loop(shard):\n    while True:\n        pass\nGB('ShardsIDReader').foreach(loop).run()"
REGISTERED = "GB('StreamReader').foreach(lambda record: None).register('numbers')"


def test_a_script_is_started_and_its_results_are_read(client: redis.Redis) -> None:
    execution = executions.start_script(client, SHARDS)
    results = executions.read_results(client, execution)
    assert (results.values, results.errors) == (("shard 1",), ())
    details = executions.read_execution(client, execution)
    assert (details.id, details.status, details.ended, details.result_count) == (execution, "done", True, 1)
    assert [step.kind for step in details.steps] == ["map", "map", "collect"]
    assert [(each.id, each.status, each.registered) for each in executions.list_executions(client)] == [
        (execution, "done", False)
    ]


def test_errors_are_readable_tracebacks(client: redis.Redis) -> None:
    execution = executions.start_script(client, FAILING)
    for errors in (
        executions.read_results(client, execution).errors,
        executions.read_execution(client, execution).errors,
    ):
        [error] = errors
        assert error.startswith("Traceback")
        assert error.endswith("ZeroDivisionError: division by zero")


def test_an_execution_is_aborted_and_forgotten(client: redis.Redis) -> None:
    execution = executions.start_script(client, ENDLESS)
    assert not executions.read_execution(client, execution).ended
    with pytest.raises(GearError, match="not yet finished"):
        executions.drop_execution(client, execution)
    executions.abort_execution(client, execution)
    assert executions.read_execution(client, execution).ended
    executions.drop_execution(client, execution)
    assert executions.list_executions(client) == []


def test_executions_of_registrations_are_marked(client: redis.Redis) -> None:
    client.execute_command("RG.PYEXECUTE", REGISTERED)
    client.xadd("numbers", {"n": 1})
    found = wait_for(lambda: executions.list_executions(client), what="an execution")
    assert all(each.registered for each in found)


def test_an_unknown_execution_is_named_in_the_error(client: redis.Redis) -> None:
    for act in (
        executions.read_execution,
        executions.read_results,
        executions.abort_execution,
        executions.drop_execution,
    ):
        with pytest.raises(GearError, match=r"RG\.[A-Z]+ 0000-7: .*does not exist"):
            act(client, "0000-7")


@pytest.mark.parametrize("script", ["x = 1", REGISTERED])
def test_a_script_without_run_is_refused(client: redis.Redis, script: str) -> None:
    with pytest.raises(GearError, match="started no execution"):
        executions.start_script(client, script)


def test_bytes_that_are_not_text_stay_bytes(client: redis.Redis) -> None:
    script = "GB('ShardsIDReader').map(lambda shard: b'\\xff\\xfe').run(convertToStr=False)"
    assert executions.read_results(client, executions.start_script(client, script)).values == (b"\xff\xfe",)
