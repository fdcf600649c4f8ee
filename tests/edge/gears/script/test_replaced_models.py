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
        told = ai.tensorToFlatList(ai.modelRunnerRun(runner)[0])
    except Exception as error:
        told = str(error)
    execute('RPUSH', 'out', json.dumps(told))

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
    assert [told(client) for _ in range(3)] == [ADDED] * 3
    return client


def told(client: redis.Redis, *first: list[str]) -> object:
    """What the gear says to an entry, after it has sent these commands."""
    client.xadd("s", {"first": json.dumps(first)})
    answer = wait_for(lambda: client.lpop("out"), what="the gear's answer")
    return json.loads(answer)  # type: ignore[arg-type]


def test_a_model_that_was_replaced_or_deleted_is_so_for_the_next_entry(answering: redis.Redis) -> None:
    put(answering, "Mul")
    assert told(answering) == MULTIPLIED
    answering.delete("m")
    assert told(answering) == GONE
    answering.set("m", "text")
    assert told(answering) == GONE
    answering.delete("m")
    put(answering, "Add")
    assert told(answering) == ADDED


def test_what_the_gear_itself_has_changed_counts(answering: redis.Redis) -> None:
    put(answering, "Mul", "other")
    assert told(answering, ["XLEN", "s"], ["COPY", "other", "m", "REPLACE"], ["XLEN", "s"]) == MULTIPLIED
    assert told(answering, ["DEL", "m"]) == GONE
    assert told(answering, ["RENAME", "other", "m"]) == MULTIPLIED
