from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import redis

from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.execution.loaded_models import LoadedModel, LoadedModels
from rededge_nb.edge.switchboard.calls import CommandError
from tests.edge.ai import onnx_files

ADD, MUL = onnx_files.binary("Add"), onnx_files.binary("Mul")
THREE, FOUR = np.full((1, 2), 3, np.float32), np.full((1, 2), 4, np.float32)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The model files that are loaded during the test."""
    loaded: list[bytes] = []
    load = backends.load

    def recording(backend: str, source: backends.ModelSource, **options: Any) -> backends.BackendModel:
        loaded.append(source.blob)
        return load(backend, source, **options)

    monkeypatch.setattr(backends, "load", recording)
    return loaded


def run(model: LoadedModel) -> list[float]:
    return model.run([THREE, FOUR])[0].ravel().tolist()


def freed(model: LoadedModel) -> Callable[[], bool]:
    """Whether the backend's model was freed; the caller must not keep a reference to `model`."""
    backend_model = weakref.ref(model.model)

    def is_freed() -> bool:
        gc.collect()
        return backend_model() is None

    return is_freed


def test_a_loaded_model_has_the_properties_of_the_stored_one(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    call("AI.MODELSTORE", "m", "onnx", "cpu", "BLOB", ADD)
    model = LoadedModels(client_of).find_model(client, "m")
    assert (model.backend, model.device) == ("ONNX", "cpu")
    assert (model.inputs, model.outputs) == (["a", "b"], ["c"])
    assert run(model) == [7, 7]
    with pytest.raises(CommandError, match=r"^Number of keys given as INPUTS here does not match model definition$"):
        model.run([THREE])


def test_equal_models_are_loaded_once_for_all_keys_and_threads(
    call: Callable[..., object], client: redis.Redis, loads: list[bytes], client_of: Callable[[int], redis.Redis]
) -> None:
    for key in ("m1", "m2"):
        call("AI.MODELSTORE", key, "ONNX", "CPU", "BLOB", ADD)
    assert loads == [ADD]
    models = LoadedModels(client_of)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda number: run(models.find_model(client, f"m{1 + number % 2}")), range(32)))
    assert results == [[7, 7]] * 32
    assert loads == [ADD, ADD]


def test_a_replaced_model_is_loaded_again_and_the_old_one_freed(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    models = LoadedModels(client_of)
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    model = models.find_model(client, b"m")
    old_is_freed = freed(model)
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", MUL)
    assert run(models.find_model(client, "m")) == [12, 12]
    assert run(model) == [7, 7]  # an execution keeps the old value alive
    del model
    assert old_is_freed()


def test_a_deleted_model_is_freed(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    models = LoadedModels(client_of)
    for key in ("deleted", "kept"):
        call("AI.MODELSTORE", key, "ONNX", "CPU", "BLOB", ADD)
    call("AI.MODELSTORE", "other", "ONNX", "CPU", "BLOB", MUL)
    shared_is_freed, other_is_freed = (freed(models.find_model(client, key)) for key in ("deleted", "other"))
    models.find_model(client, "kept")
    client.delete("deleted", "other")
    models.sweep()
    assert other_is_freed()
    assert not shared_is_freed()
    client.set("kept", "something else")
    models.sweep()
    assert shared_is_freed()


def test_modeldel_frees_the_model(call: Callable[..., object], client: redis.Redis, models: LoadedModels) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    is_freed = freed(models.find_model(client, "m"))
    call("AI.MODELDEL", "m")
    assert is_freed()


def test_the_least_recently_used_model_is_freed_first(
    call: Callable[..., object], client: redis.Redis, loads: list[bytes], client_of: Callable[[int], redis.Redis]
) -> None:
    blobs = {op: onnx_files.binary(op) for op in ("Add", "Mul", "Sub")}
    for op, blob in blobs.items():
        call("AI.MODELSTORE", op, "ONNX", "CPU", "BLOB", blob)
    loads.clear()
    models = LoadedModels(client_of, cache_bytes=2 * len(ADD))
    for op in ("Add", "Mul", "Add", "Sub", "Add", "Mul"):
        models.find_model(client, op)
    assert loads == [blobs[op] for op in ("Add", "Mul", "Sub", "Mul")]


def test_a_hash_with_a_forged_digest_is_refused(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    call("AI.MODELSTORE", "forged", "ONNX", "CPU", "BLOB", MUL)
    client.hset("forged", "digest", client.hget("m", "digest"))
    models = LoadedModels(client_of)
    with pytest.raises(CommandError, match=r"^WRONGTYPE"):
        models.find_model(client, "forged")
    assert run(models.find_model(client, "m")) == [7, 7]


def test_missing_keys_and_keys_of_another_type_are_errors(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    call("AI.TENSORSET", "t", "FLOAT", 1)
    with pytest.raises(CommandError, match=r"^ERR model key is empty$"):
        LoadedModels(client_of).find_model(client, "m")
    with pytest.raises(CommandError, match=r"^WRONGTYPE"):
        LoadedModels(client_of).find_model(client, "t")
