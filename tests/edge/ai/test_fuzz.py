"""Commands that make no sense: an error each, and the worker lives on."""

from __future__ import annotations

import random
from collections.abc import Callable

import psutil
import pytest
import redis

from rededge_nb.edge.ai.commands import COMMANDS
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from rededge_nb.edge.switchboard.calls import CommandError
from tests.edge.ai import onnx_files

ADD = onnx_files.binary("Add")
HUGE = 10**12
WORDS: tuple[str | bytes | int, ...] = (
    *("m", "a", "b", "text", "new", "", b"\xff\x00\n", "|>", "$", "CPU", "GPU", "ONNX", "TF", "TFLITE", "TORCH"),
    *(
        "FLOAT",
        "INT8",
        "BOOL",
        "STRING",
        "META",
        "BLOB",
        "VALUES",
        "SOURCE",
        "TAG",
        "INPUTS",
        "OUTPUTS",
        "KEYS",
        "ARGS",
    ),
    *("LOAD", "PERSIST", "ROUTING", "TIMEOUT", "BATCHSIZE", "MINBATCHSIZE", "ENTRY_POINTS", "RESETSTAT", "GET"),
    *("AI.TENSORSET", "AI.TENSORGET", "AI.MODELEXECUTE", "AI.MODELRUN", "AI.SCRIPTEXECUTE", "AI.SCRIPTRUN"),
    *(0, 1, 2, 3, -1, HUGE, 2**63, "1.5", "nan", ADD, ADD[:-9], b"x" * 1000),
)
HOSTILE_SHAPES: tuple[tuple[int, ...], ...] = (
    *((HUGE,), (10**6, 10**6), (-1,), (2, -3), (0,), (2**62, 4), (1,) * 40, (2**31, 2**31, 2**31)),
)
MOST_GROWTH = 400_000_000
"""Bytes that a worker may grow by, whatever it is asked."""


def truncations(blob: bytes) -> list[bytes]:
    cut = [blob[:size] for size in range(0, len(blob), 5)]
    flipped = [bytes([*blob[:at], blob[at] ^ 0x55, *blob[at + 1 :]]) for at in range(0, len(blob), 5)]
    return [*cut, *flipped]


@pytest.mark.parametrize("seed", range(4))
def test_random_arguments_get_a_reply_or_an_error(
    call: Callable[..., object], client: redis.Redis, models: LoadedModels, seed: int
) -> None:
    chosen = random.Random(seed)
    errors: list[str] = []
    for number in range(1200):
        if number % 100 == 0:
            client.flushall()
            client.set("text", "x")
            call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
            call("AI.TENSORSET", "a", "FLOAT", 1, 2)
        name = chosen.choice(COMMANDS).name
        words = [chosen.choice(WORDS) for _ in range(chosen.randint(0, 12))]
        if chosen.random() < 0.7:
            words[:1] = [chosen.choice(("m", "a", "new"))]
        if "TIMEOUT" in words or "MINBATCHSIZE" in words:
            words = [word for word in words if word not in (HUGE, 2**63)]  # a long wait is what it says
        try:
            call(name, *words)
        except CommandError as error:
            errors.append(str(error))
    assert all(errors)
    assert 100 < len(errors) < 1200


@pytest.mark.parametrize("shape", HOSTILE_SHAPES)
@pytest.mark.parametrize("dtype", ["FLOAT", "STRING"])
@pytest.mark.parametrize("data", [(), ("BLOB", b"1234"), ("VALUES", 1)])
def test_shapes_of_impossible_size_are_errors(
    error_of: Callable[..., str], shape: tuple[int, ...], dtype: str, data: tuple[str | bytes | int, ...]
) -> None:
    words = ("t", dtype, *shape, *data)
    assert error_of("AI.TENSORSET", *words)
    assert error_of("AI.DAGEXECUTE", "ROUTING", "x", "|>", "AI.TENSORSET", *words)


def test_broken_models_are_errors_or_run(call: Callable[..., object]) -> None:
    call("AI.TENSORSET", "a", "FLOAT", 1, 2)
    refused = 0
    for blob in truncations(ADD):
        try:
            call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", blob)
            call("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 1, "c")
        except CommandError:
            refused += 1
    assert refused > len(truncations(ADD)) // 2


def test_a_model_that_does_not_end_is_ended(
    call: Callable[..., object], error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rededge_nb.edge.ai.backends import onnx
    from rededge_nb.edge.ai.backends.time_limit import TimeLimit

    limit = TimeLimit(0.2)
    monkeypatch.setattr(onnx, "_time_limit", lambda: limit)
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.endless())
    call("AI.TENSORSET", "a", "FLOAT", 1, 1)
    error = error_of("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "c")
    assert "Exiting due to terminate flag being set to true." in error


def test_the_worker_survives_with_bounded_memory(edge: Instance) -> None:
    client = client_from_url(edge.url)
    client.flushall()
    (worker,) = [child for child in psutil.Process(edge.pid).children() if "rededge_nb.edge.worker" in child.cmdline()]
    client.execute_command("AI.TENSORSET", "a", "FLOAT", 1, 1)
    before = worker.memory_info().rss
    hostile: list[tuple[str | bytes | int, ...]] = [("AI.TENSORSET", "t", "FLOAT", *shape) for shape in HOSTILE_SHAPES]
    hostile += [("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", blob) for blob in truncations(ADD)[:40:4]]
    hostile += [("AI.DAGEXECUTE", "LOAD", HUGE, "a", "|>", "AI.TENSORGET", "a")]
    hostile += [("AI.MODELSTORE", "m", "TF", "CPU", "INPUTS", HUGE, "a", "OUTPUTS", 1, "c", "BLOB", "x")]
    client.execute_command("AI.MODELSTORE", "huge", "ONNX", "CPU", "BLOB", onnx_files.huge(250 * 10**9))
    hostile += [("AI.MODELEXECUTE", "huge", "INPUTS", 1, "a", "OUTPUTS", 1, "c")]
    for words in hostile:
        with pytest.raises(redis.ResponseError):
            client.execute_command(*words)
    assert worker.is_running()
    assert worker.memory_info().rss - before < MOST_GROWTH
    assert client.execute_command("AI.TENSORGET", "a", "VALUES") == [b"0"]
    client.flushall()
    client.close()
