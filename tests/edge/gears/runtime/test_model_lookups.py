"""A gear's models are those that their keys hold, although they are looked at when the batch is read."""

from __future__ import annotations

import json

import pytest
import redis

from rededge_nb.edge.ai.execution.sessions import SESSION_FIELDS
from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.gears.runtime import model_lookups
from rededge_nb.edge.gears.runtime.model_lookups import LookedUp
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
    """A gear that adds, and whose runner has learned that it asks for a model."""
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


def answered(known: LookedUp) -> None:
    """Have the only question answered."""
    assert known.questions() == [hashes.question(b"m", SESSION_FIELDS)]
    known.answered([[b"model"]])


@pytest.fixture
def known() -> LookedUp:
    """One that asks for a key."""
    known = LookedUp()
    assert known.questions() == []
    assert known.take(b"m") is None
    return known


def test_an_answer_is_good_for_one_runner_soon_after(known: LookedUp, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(known)
    assert known.take(b"m") == {b"m": [b"model"]}
    assert known.take(b"m") is None, "it was taken"
    answered(known)
    monkeypatch.setattr(model_lookups, "LONGEST", -1.0)
    assert known.take(b"m") is None, "it is too old"


def test_an_answer_outlasts_what_leaves_models_alone_and_nothing_else(known: LookedUp) -> None:
    answered(known)
    known.sent([("XRANGE", "s", "-", "+"), ("get", "x"), ("XADD", "s", "*", "a", "b")])
    assert known.take(b"m") == {b"m": [b"model"]}
    answered(known)
    known.sent([("GET", "x"), ("DEL", "m")])
    assert known.take(b"m") is None


def test_a_write_spoils_the_answer_that_is_under_way(known: LookedUp) -> None:
    known.questions()
    known.sent([("DEL", "m")])
    known.answered([[b"model"]])
    assert known.take(b"m") is None
    answered(known)
    assert known.take(b"m") == {b"m": [b"model"]}, "the next one is good again"


def test_an_answer_lasts_while_the_next_question_is_under_way(known: LookedUp) -> None:
    answered(known)
    known.questions()
    assert known.take(b"m") == {b"m": [b"model"]}
    known.take(b"n")
    known.answered([[b"replaced"]])
    assert known.take(b"m") == {b"m": [b"replaced"]}


def test_the_keys_used_last_are_asked_about() -> None:
    known = LookedUp()
    for number in range(10):
        known.take(b"m%d" % number)
    known.take(b"m9")
    assert [words[1] for words in known.questions()] == [b"m6", b"m7", b"m8", b"m9"]
