"""GearsBuilder checks its arguments and collects steps."""

from __future__ import annotations

import pytest
import redis

from tests.gear_scripts import execute
from tests.waiting import wait_for


@pytest.mark.parametrize("operation", ["map", "filter", "flatmap", "foreach", "accumulate", "repartition"])
def test_operations_of_one_function_check_it(client: redis.Redis, operation: str) -> None:
    for argument, error in (("1", "argument must be a function"), ("", "wrong number of args to")):
        with pytest.raises(redis.ResponseError, match=error) as caught:
            execute(client, f"GB('PythonReader').{operation}({argument})")
        assert operation in str(caught.value)


@pytest.mark.parametrize("operation", ["groupby", "localgroupby", "batchgroupby"])
def test_groupings_check_both_functions(client: redis.Redis, operation: str) -> None:
    for arguments, error in (
        ("1, str", f"{operation} extractor argument must be a function"),
        ("str, 1", f"{operation} reducer argument must be a function"),
        ("str", f"wrong number of args to {operation} function"),
    ):
        with pytest.raises(redis.ResponseError, match=error):
            execute(client, f"GB('PythonReader').{operation}({arguments})")


def test_limit_checks_its_numbers(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="limit argument must be a number"):
        execute(client, "GB().limit('x')")
    with pytest.raises(redis.ResponseError, match="wrong number of args to limit function"):
        execute(client, "GB().limit()")


def test_a_builder_that_registers_twice_adds_its_last_steps_twice(client: redis.Redis) -> None:
    execute(
        client, "b = GB('StreamReader').filter(lambda r: True)\nb.register('one')\nb.register('two', collect=False)"
    )
    for stream in ("one", "two"):
        client.xadd(stream, {"n": 1})

    def steps() -> set[tuple[bytes, ...]]:
        """The kinds of steps in all executions."""
        found = [entry[1] for entry in client.execute_command("RG.DUMPEXECUTIONS") if entry[3] == b"done"]
        plans = [client.execute_command("RG.GETEXECUTION", execution)[0][3] for execution in found]
        return {tuple(step[1] for step in reversed(plan[15])) for plan in plans}

    once, twice = (b"filter", b"map", b"collect"), (b"filter", b"map", b"collect", b"map")
    wait_for(lambda: len(steps()) == 2, what="an execution of each registration")
    assert steps() == {once, twice}


@pytest.mark.parametrize("step", ["collect(1, 2, 3)", "count(1)", "distinct(1)"])
def test_steps_without_arguments_refuse_them(client: redis.Redis, step: str) -> None:
    with pytest.raises(redis.ResponseError, match=f"wrong number of args to {step.partition('(')[0]} function"):
        execute(client, f"GB('ShardsIDReader').{step}.run()")


def test_a_negative_limit_is_refused(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="limit argument must be a number"):
        execute(client, "GB('ShardsIDReader').limit(-1).run()")
