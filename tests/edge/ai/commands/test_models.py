from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import redis

from rededge_nb.edge.switchboard.calls import OK
from tests.edge.ai import onnx_files
from tests.paths import PEOPLE_MODEL

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
ADD = onnx_files.binary("Add")

Words = tuple[str | bytes | int, ...]


def test_a_model_is_stored_read_and_deleted(
    call: Callable[..., object], error_of: Callable[..., str], client: redis.Redis
) -> None:
    words: Words = ("TAG", "v1", "BATCHSIZE", 4, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 10)
    assert call("AI.MODELSTORE", "m", "onnx", "cpu:1", *words, "BLOB", ADD[:20], ADD[20:]) is OK
    meta = [
        *("backend", "ONNX", "device", "cpu:1", "tag", b"v1", "batchsize", 4, "minbatchsize", 2),
        *("inputs", ["a", "b"], "outputs", ["c"], "minbatchtimeout", 10),
    ]
    assert call("AI.MODELGET", "m", "meta") == meta
    assert call("AI.MODELGET", "m", "META", "BLOB") == [*meta, "blob", ADD]
    assert call("AI.MODELGET", "m") == [*meta, "blob", ADD]
    assert call("AI.MODELGET", "m", "BLOB", "whatever") == ADD
    assert call("AI.MODELDEL", "m") is OK
    assert not client.exists("m")
    assert error_of("AI.MODELGET", "m") == "ERR model key is empty"


def test_a_model_without_options(call: Callable[..., object]) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    assert call("AI.MODELGET", "m", "META") == [
        *("backend", "ONNX", "device", "CPU", "tag", b"", "batchsize", 0, "minbatchsize", 0),
        *("inputs", ["a", "b"], "outputs", ["c"], "minbatchtimeout", 0),
    ]


@pytest.mark.parametrize("size", [len(ADD), len(ADD) - 1])
def test_a_long_model_travels_in_chunks(call: Callable[..., object], size: int) -> None:
    call("AI.CONFIG", "MODEL_CHUNK_SIZE", size)
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    assert call("AI.MODELGET", "m", "BLOB") == [ADD[:size], ADD[size:]]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("ONNX", "CPU", "BLOB"), "ERR wrong number of arguments for 'ai.modelstore' command"),
        (("PORCH", "bad", "BLOB", ADD), "ERR unsupported backend"),
        (("ONNX", "bad", "BLOB", ADD), "ERR Invalid DEVICE"),
        (("ONNX", "CPU:", "BLOB", ADD), "ERR Invalid DEVICE"),
        (("ONNX", "CPU:1.8", "BLOB", ADD), "ERR Invalid DEVICE"),
        (("ONNX", "CPU:123456", "BLOB", ADD), "ERR Invalid DEVICE"),
        (("ONNX", "CPU", "BATCHSIZE", "two", "BLOB", ADD), "ERR Invalid argument for BATCHSIZE"),
        (("ONNX", "CPU", "BATCHSIZE", -1, "BLOB", ADD), "ERR Invalid argument for BATCHSIZE"),
        (("ONNX", "CPU", "MINBATCHSIZE", 2, "BLOB", ADD), "ERR MINBATCHSIZE specified without BATCHSIZE"),
        (("ONNX", "CPU", "BATCHSIZE", 2, "MINBATCHSIZE", "x", "BLOB", ADD), "ERR Invalid argument for MINBATCHSIZE"),
        (
            ("ONNX", "CPU", "BATCHSIZE", 2, "MINBATCHTIMEOUT", 9, "BLOB", ADD),
            "ERR MINBATCHTIMEOUT specified without MINBATCHSIZE",
        ),
        (
            ("ONNX", "CPU", "BATCHSIZE", 2, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", "x", "BLOB", ADD),
            "ERR Invalid argument for MINBATCHTIMEOUT",
        ),
        (("TF", "CPU", "BLOB", ADD), "ERR INPUTS not specified for TF"),
        (("TF", "CPU", "INPUTS", 1, "a", "BLOB", ADD), "ERR OUTPUTS not specified for TF"),
        (("TF", "CPU", "INPUTS", "a", "BLOB", ADD), "ERR Invalid argument for input_count"),
        (("TF", "CPU", "INPUTS", 1, "a", "OUTPUTS", 0, ADD), "ERR Invalid argument for output_count"),
        (
            ("TF", "CPU", "INPUTS", 9, "a", ADD),
            "ERR number of model inputs does not match the number of given arguments",
        ),
        (
            ("TF", "CPU", "INPUTS", 1, "a", "OUTPUTS", 9, ADD),
            "ERR number of model outputs does not match the number of given arguments",
        ),
        (
            ("ONNX", "CPU", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c", "BLOB", ADD),
            "ERR INPUTS argument should not be specified for this backend",
        ),
        (("ONNX", "CPU", "TAG", "t"), "ERR Insufficient arguments, missing model BLOB"),
        (("ONNX", "CPU", "TAG", "t", "BLOB"), "ERR Insufficient arguments, missing model BLOB"),
        (("TF", "CPU", "INPUTS", 1, "a", "OUTPUTS", 1, "c"), "ERR Invalid argument, expected BLOB"),
        (("ONNX", "CPU", "BATCHSIZE", 2, "TAG", "t", "BLOB", ADD), "ERR Invalid argument, expected BLOB"),
        (("ONNX", "CPU", "BLOB", ""), "No graph was found in the protobuf."),
        (("ONNX", "CPU", "BLOB", ADD[:-9]), "Failed to load model because protobuf parsing failed."),
        (("ONNX", "CPU", "BLOB", "no protobuf"), "Failed to load model because protobuf parsing failed."),
        (("ONNX", "CPU", "BLOB", onnx_files.external()), "Initializer tensors with external data is not allowed."),
    ],
)
def test_errors_of_modelstore(error_of: Callable[..., str], client: redis.Redis, words: Words, error: str) -> None:
    client.set("text", "x")
    assert error_of("ai.modelstore", "m", *words) == error
    # the key's type is looked at last
    assert error_of("ai.modelstore", "text", *words) == error
    assert client.keys() == [b"text"]


