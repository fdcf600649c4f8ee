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
from rededge_nb.edge.ai.execution.sessions import Session, Sessions
from rededge_nb.edge.switchboard.calls import CommandError
from tests.edge.ai import onnx_files

ADD, MUL = onnx_files.binary("Add"), onnx_files.binary("Mul")
THREE, FOUR = np.full((1, 2), 3, np.float32), np.full((1, 2), 4, np.float32)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The blobs that were loaded from now on."""
    loaded: list[bytes] = []
    load = backends.load

    def recording(backend: str, blob: bytes, **options: Any) -> backends.LoadedModel:
        loaded.append(blob)
        return load(backend, blob, **options)

    monkeypatch.setattr(backends, "load", recording)
    return loaded


def run(session: Session) -> list[float]:
    return session.run([THREE, FOUR])[0].ravel().tolist()


def freed(session: Session) -> Callable[[], bool]:
    """Whether the model of a session is gone; the session itself must be dropped by the caller."""
    model = weakref.ref(session.model)

    def gone() -> bool:
        gc.collect()
        return model() is None

    return gone


def test_a_session_knows_its_model(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    call("AI.MODELSTORE", "m", "onnx", "cpu", "BLOB", ADD)
    session = Sessions(client_of).get(client, "m")
    assert (session.backend, session.device) == ("ONNX", "cpu")
    assert (session.inputs, session.outputs) == (["a", "b"], ["c"])
    assert run(session) == [7, 7]
    with pytest.raises(CommandError, match=r"^Number of keys given as INPUTS here does not match model definition$"):
        session.run([THREE])


def test_one_content_is_loaded_once_for_all_keys_and_threads(
    call: Callable[..., object], client: redis.Redis, loads: list[bytes], client_of: Callable[[int], redis.Redis]
) -> None:
    for key in ("m1", "m2"):
        call("AI.MODELSTORE", key, "ONNX", "CPU", "BLOB", ADD)
    assert loads == [ADD]
    sessions = Sessions(client_of)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda number: run(sessions.get(client, f"m{1 + number % 2}")), range(32)))
    assert results == [[7, 7]] * 32
    assert loads == [ADD, ADD]


def test_a_changed_key_is_loaded_anew_and_the_old_model_freed(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    sessions = Sessions(client_of)
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    session = sessions.get(client, b"m")
    old_is_freed = freed(session)
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", MUL)
    assert run(sessions.get(client, "m")) == [12, 12]
    assert run(session) == [7, 7]  # an execution keeps the old value alive
    del session
    assert old_is_freed()


def test_a_deleted_model_is_freed(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    sessions = Sessions(client_of)
    for key in ("deleted", "kept"):
        call("AI.MODELSTORE", key, "ONNX", "CPU", "BLOB", ADD)
    call("AI.MODELSTORE", "other", "ONNX", "CPU", "BLOB", MUL)
    shared_is_freed, other_is_freed = (freed(sessions.get(client, key)) for key in ("deleted", "other"))
    sessions.get(client, "kept")
    client.delete("deleted", "other")
    sessions.sweep()
    assert other_is_freed()
    assert not shared_is_freed()
    client.set("kept", "something else")
    sessions.sweep()
    assert shared_is_freed()


def test_modeldel_frees_the_model(call: Callable[..., object], client: redis.Redis, sessions: Sessions) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    is_freed = freed(sessions.get(client, "m"))
    call("AI.MODELDEL", "m")
    assert is_freed()


def test_the_least_recently_used_model_makes_room(
    call: Callable[..., object], client: redis.Redis, loads: list[bytes], client_of: Callable[[int], redis.Redis]
) -> None:
    models = {op: onnx_files.binary(op) for op in ("Add", "Mul", "Sub")}
    for op, blob in models.items():
        call("AI.MODELSTORE", op, "ONNX", "CPU", "BLOB", blob)
    loads.clear()
    sessions = Sessions(client_of, cache_bytes=2 * len(ADD))
    for op in ("Add", "Mul", "Add", "Sub", "Add", "Mul"):
        sessions.get(client, op)
    assert loads == [models[op] for op in ("Add", "Mul", "Sub", "Mul")]


def test_a_hash_with_anothers_digest_does_not_become_its_session(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    call("AI.MODELSTORE", "forged", "ONNX", "CPU", "BLOB", MUL)
    client.hset("forged", "digest", client.hget("m", "digest"))
    sessions = Sessions(client_of)
    with pytest.raises(CommandError, match=r"^WRONGTYPE"):
        sessions.get(client, "forged")
    assert run(sessions.get(client, "m")) == [7, 7]


def test_missing_and_wrong_keys(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    call("AI.TENSORSET", "t", "FLOAT", 1)
    with pytest.raises(CommandError, match=r"^ERR model key is empty$"):
        Sessions(client_of).get(client, "m")
    with pytest.raises(CommandError, match=r"^WRONGTYPE"):
        Sessions(client_of).get(client, "t")
