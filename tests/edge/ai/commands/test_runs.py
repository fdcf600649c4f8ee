"""AI.MODELRUN, AI.MODELSET, and what runs do in the queue of their device."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import redis

from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.switchboard.calls import OK, CommandError
from tests.edge.ai import onnx_files
from tests.edge.ai.conftest import PATIENCE

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
ADD = onnx_files.binary("Add")
Words = tuple[str | bytes | int, ...]


@pytest.fixture
def tensors(call: Callable[..., object]) -> None:
    call("AI.TENSORSET", "a", "FLOAT", 1, 2, "VALUES", 1, 2)
    call("AI.TENSORSET", "b", "FLOAT", 1, 2, "VALUES", 10, 20)


@pytest.mark.usefixtures("tensors")
@pytest.mark.parametrize(
    "words",
    [
        ("ONNX", "CPU", "BLOB", ADD),
        ("ONNX", "CPU", "BLOB", ADD[:9], ADD[9:]),
        ("ONNX", "CPU", ADD),
        ("onnx", "cpu", "tag", "t", ADD),
        ("ONNX", "CPU:123456", "TAG", "t", "BATCHSIZE", 2, "ignored", "words", "BLOB", ADD),
        ("ONNX", "CPU", "INPUTS", "a", "b", "OUTPUTS", "c", "BLOB", ADD),
    ],
)
def test_the_older_commands(call: Callable[..., object], words: Words) -> None:
    assert call("AI.MODELSET", "m", *words) is OK
    assert call("AI.MODELRUN", "m", "INPUTS", "a", "b", "OUTPUTS", "c") is OK
    assert call("AI.TENSORGET", "c", "VALUES") == [b"11", b"22"]
    assert call("AI.MODELRUN", "m", "timeout", 5000, "inputs", "a", "b", "outputs", "a") is OK
    assert call("AI.MODELGET", "m", "META")[2:6] == [
        *("device", words[1], "tag", b"t" if b"t" in map(str.encode, map(str, words)) else b"")
    ]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("ONNX",), "ERR wrong number of arguments for 'AI.MODELSET' command"),
        (("PORCH", "CPU"), "ERR unsupported backend"),
        (("ONNX", "BLOB", ADD), "ERR Invalid DEVICE"),
        (("ONNX", "TAG", "CPU", "BLOB", ADD), "ERR Invalid DEVICE"),
        (("ONNX", "CPU:1234567", "BLOB", ADD), "ERR Invalid DEVICE"),
        (("ONNX", "bad", "BLOB", ADD), "ERR unsupported device"),
        (("ONNX", "CPU"), "ERR Insufficient arguments, missing model BLOB"),
        (("ONNX", "CPU", "BLOB"), "ERR Insufficient arguments, missing model BLOB"),
        (("ONNX", "CPU", "BATCHSIZE", 2, "NOT_BLOB"), "ERR Insufficient arguments, missing model BLOB"),
        (("ONNX", "CPU", "INPUTS", "a", "OUTPUTS", "c"), "ERR Insufficient arguments, missing model BLOB"),
        (("ONNX", "CPU", "BATCHSIZE", "x", "BLOB", ADD), "ERR Invalid argument for BATCHSIZE"),
        (("ONNX", "CPU", "MINBATCHSIZE", 1, "BLOB", ADD), "ERR MINBATCHSIZE specified without BATCHSIZE"),
        (("TFLITE", "CPU", "BATCHSIZE", 1, "BLOB", ADD), "ERR Auto-batching not supported by the TFLITE backend"),
        (("TF", "CPU"), "ERR Insufficient arguments, INPUTS and OUTPUTS not specified"),
        (("TF", "CPU", "BLOB", ADD), "ERR Insufficient arguments, INPUTS and OUTPUTS not specified"),
        (("TF", "CPU", "OUTPUTS", "c", "BLOB", ADD), "ERR INPUTS not specified"),
        (("TF", "CPU", "INPUTS", "a", "b", "BLOB", ADD), "ERR OUTPUTS not specified"),
        (("TF", "CPU", "INPUTS", "a", "b"), "ERR OUTPUTS not specified"),
        (("TF", "CPU", "INPUTS", "a", "OUTPUTS", "c"), "ERR Insufficient arguments, missing model BLOB"),
        (("TF", "CPU", "INPUTS", "a", "OUTPUTS", "c", "BLOB"), "ERR Insufficient arguments, missing model BLOB"),
    ],
)
def test_errors_of_modelset(error_of: Callable[..., str], client: redis.Redis, words: Words, error: str) -> None:
    assert error_of("AI.MODELSET", "m", *words) == error
    assert client.keys() == []


@pytest.mark.usefixtures("tensors")
@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("m", "INPUTS", "a", "b"), "ERR wrong number of arguments for 'AI.MODELRUN' command"),
        (("no", "INPUTS", "a", "OUTPUTS", "c"), "ERR model key is empty"),
        (("a", "INPUTS", "a", "OUTPUTS", "c"), WRONG_TYPE),
        (("m", "a", "b", "OUTPUTS", "c"), "ERR INPUTS not specified"),
        (("m", "TIMEOUT", "x", "INPUTS", "a", "b", "OUTPUTS", "c"), "ERR Invalid value for TIMEOUT"),
        (("m", "TIMEOUT", 0, "INPUTS", "a", "b", "OUTPUTS", "c"), "ERR Invalid value for TIMEOUT"),
        (
            ("m", "INPUTS", "a", "OUTPUTS", "c"),
            "Number of keys given as INPUTS here does not match model definition",
        ),
        (
            ("m", "INPUTS", "a", "b", "OUTPUTS", "c", "d"),
            "Number of keys given as OUTPUTS here does not match model definition",
        ),
        (("m", "INPUTS", "a", "no", "OUTPUTS", "c"), "ERR tensor key is empty or in a different shard"),
    ],
)
def test_errors_of_modelrun(
    call: Callable[..., object], error_of: Callable[..., str], words: Words, error: str
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    assert error_of("AI.MODELRUN", *words) == error


@pytest.mark.parametrize("backend", ["TF", "TFLITE", "TORCH"])
def test_the_error_for_a_missing_backend_has_the_command_that_installs_it(
    error_of: Callable[..., str], client: redis.Redis, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(backends.importlib, "import_module", missing)
    names: Words = ("INPUTS", 1, "a", "OUTPUTS", 1, "c") if backend == "TF" else ()
    error = error_of("AI.MODELSTORE", "m", backend, "CPU", *names, "BLOB", "x")
    assert error.startswith("ERR Could not load backend")
    assert f"pip install 'rededge_nb[{backend.lower()}]'" in error
    assert error_of("AI.CONFIG", "LOADBACKEND", backend, "path") == "ERR error loading backend"
    assert client.keys() == []


def store(call: Callable[..., object], op: str = "Add", **options: int) -> None:
    words = [word for name, value in options.items() for word in (name.upper(), value)]
    call("AI.MODELSTORE", "m", "ONNX", "CPU", *words, "BLOB", onnx_files.binary(op))


EXECUTE: Words = ("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "b", "OUTPUTS", 1)


@pytest.mark.usefixtures("tensors")
def test_runs_wait_for_others_to_join_them(call: Callable[..., object], models: LoadedModels) -> None:
    store(call, batchsize=3, minbatchsize=3)
    sizes: list[int] = []
    model = models.find_model(models.client_of(0), "m").model
    run = model.run
    model.run = lambda inputs: sizes.append(len(inputs[0])) or run(inputs)
    with ThreadPoolExecutor(3) as threads:
        replies = list(threads.map(lambda number: call(*EXECUTE, f"c{number}"), range(3)))
    assert replies == [OK] * 3
    assert sizes == [3]
    assert [call("AI.TENSORGET", f"c{number}", "VALUES") for number in range(3)] == [[b"11", b"22"]] * 3
    info = call("AI.INFO", "m")
    assert dict(zip(info[12::2], info[13::2], strict=True)) == {"samples": 3, "calls": 3, "errors": 0}


@pytest.mark.usefixtures("tensors")
@pytest.mark.parametrize("devices", [("CPU", "CPU"), ("CPU", "CPU:1")])
def test_runs_at_the_same_time_may_write_the_same_key(
    call: Callable[..., object], models: LoadedModels, devices: tuple[str, str]
) -> None:
    """Joined, or on two devices: there both look at the key before either writes."""
    both = Barrier(2)
    batching = ("BATCHSIZE", 2, "MINBATCHSIZE", 2) if len(set(devices)) == 1 else ()
    for key, device in zip("mn", devices, strict=True):
        call("AI.MODELSTORE", key, "ONNX", device, *batching, "BLOB", ADD)
    if not batching:
        model = models.find_model(models.client_of(0), "m").model
        run = model.run
        model.run = lambda inputs: (both.wait(PATIENCE), run(inputs))[1]
    keys = "mm" if batching else "mn"
    with ThreadPoolExecutor(2) as threads:
        words = [("AI.MODELEXECUTE", key, "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c") for key in keys]
        assert list(threads.map(lambda each: call(*each), words)) == [OK, OK]
    assert call("AI.TENSORGET", "c", "VALUES") == [b"11", b"22"]


@pytest.mark.usefixtures("tensors")
def test_a_run_does_not_wait_longer_than_its_timeout(call: Callable[..., object], client: redis.Redis) -> None:
    store(call, batchsize=3, minbatchsize=3)
    assert call(*EXECUTE, "c", "TIMEOUT", 1) == "TIMEDOUT"
    assert not client.exists("c")
    store(call, batchsize=3, minbatchsize=3, minbatchtimeout=1)
    assert call(*EXECUTE, "c") is OK
    assert client.exists("c")


@pytest.mark.usefixtures("tensors")
def test_inputs_with_different_first_dimensions_are_not_batched(call: Callable[..., object]) -> None:
    store(call, batchsize=9, minbatchsize=9)
    call("AI.TENSORSET", "b", "FLOAT", 3, 2)
    assert call(*EXECUTE, "c") is OK
    assert call("AI.TENSORGET", "c", "META") == ["dtype", "FLOAT", "shape", [3, 2]]


@pytest.mark.usefixtures("tensors")
def test_a_model_that_loses_samples_cannot_be_batched(call: Callable[..., object], models: LoadedModels) -> None:
    store(call, batchsize=2, minbatchsize=2)
    model = models.find_model(models.client_of(0), "m").model
    model.run = lambda inputs: [np.zeros((1, 2), np.float32)]

    def error(number: int) -> str:
        with pytest.raises(CommandError) as caught:
            call(*EXECUTE, f"c{number}")
        return str(caught.value)

    with ThreadPoolExecutor(2) as threads:
        errors = set(threads.map(error, range(2)))
    assert errors == {"ERR Model did not generate the expected batch size"}
    assert call("AI.INFO", "m")[14:] == ["calls", 2, "errors", 2]


@pytest.mark.usefixtures("tensors")
def test_a_count_of_very_many_digits_is_refused(call: Callable[..., object], error_of: Callable[..., str]) -> None:
    store(call)
    words: Words = ("INPUTS", "9" * 5000, "a", "b", "OUTPUTS", 1, "c")
    assert error_of("AI.MODELEXECUTE", "m", *words) == "ERR Invalid argument for input_count"


def test_the_key_of_an_output_that_is_not_written_may_have_any_type(
    call: Callable[..., object], client: redis.Redis
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", onnx_files.with_sequence())
    call("AI.TENSORSET", "v", "FLOAT", 1, "VALUES", 3)
    client.set("text", "x")
    assert call("AI.MODELEXECUTE", "m", "INPUTS", 1, "v", "OUTPUTS", 2, "text", "c") is OK
    assert call("AI.TENSORGET", "c", "VALUES") == [b"3"]
    assert client.get("text") == b"x"


def test_all_cpus_share_one_loaded_model(call: Callable[..., object], models: LoadedModels) -> None:
    for device in ("CPU", "cpu:1", "CPU:2"):
        call("AI.MODELSTORE", device, "ONNX", device, "BLOB", ADD)
    models = {id(models.find_model(models.client_of(0), device).model) for device in ("CPU", "cpu:1", "CPU:2")}
    assert len(models) == 1
