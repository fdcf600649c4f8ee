from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import redis

from rededge_nb.edge.ai.storage import hashes, writing
from rededge_nb.edge.ai.tensors import DTYPES, Tensor
from rededge_nb.edge.switchboard.calls import OK, CommandError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
MISSING = "ERR tensor key is empty or in a different shard"


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "STRING"])
def test_a_tensor_can_be_read_in_every_format(call: Callable[..., object], dtype: str) -> None:
    blob = np.array([0, 1, 1, 0], DTYPES[dtype]).tobytes()
    values = [b"0", b"1", b"1", b"0"] if dtype in ("FLOAT", "DOUBLE") else [0, 1, 1, 0]
    assert call("AI.TENSORSET", "k", dtype.lower(), 2, 2, "BLOB", blob) is OK
    meta = ["dtype", dtype, "shape", [2, 2]]
    assert call("AI.TENSORGET", "k", "META") == meta
    assert call("AI.TENSORGET", "k") == [*meta, "blob", blob]
    assert call("AI.TENSORGET", "k", "META", "blob") == [*meta, "blob", blob]
    assert call("AI.TENSORGET", "k", "values", "meta") == [*meta, "values", values]
    assert call("AI.TENSORGET", "k", "BLOB") == blob
    assert call("AI.TENSORGET", "k", "VALUES") == values
    assert call("AI.TENSORSET", "v", dtype, 4, "VALUES", 0, 1, 1, 0) is OK
    assert call("AI.TENSORGET", "v", "BLOB") == blob


def test_strings(call: Callable[..., object]) -> None:
    call("AI.TENSORSET", "k", "STRING", 2, "VALUES", "one", b"two\0")
    assert call("AI.TENSORGET", "k", "BLOB") == b"one\0two\0"
    call("AI.TENSORSET", "k", "STRING", 2, 1, "BLOB", b"\0x\0")
    assert call("AI.TENSORGET", "k", "META", "VALUES") == ["dtype", "STRING", "shape", [2, 1], "values", [b"", b"x"]]


def test_no_data_means_zeros_and_no_dims_a_scalar(call: Callable[..., object]) -> None:
    call("AI.TENSORSET", "z", "INT16", 2, 3)
    assert call("AI.TENSORGET", "z", "BLOB") == bytes(12)
    call("AI.TENSORSET", "z", "STRING", 2)
    assert call("AI.TENSORGET", "z", "VALUES") == [b"", b""]
    call("AI.TENSORSET", "s", "FLOAT", "VALUES", 5)
    assert call("AI.TENSORGET", "s", "META", "VALUES") == ["dtype", "FLOAT", "shape", [], "values", [b"5"]]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("k", "FLOAT"), "ERR wrong number of arguments for 'ai.TensorSet' command"),
        (("k", "UINT32", 1), "ERR invalid data type"),
        (("k", "PNG", -1), "ERR invalid data type"),
        (("k", "FLOAT", 0), "ERR invalid or negative value found in tensor shape"),
        (("k", "FLOAT", -2, -2), "ERR invalid or negative value found in tensor shape"),
        (("k", "FLOAT", 2, "two", "VALUES"), "ERR invalid or negative value found in tensor shape"),
        (("k", "FLOAT", 2, "VALUES", 1), "ERR wrong number of values was given in 'AI.TENSORSET' command"),
        (("k", "FLOAT", 1, "VALUES"), "ERR wrong number of values was given in 'AI.TENSORSET' command"),
        (
            ("k", "FLOAT", 1, "BLOB"),
            "ERR a single binary string should come after the BLOB argument in 'AI.TENSORSET' command",
        ),
        (
            ("k", "INT8", 1, "BLOB", "a", "b"),
            "ERR a single binary string should come after the BLOB argument in 'AI.TENSORSET' command",
        ),
        (("k", "FLOAT", 1, "BLOB", "abc"), "ERR data length does not match tensor shape and type"),
        (("k", "INT8", 10**6, 10**6, "BLOB", "abc"), "ERR data length does not match tensor shape and type"),
        (("k", "FLOAT", 2, "VALUES", 2, "A"), "ERR invalid value"),
        (("k", "INT32", 1, "VALUES", "1.87"), "ERR invalid value"),
        (("k", "UINT8", 1, "VALUES", 256), "ERR invalid value"),
        (("k", "INT64", 1, "VALUES", 2**63), "ERR invalid value"),
        (("k", "BOOL", 1, "VALUES", 2), "ERR invalid value"),
        (("k", "INT8", 2, "VALUES", -1, -128), "ERR invalid value"),
        (("k", "BOOL", 2, "BLOB", b"\1\2"), "ERR BOOL tensor elements must be 0 or 1"),
        (("k", "STRING", 1, "VALUES", b"a\0b"), "ERR C-string value contains null character"),
        (
            ("k", "STRING", 2, "BLOB", b"a\0b"),
            "ERR Number of string elements in data blob does not match tensor length",
        ),
        (("k", "STRING", 2, "BLOB", b"a\0"), "ERR Number of string elements in data blob does not match tensor length"),
    ],
)
def test_errors_of_tensorset(
    error_of: Callable[..., str], client: redis.Redis, words: tuple[str | bytes | int, ...], error: str
) -> None:
    assert error_of("ai.TensorSet", *words) == error
    assert not client.exists("k")
    client.set("k", "text")
    if len(words) > 2:
        assert error_of("AI.TENSORSET", *words) == WRONG_TYPE


