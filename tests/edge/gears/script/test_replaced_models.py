"""A gear runs the model that a key holds at that moment."""

from __future__ import annotations

import json

import pytest
import redis

from tests.edge.ai import onnx_files
from tests.gear_scripts import execute
from tests.waiting import wait_for

GEAR = """
import json
import redisAI as ai

def answer(record):
    for words in json.loads(record['value']['first']):
        execute(*words)
    try:
        runner = ai.createModelRunner('m')
        for name in ('a', 'b'):
            ai.modelRunnerAddInput(runner, name, ai.getTensorFromKey('t'))
        ai.modelRunnerAddOutput(runner, 'c')
        result = ai.tensorToFlatList(ai.modelRunnerRun(runner)[0])
    except Exception as error:
        result = str(error)
    execute('RPUSH', 'out', json.dumps(result))

GB('StreamReader').foreach(answer).register('s')
"""
ADDED, MULTIPLIED = [2.0, 4.0], [1.0, 4.0]
GONE = "given key do not contain RedisAI model"


def put(client: redis.Redis, operation: str, key: str = "m") -> None:
    client.execute_command("AI.MODELSTORE", key, "ONNX", "CPU", "BLOB", onnx_files.binary(operation))


@pytest.fixture
def answering(client: redis.Redis) -> redis.Redis:
    """A gear whose model adds."""
    put(client, "Add")
    client.execute_command("AI.TENSORSET", "t", "FLOAT", 1, 2, "VALUES", 1, 2)
    execute(client, GEAR)
    assert [result(client) for _ in range(3)] == [ADDED] * 3
    return client


def result(client: redis.Redis, *first: list[str]) -> object:
    """The result of the gear for an entry that makes it send these commands first."""
    client.xadd("s", {"first": json.dumps(first)})
    answer = wait_for(lambda: client.lpop("out"), what="the gear's answer")
    return json.loads(answer)  # type: ignore[arg-type]


def test_the_next_entry_uses_a_model_that_was_replaced_or_deleted(answering: redis.Redis) -> None:
    put(answering, "Mul")
    assert result(answering) == MULTIPLIED
    answering.delete("m")
    assert result(answering) == GONE
    answering.set("m", "text")
    assert result(answering) == GONE
    answering.delete("m")
    put(answering, "Add")
    assert result(answering) == ADDED


def test_a_model_that_the_gear_itself_replaces_is_used(answering: redis.Redis) -> None:
    put(answering, "Mul", "other")
    assert result(answering, ["XLEN", "s"], ["COPY", "other", "m", "REPLACE"], ["XLEN", "s"]) == MULTIPLIED
    assert result(answering, ["DEL", "m"]) == GONE
    assert result(answering, ["RENAME", "other", "m"]) == MULTIPLIED
