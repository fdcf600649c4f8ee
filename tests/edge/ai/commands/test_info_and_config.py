from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import redis

from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.ai.storage import counts_of_workers
from rededge_nb.edge.ai.storage.hashes import MODEL
from rededge_nb.edge.ai.storage.statistics import Statistics, StoredValue
from rededge_nb.edge.client import key_names
from rededge_nb.edge.switchboard.calls import OK, CommandError
from tests.edge.ai import onnx_files
from tests.waiting import wait_for

ADD = onnx_files.binary("Add")
NO_INFO = "ERR cannot find run info for key"
EXECUTE = ("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 1, "c")


@pytest.fixture
def stored(call: Callable[..., object]) -> None:
    """A model `m` and an input `a` of three samples."""
    call("AI.MODELSTORE", "m", "ONNX", "CPU", "TAG", "t", "BLOB", ADD)
    call("AI.TENSORSET", "a", "FLOAT", 3, 2)


def counters(call: Callable[..., object], key: str = "m") -> dict[str, int]:
    reply = call("AI.INFO", key)
    assert isinstance(reply, list)
    return dict(zip(reply[10::2], reply[11::2], strict=True))


@pytest.mark.usefixtures("stored")
def test_info_counts_runs_and_failures(call: Callable[..., object]) -> None:
    zero = ["duration", 0, "samples", 0, "calls", 0, "errors", 0]
    head = ["key", b"m", "type", "MODEL", "backend", "ONNX", "device", "CPU", "tag", b"t"]
    assert call("AI.INFO", "m") == head + zero
    call(*EXECUTE)
    call(*EXECUTE)
    call("AI.TENSORSET", "a", "FLOAT", 1, 3)
    with pytest.raises(CommandError):
        call(*EXECUTE)
    found = counters(call)
    assert found.pop("duration") > 0
    assert found == {"samples": 6, "calls": 3, "errors": 1}
    assert call("AI.INFO", "m", "resetstat") is OK
    assert call("AI.INFO", "m") == head + zero


@pytest.mark.usefixtures("stored")
def test_memory_is_reported_on_request(call: Callable[..., object], client: redis.Redis) -> None:
    told = call("AI.INFO", "m", "memory")
    assert told[:18] == call("AI.INFO", "m")
    name, memory = told[18:]
    assert name == "memory"
    assert memory >= len(ADD)
    client.copy("m", "not loaded under this key")
    assert call("AI.INFO", "not loaded under this key", "MEMORY")[18:] == ["memory", 0]


@pytest.mark.usefixtures("stored")
def test_calls_with_wrong_arguments_are_not_counted(call: Callable[..., object], error_of: Callable[..., str]) -> None:
    error_of("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "missing", "OUTPUTS", 1, "c")
    assert counters(call)["calls"] == 0


@pytest.mark.usefixtures("stored")
def test_workers_add_up_and_runs_of_gears_count(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    statistics = Statistics()
    models = LoadedModels(client_of, statistics)
    array = np.zeros((5, 2), np.float32)
    models.find_model(client, "m").run([array, array])
    call(*EXECUTE)
    assert counters(call)["samples"] == 3
    statistics.flush(client_of)
    statistics.flush(client_of)
    assert counters(call)["samples"] == 8


@pytest.mark.usefixtures("stored")
def test_other_workers_write_their_counts_when_somebody_asks(
    call: Callable[..., object], client: redis.Redis, client_of: Callable[[int], redis.Redis], redis_socket: Path
) -> None:
    (generation,) = client.hmget("m", ["generation"])
    others, stored, ended = Statistics(), StoredValue(0, b"m", generation), threading.Event()
    channel = key_names.counts_channel(client)
    serving = (f"unix://{redis_socket}", lambda: others.flush(client_of), client, ended)
    thread = threading.Thread(target=counts_of_workers.serve, args=serving)
    thread.start()
    try:
        wait_for(lambda: dict(client.pubsub_numsub(channel))[channel.encode()] == 1, what="the other worker")
        for number in range(1, 21):
            others.record(stored, samples=3)
            assert counters(call) == {"duration": 0, "samples": 3 * number, "calls": number, "errors": 0}
        others.record(stored)
        assert call("AI.INFO", "m", "RESETSTAT") is OK
        assert counters(call)["calls"] == 0
    finally:
        ended.set()
        client.publish(channel, "the end")
        thread.join()


@pytest.mark.usefixtures("stored")
def test_no_count_is_missing_while_counts_are_written(
    client: redis.Redis, client_of: Callable[[int], redis.Redis]
) -> None:
    (generation,) = client.hmget("m", ["generation"])
    statistics, stored, ended = Statistics(), StoredValue(0, b"m", generation), threading.Event()

    def flush() -> None:
        while not ended.is_set():
            statistics.flush(client_of)

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        for number in range(1, 301):
            statistics.record(stored)
            assert statistics.read(client, 0, b"m", MODEL).calls == number
    finally:
        ended.set()
        thread.join()


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("gone", ["deleted", "text", "replaced"])
def test_statistics_belong_to_the_stored_value(
    call: Callable[..., object],
    error_of: Callable[..., str],
    client: redis.Redis,
    models: LoadedModels,
    gone: str,
) -> None:
    call(*EXECUTE)
    client.delete("m")
    if gone == "text":
        client.set("m", "x")
    elif gone == "replaced":
        call("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", ADD)
    models.statistics.flush(models.client_of)
    if gone == "replaced":
        assert counters(call)["calls"] == 0
    else:
        assert client.exists("m") == (gone == "text")
        assert error_of("AI.INFO", "m") == NO_INFO


@pytest.mark.usefixtures("stored")
def test_counts_wait_for_redis_to_come_back(call: Callable[..., object], models: LoadedModels) -> None:
    call(*EXECUTE)

    def away(db: int) -> redis.Redis:
        raise redis.ConnectionError("away")

    with pytest.raises(redis.ConnectionError):
        models.statistics.flush(away)
    models.statistics.flush(models.client_of)
    assert counters(call)["calls"] == 1


@pytest.mark.usefixtures("stored")
def test_counts_are_reported_and_kept_while_memory_is_full(
    call: Callable[..., object], client: redis.Redis, models: LoadedModels
) -> None:
    call(*EXECUTE)
    assert counters(call)["calls"] == 1
    call(*EXECUTE)
    client.config_set("maxmemory", 1)
    try:
        assert counters(call)["calls"] == 2
        assert counters(call)["calls"] == 2
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            call("AI.INFO", "m", "RESETSTAT")
    finally:
        client.config_set("maxmemory", 0)
    models.statistics.flush(models.client_of)
    assert counters(call)["calls"] == 2


@pytest.mark.usefixtures("stored")
def test_counting_keeps_the_time_to_live(
    call: Callable[..., object], client: redis.Redis, models: LoadedModels
) -> None:
    client.expire("m", 1000)
    call(*EXECUTE)
    models.statistics.flush(models.client_of)
    assert client.ttl("m") > 0


def test_errors_of_info(call: Callable[..., object], error_of: Callable[..., str]) -> None:
    call("AI.TENSORSET", "t", "FLOAT", 1)
    assert error_of("AI.INFO", "t") == NO_INFO
    assert error_of("AI.INFO", "missing", "RESETSTAT") == NO_INFO
    assert error_of("AI.INFO") == "ERR wrong number of arguments for 'AI.INFO' command"
    assert error_of("AI.INFO", 1, 2, 3) == "ERR wrong number of arguments for 'AI.INFO' command"


def test_settings(call: Callable[..., object]) -> None:
    assert call("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") == 535_822_336
    assert call("AI.CONFIG", "model_chunk_size", 100, db=2) is OK
    assert call("AI.CONFIG", "get", "model_chunk_size", db=1) == 100
    assert call("AI.CONFIG", "GET", "BACKENDSPATH").endswith(b"backends")
    assert call("AI.CONFIG", "BACKENDSPATH", "/my/backends", db=1) is OK
    assert call("AI.CONFIG", "get", "backendspath", db=2) == b"/my/backends"
    assert call("AI.CONFIG", "GET", "WHATEVER") is None
    assert call("AI.CONFIG", "LOADBACKEND", "onnx", "redisai_onnxruntime/redisai_onnxruntime.so") is OK


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "ERR wrong number of arguments for 'ai.config' command"),
        (("GET",), "ERR wrong number of arguments for 'ai.config' command"),
        (("PUT", 1), "ERR unsupported subcommand"),
        (("MODEL_CHUNK_SIZE",), "ERR MODEL_CHUNK_SIZE: missing chunk size"),
        (("MODEL_CHUNK_SIZE", 0), "ERR MODEL_CHUNK_SIZE: invalid chunk size"),
        (("BACKENDSPATH",), "ERR BACKENDSPATH: missing path argument"),
        (("LOADBACKEND",), "ERR wrong number of arguments for 'ai.config' command"),
        (("LOADBACKEND", "ONNX"), "ERR wrong number of arguments for 'ai.config' command"),
        (("LOADBACKEND", "PYTHON", "evil.py"), "ERR unsupported backend"),
        (("MODEL_CHUNK_SIZE", "x"), "ERR MODEL_CHUNK_SIZE: invalid chunk size"),
    ],
)
def test_errors_of_config(error_of: Callable[..., str], words: tuple[str | int, ...], error: str) -> None:
    assert error_of("ai.config", *words) == error