def test_errors_of_tensorget(call: Callable[..., object], error_of: Callable[..., str], client: redis.Redis) -> None:
    assert error_of("AI.TENSORGET") == "ERR wrong number of arguments for 'AI.TENSORGET' command"
    assert error_of("AI.TENSORGET", "k", 1, 2, 3) == "ERR wrong number of arguments for 'AI.TENSORGET' command"
    assert error_of("AI.TENSORGET", "k", "PICTURE") == MISSING
    client.set("k", "text")
    assert error_of("AI.TENSORGET", "k", "PICTURE") == WRONG_TYPE
    call("AI.TENSORSET", "t", "FLOAT", 1)
    assert error_of("AI.TENSORGET", "t", "PICTURE") == "ERR unsupported data format"
    assert error_of("AI.TENSORGET", "t", "BLOB", "VALUES") == "ERR both BLOB and VALUES specified"


@pytest.mark.parametrize(
    "fields",
    [
        {"dtype": "FLOAT", "shape": "[1]", "blob": "abcd"},
        {"ai": "tensor", "dtype": "FLOAT"},
        {"ai": "tensor", "dtype": "FLOAT", "shape": "1", "blob": "abcd"},
        {"ai": "tensor", "dtype": "FLOAT", "shape": "{[", "blob": "abcd"},
        {"ai": "model", "blob": "abcd"},
    ],
)
def test_a_hash_that_another_client_wrote_has_the_wrong_type(
    error_of: Callable[..., str], client: redis.Redis, fields: dict[str, str]
) -> None:
    client.hset("k", mapping=fields)
    assert error_of("AI.TENSORGET", "k") == WRONG_TYPE


def test_a_tensor_is_replaced_with_its_time_to_live(call: Callable[..., object], client: redis.Redis) -> None:
    call("AI.TENSORSET", "k", "FLOAT", 1)
    client.expire("k", 1000)
    call("AI.TENSORSET", "k", "INT8", 2)
    assert client.ttl("k") == -1
    assert client.hget("k", "dtype") == b"INT8"


def test_tensors_are_in_the_callers_database(
    call: Callable[..., object], error_of: Callable[..., str], client_of: Callable[[int], redis.Redis]
) -> None:
    call("AI.TENSORSET", "k", "FLOAT", 1, db=3)
    assert error_of("AI.TENSORGET", "k") == MISSING
    assert client_of(3).hget("k", "ai") == b"tensor"


@pytest.mark.parametrize("dtype", ["FLOAT", "STRING", "BOOL"])
@pytest.mark.parametrize("dims", [(10**12,), (10**6, 10**6), (2**62, 2**62), (1,) * 40])
@pytest.mark.parametrize("data", [(), ("VALUES", 1), ("BLOB", b"\0\0\0\0\0")])
def test_shapes_of_impossible_size_allocate_no_memory(
    error_of: Callable[..., str], dtype: str, dims: tuple[int, ...], data: tuple[str | bytes | int, ...]
) -> None:
    tracemalloc.start()
    try:
        error_of("AI.TENSORSET", "k", dtype, *dims, *data)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_set_tensors_writes_all_or_none(client: redis.Redis) -> None:
    client.set("text", "x")
    tensor = Tensor.from_values("INT8", (1,), [1])
    with pytest.raises(CommandError, match="WRONGTYPE"):
        writing.set_tensors(client, [("a", tensor), ("text", tensor)])
    assert not client.exists("a")
    writing.set_tensor(client, b"a", tensor)
    assert hashes.get_tensor(client, "a").to_values() == [1]


def test_a_full_redis_is_an_error_and_keeps_the_old_value(
    call: Callable[..., object], error_of: Callable[..., str], client: redis.Redis
) -> None:
    call("AI.TENSORSET", "k", "INT8", 3)
    client.config_set("maxmemory", 1)
    try:
        error = error_of("AI.TENSORSET", "k", "INT8", 4)
    finally:
        client.config_set("maxmemory", 0)
    assert error == "OOM command not allowed when used memory > 'maxmemory'."
    assert call("AI.TENSORGET", "k", "META") == ["dtype", "INT8", "shape", [3]]
