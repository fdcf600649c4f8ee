"""AI.TENSORSET and AI.TENSORGET inside MULTI: the same replies and keys as outside."""

from __future__ import annotations

import struct
from typing import Any

import pytest
import redis

SETS: list[tuple[Any, ...]] = [
    ("FLOAT", 2, 2, "VALUES", "1", "-2.5", "1e3", "0.1"),
    ("float", 2, "BLOB", struct.pack("<2f", 1.5, -2)),
    ("FLOAT", 3),
    ("DOUBLE", 2, "VALUES", "0.1", "inf"),
    ("DOUBLE", "VALUES", "5"),
    ("INT8", 2, "VALUES", 1, 127),
    ("INT8", 1, "VALUES", 128),
    ("INT16", 1, "VALUES", -1),
    ("INT32", 1, "VALUES", 2147483647),
    ("INT64", 2, "VALUES", 9007199254740992, 0),
    ("INT64", 1, "BLOB", struct.pack("<q", -5)),
    ("UINT8", 2, "BLOB", b"\xff\x00"),
    ("UINT16", 1, "VALUES", 65535),
    ("BOOL", 2, "VALUES", 0, 1),
    ("BOOL", 2, "BLOB", b"\x00\x02"),
    ("BOOL", 1, "VALUES", 2),
    ("STRING", 2, "VALUES", "one", "two\0"),
    ("STRING", 2, "BLOB", b"one\0two\0"),
    ("STRING", 2, "BLOB", b"one\0two"),
    ("STRING", 1, "VALUES", "a\0b"),
    ("STRING", 2),
    ("HALF", 1),
    ("FLOAT", 0),
    ("FLOAT", -1),
    ("FLOAT", "x"),
    ("FLOAT", 2, "VALUES", 1),
    ("FLOAT", 2, "VALUES", 1, "x"),
    ("FLOAT", 2, "VALUES", 1, "0x10"),
    ("FLOAT", 2, "VALUES", 1, "nan"),
    ("FLOAT", 2, "BLOB", b"123"),
    ("FLOAT", 2, "BLOB"),
    ("FLOAT", 2, "BLOB", b"12345678", b"more"),
    ("FLOAT", 1 << 40),
    ("FLOAT", *[1] * 33),
    ("FLOAT",),
]
GETS: list[tuple[str, ...]] = [
    (), ("META",), ("meta", "BLOB"), ("META", "VALUES"), ("BLOB",), ("VALUES",), ("WHAT",), ("BLOB", "VALUES"),
    ("META", "BLOB", "VALUES"),
]  # fmt: skip


def outside(client: redis.Redis, *words: Any) -> object:
    try:
        return client.execute_command(*words)
    except redis.ResponseError as error:
        return str(error)


def inside(client: redis.Redis, *words: Any) -> object:
    with client.pipeline(transaction=True) as pipeline:
        pipeline.execute_command(*words)
        [reply] = pipeline.execute(raise_on_error=False)
    # redis-py removes the word ERR from errors, but not from those in the reply to EXEC
    return str(reply).removeprefix("ERR ") if isinstance(reply, Exception) else reply


@pytest.mark.parametrize("words", SETS, ids=str)
def test_the_same_tensor_or_error(client: redis.Redis, words: tuple[Any, ...]) -> None:
    assert inside(client, "AI.TENSORSET", "in", *words) == outside(client, "AI.TENSORSET", "out", *words)
    assert client.hgetall("in") == client.hgetall("out")
    for asked in GETS:
        assert inside(client, "AI.TENSORGET", "in", *asked) == outside(client, "AI.TENSORGET", "out", *asked)


@pytest.mark.parametrize(
    "words", [("AI.TENSORSET", "k", "FLOAT", 1), ("AI.TENSORGET", "k"), ("AI.TENSORGET", "k", "WHAT")]
)
def test_keys_of_another_type(client: redis.Redis, words: tuple[Any, ...]) -> None:
    for prepare in (lambda: client.set("k", "v"), lambda: client.hset("k", "f", "v"), lambda: None):
        client.delete("k")
        prepare()
        if words[0] == "AI.TENSORGET" or client.exists("k"):
            assert inside(client, *words) == outside(client, *words)


def test_a_default_pipeline_of_the_client_works(client: redis.Redis) -> None:
    pipeline = client.pipeline()
    pipeline.execute_command("AI.TENSORSET", "t", "FLOAT", 2, "VALUES", 1, 2)
    pipeline.set("other", "v")
    pipeline.execute_command("AI.TENSORGET", "t", "VALUES")
    assert pipeline.execute() == [b"OK", True, [b"1", b"2"]]


def test_scripts_are_refused(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="Cannot run RedisAI command within a transaction or a LUA script"):
        client.eval("return redis.call('AI.TENSORGET', 't')", 0)