def test_other_errors_of_stored_models(
    call: Callable[..., object], error_of: Callable[..., str], client: redis.Redis
) -> None:
    client.set("text", "x")
    call("AI.TENSORSET", "tensor", "FLOAT", 1)
    assert error_of("AI.MODELSTORE", "text", "ONNX", "CPU", "BLOB", ADD) == WRONG_TYPE
    for name in ("AI.MODELGET", "AI.MODELDEL"):
        assert error_of(name) == f"ERR wrong number of arguments for '{name}' command"
        assert error_of(name, "m") == "ERR model key is empty"
        assert error_of(name, "text") == WRONG_TYPE
        assert error_of(name, "tensor") == WRONG_TYPE
    assert error_of("AI.MODELGET", "m", 1, 2, 3) == "ERR wrong number of arguments for 'AI.MODELGET' command"
    assert error_of("AI.MODELDEL", "m", 1) == "ERR wrong number of arguments for 'AI.MODELDEL' command"
    assert error_of("AI._MODELSCAN", 1) == "ERR wrong number of arguments for 'AI._MODELSCAN' command"
    assert sorted(client.keys()) == [b"tensor", b"text"]


def test_a_model_runs(call: Callable[..., object]) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    call("AI.TENSORSET", "a", "FLOAT", 1, 2, "VALUES", 1, 2)
    call("AI.TENSORSET", "b", "FLOAT", 1, 2, "VALUES", 10, 20)
    execute: Words = ("m", "inputs", 2, "a", "b", "outputs", 1)
    assert call("AI.MODELEXECUTE", *execute, "c") is OK
    assert call("AI.TENSORGET", "c", "META", "VALUES") == [
        *("dtype", "FLOAT", "shape", [1, 2], "values", [b"11", b"22"])
    ]
    assert call("AI.MODELEXECUTE", *execute, "a", "TIMEOUT", 1000) is OK
    assert call("AI.TENSORGET", "a", "VALUES") == [b"11", b"22"]


@pytest.mark.parametrize(
    ("element_type", "dtype", "values"),
    [
        (onnx_files.STRING, "STRING", [b"one", "zwölf".encode()]),
        (onnx_files.BOOL, "BOOL", [1, 0]),
        (onnx_files.INT64, "INT64", [1, 2]),
        (onnx_files.DOUBLE, "DOUBLE", [b"1", b"0.5"]),
    ],
)
def test_models_have_inputs_and_outputs_of_other_dtypes(
    call: Callable[..., object], element_type: int, dtype: str, values: list[int | bytes]
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.identity(element_type))
    call("AI.TENSORSET", "a", dtype, len(values), "VALUES", *values)
    call("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "c")
    assert call("AI.TENSORGET", "c", "META", "VALUES") == [*("dtype", dtype, "shape", [len(values)], "values", values)]


def test_an_output_that_is_not_a_tensor_is_not_written(call: Callable[..., object], client: redis.Redis) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.with_sequence())
    call("AI.TENSORSET", "a", "FLOAT", 1, "VALUES", 7)
    call("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 2, "s", "c")
    assert not client.exists("s")
    assert call("AI.TENSORGET", "c", "VALUES") == [b"7"]


SIDE = "does not match the number of given arguments"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS"), "ERR wrong number of arguments for 'AI.MODELEXECUTE' command"),
        (("no", "OUTPUTS", 2, "a", "b", "OUTPUTS", 1), "ERR model key is empty"),
        (("a", "OUTPUTS", 2, "a", "b", "OUTPUTS", 1), WRONG_TYPE),
        (("m", "OUTPUTS", 2, "a", "b", "OUTPUTS", 1), "ERR INPUTS not specified"),
        (("m", "INPUTS", "two", "a", "b", "OUTPUTS", 1), "ERR Invalid argument for input_count"),
        (("m", "INPUTS", 0, "a", "b", "OUTPUTS", 1), "ERR Input count must be a positive integer"),
        (
            ("m", "INPUTS", 10**12, "a", "b", "OUTPUTS", 1),
            "Number of keys given as INPUTS here does not match model definition",
        ),
        (("m", "INPUTS", 2, "a", "b", "c", "d"), "ERR OUTPUTS not specified"),
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS", "c"), "ERR Invalid argument for output_count"),
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS", -1), "ERR Output count must be a positive integer"),
        (
            ("m", "INPUTS", 2, "a", "b", "OUTPUTS", 2, "c", "d"),
            "Number of keys given as OUTPUTS here does not match model definition",
        ),
        (
            ("m", "INPUTS", 2, "a", "b", "OUTPUTS", 1),
            f"ERR number of output keys to AI.MODELEXECUTE command {SIDE}",
        ),
        (
            ("six", "INPUTS", 6, "a", "b", "a", "b"),
            f"ERR number of input keys to AI.MODELEXECUTE command {SIDE}",
        ),
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c", "TIMEOUT"), "ERR No value provided for TIMEOUT"),
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c", "TIMEOUT", 0), "ERR Invalid value for TIMEOUT"),
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c", "TIMEOUT", "x"), "ERR Invalid value for TIMEOUT"),
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c", "more"), "Invalid argument: more"),
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c", "TIMEOUT", 1, "more"), "Invalid argument: more"),
        (("m", "INPUTS", 2, "no", "m", "OUTPUTS", 1, "c"), "ERR tensor key is empty or in a different shard"),
        (("m", "INPUTS", 2, "m", "no", "OUTPUTS", 1, "c"), WRONG_TYPE),
        (("m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "text"), WRONG_TYPE),
        (
            ("m", "INPUTS", 2, "a", "flat", "OUTPUTS", 1, "c"),
            "Invalid rank for input: b Got: 1 Expected: 2 Please fix either the inputs/outputs or the model.",
        ),
        (
            ("m", "INPUTS", 2, "double", "b", "OUTPUTS", 1, "c"),
            "Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))",
        ),
    ],
)
def test_errors_of_modelexecute(
    call: Callable[..., object], error_of: Callable[..., str], client: redis.Redis, words: Words, error: str
) -> None:
    names = list("abdefg")
    six = onnx_files.model(
        onnx_files.graph(
            [onnx_files.node("Sum", names, ["c"])],
            [onnx_files.value(name, onnx_files.FLOAT, ["n"]) for name in names],
            [onnx_files.value("c", onnx_files.FLOAT, ["n"])],
        )
    )
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    call("AI.MODELSTORE", "six", "ONNX", "CPU", "BLOB", six)
    call("AI.TENSORSET", "a", "FLOAT", 1, 2)
    call("AI.TENSORSET", "b", "FLOAT", 1, 2)
    call("AI.TENSORSET", "flat", "FLOAT", 2)
    call("AI.TENSORSET", "double", "DOUBLE", 1, 2)
    client.set("text", "x")
    assert error_of("AI.MODELEXECUTE", *words) == error
    assert not client.exists("c")
    assert client.get("text") == b"x"


def test_a_message_of_onnxruntime_is_passed_on_without_its_prefix(
    call: Callable[..., object], error_of: Callable[..., str]
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    call("AI.TENSORSET", "a", "FLOAT", 1, 3)
    error = error_of("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 1, "c")
    assert re.match(r"Got invalid dimensions for input: [ab] for the following indices", error)


def test_a_model_with_names_that_are_not_utf8_is_refused_without_a_log_message(
    error_of: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    broken = ADD.replace(b"\x01c", b"\x01\xdd")
    assert "can't decode byte 0xdd" in error_of("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", broken)
    assert capfd.readouterr() == ("", "")


def test_an_output_of_a_dtype_that_redisai_lacks_is_an_error(
    call: Callable[..., object], error_of: Callable[..., str]
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.cast(onnx_files.FLOAT, onnx_files.UINT32))
    call("AI.TENSORSET", "a", "FLOAT", 1)
    assert "uint32" in error_of("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "c")


@pytest.mark.parametrize("elements", [6 * 10**10, 250 * 10**9])
def test_a_model_that_asks_for_a_terabyte_gets_an_error(
    call: Callable[..., object], error_of: Callable[..., str], elements: int
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.huge(elements))
    call("AI.TENSORSET", "a", "FLOAT", 1, 1)
    error = error_of("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "c")
    assert "is smaller than requested bytes" in error


def test_scanning_finds_renamed_and_copied_models(call: Callable[..., object], client: redis.Redis) -> None:
    for key in ("kept", "deleted", "renamed", "replaced"):
        call("AI.MODELSTORE", key, "ONNX", "CPU", "TAG", f"tag of {key}", "BLOB", ADD)
    call("AI.MODELSTORE", "elsewhere", "ONNX", "CPU", "BLOB", ADD, db=1)
    call("AI.TENSORSET", "tensor", "FLOAT", 1)
    client.hset("hash", "tag", "x")
    client.delete("deleted")
    client.rename("renamed", "renamed:2")
    client.set("replaced", "x")
    client.hset("kept", "tag", "")
    assert sorted(call("AI._MODELSCAN")) == [[b"kept", b""], [b"renamed:2", b"tag of renamed"]]
    assert call("AI._MODELSCAN", db=1) == [[b"elsewhere", b""]]


def test_a_replaced_model_loses_its_time_to_live_and_gets_a_new_generation(
    call: Callable[..., object], client: redis.Redis
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    before = client.hget("m", "generation")
    client.expire("m", 1000)
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    assert client.ttl("m") == -1
    assert client.hget("m", "generation") > before


def test_the_people_model(call: Callable[..., object]) -> None:
    call("AI.MODELSTORE", "people", "ONNX", "CPU", "BLOB", PEOPLE_MODEL.read_bytes())
    image = np.zeros((1, 416, 416, 3), np.uint8)
    call("AI.TENSORSET", "image", "UINT8", *image.shape, "BLOB", image.tobytes())
    call("AI.MODELEXECUTE", "people", "INPUTS", 1, "image", "OUTPUTS", 2, "boxes", "scores")
    assert call("AI.TENSORGET", "boxes", "META") == ["dtype", "FLOAT", "shape", [1, 3549, 4]]
    assert call("AI.TENSORGET", "scores", "META") == ["dtype", "FLOAT", "shape", [1, 3549, 80]]
