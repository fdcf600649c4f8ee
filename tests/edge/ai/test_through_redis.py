"""AI commands as clients send them: through Redis, the switchboard and a worker."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import redis

from rededge_nb import assets
from rededge_nb.control.models import load_card, model_memory, store_model
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from tests.edge.ai import onnx_files
from tests.waiting import wait_for

ADD = onnx_files.binary("Add")
REFUSED = "Cannot run RedisAI command within a transaction or a LUA script"


@pytest.fixture
def client(edge: Instance) -> redis.Redis:
    """A client of the server that tests share, emptied."""
    shared = client_from_url(edge.url)
    shared.flushall()
    yield shared
    shared.flushall()
    shared.close()


def execute(client: redis.Redis, *words: str | bytes | int) -> object:
    return client.execute_command(*words)


def store(client: redis.Redis, *options: str | int) -> None:
    execute(client, "AI.MODELSTORE", "m", "ONNX", "CPU", *options, "BLOB", ADD)
    execute(client, "AI.TENSORSET", "a", "FLOAT", 1, 2, "VALUES", 1, 2)


RUN = ("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 1)


def test_one_pipeline_sets_runs_and_gets(client: redis.Redis) -> None:
    store_model(client, load_card(assets.model_card_file("416")))
    image = np.zeros((1, 416, 416, 3), np.uint8)
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("AI.TENSORSET", "image", "UINT8", *image.shape, "BLOB", image.tobytes())
    words = ("INPUTS", 1, "image", "OUTPUTS", 2, "boxes", "scores")
    pipeline.execute_command("AI.MODELEXECUTE", "model:nanodet-g-416", *words)
    pipeline.execute_command("AI.TENSORGET", "boxes", "META")
    assert pipeline.execute() == [b"OK", b"OK", [b"dtype", b"FLOAT", b"shape", [1, 3549, 4]]]
    assert model_memory(client)["model:nanodet-g-416"] > 1_000_000


@pytest.mark.parametrize(
    "words",
    [
        (*RUN, "c"),
        ("AI.MODELRUN", "m", "INPUTS", "a", "a", "OUTPUTS", "c"),
        ("AI.SCRIPTEXECUTE", "s", "f", "INPUTS", 1, "a"),
        ("AI.SCRIPTRUN", "s", "f", "INPUTS", "a", "OUTPUTS", "c"),
        *((name, "LOAD", 1, "a", "|>", "AI.TENSORGET", "a") for name in ("AI.DAGEXECUTE", "AI.DAGEXECUTE_RO")),
        *((name, "LOAD", 1, "a", "|>", "AI.TENSORGET", "a") for name in ("AI.DAGRUN", "AI.DAGRUN_RO")),
    ],
)
def test_runs_are_refused_in_transactions_and_scripts(client: redis.Redis, words: tuple[str | int, ...]) -> None:
    store(client)
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command(*words)
    (error,) = pipeline.execute(raise_on_error=False)
    assert REFUSED in str(error)
    script = "return redis.pcall(" + ",".join(f"'{word}'" for word in words) + ").err"
    assert REFUSED in execute(client, "EVAL", script, 0).decode()


def test_runs_that_wait_to_be_batched_do_not_delay_other_calls(client: redis.Redis, edge: Instance) -> None:
    store(client, "BATCHSIZE", 5, "MINBATCHSIZE", 5)
    with ThreadPoolExecutor(5) as threads:
        clients = [client_from_url(edge.url) for _ in range(5)]
        runs = [threads.submit(execute, each, *RUN, f"c{at}") for at, each in enumerate(clients[:4])]
        wait_for(lambda: client.info("rededge_switchboard")["rededge_ai"]["in_flight"] == 4, what="four runs")
        assert execute(client, "AI.TENSORGET", "a", "VALUES") == [b"1", b"2"]
        assert not any(run.done() for run in runs)
        runs.append(threads.submit(execute, clients[4], *RUN, "c4"))
        assert [run.result(20) for run in runs] == [b"OK"] * 5
        for each in clients:
            each.close()
    assert [execute(client, "AI.TENSORGET", f"c{at}", "VALUES") for at in range(5)] == [[b"2", b"4"]] * 5


def test_info_has_the_sections_of_redisai(client: redis.Redis) -> None:
    store(client)
    execute(client, *RUN, "c")
    queue = "ai_queue_CPU_bthread_n1_used_cpu_total"
    wait_for(lambda: float(client.info("ai_cpu").get(queue, 0)) > 0, what="the worker's report", timeout=30)
    modules = client.info("modules")
    assert modules["ai_RedisAI_version"].startswith("1.2.")
    assert modules["ai_model_execution_timeout"] == 5000
    assert modules["ai_threads_per_queue"] == 1
    assert client.info("ai_backends_info")["ai_onnxruntime_version"][0].isdigit()
    assert b"ai" in {module[b"name"] for module in client.module_list()}


def test_a_batch_can_have_more_runs_than_the_default_of_connections_in_a_pool(client: redis.Redis) -> None:
    count = 120
    store(client, "BATCHSIZE", count, "MINBATCHSIZE", count)
    connections = [client.connection_pool.get_connection() for _ in range(count)]
    for at, connection in enumerate(connections):
        connection.send_command(*RUN, f"c{at}")
    assert [connection.read_response() for connection in connections] == [b"OK"] * count
    for connection in connections:
        client.connection_pool.release(connection)
    assert client.exists(*(f"c{at}" for at in range(count))) == count


def test_a_reply_that_is_longer_than_redis_takes_is_an_error(client: redis.Redis) -> None:
    execute(client, "AI.TENSORSET", "large", "UINT8", 600_000)
    execute(client, "AI.TENSORSET", "larger", "UINT8", 1024**2)
    client.config_set("proto-max-bulk-len", "1mb")
    error = r"the reply has \d{7} bytes, but Redis accepts 1048576 at most"
    try:
        with pytest.raises(redis.ResponseError, match=error):
            execute(client, "AI.TENSORGET", "larger", "BLOB")
        gets = ("|>", "AI.TENSORGET", "large", "BLOB") * 2
        with pytest.raises(redis.ResponseError, match=error):
            execute(client, "AI.DAGEXECUTE", "LOAD", 1, "large", *gets)
        assert len(execute(client, "AI.TENSORGET", "large", "BLOB")) == 600_000
    finally:
        client.config_set("proto-max-bulk-len", "512mb")


def test_a_run_that_waits_too_long_is_answered_with_timedout(client: redis.Redis) -> None:
    store(client, "BATCHSIZE", 5, "MINBATCHSIZE", 5)
    assert execute(client, *RUN, "c", "TIMEOUT", 10) == b"TIMEDOUT"
    dag = ("AI.DAGEXECUTE", "LOAD", 1, "a", "TIMEOUT", 10, "|>", *RUN, "c")
    assert execute(client, *dag) == b"TIMEDOUT"


def test_a_dag_answers_with_errors_among_its_replies(client: redis.Redis) -> None:
    store(client)
    words = (
        "|>",
        "AI.TENSORSET",
        "z",
        "FLOAT",
        3,
        "|>",
        "AI.MODELEXECUTE",
        "m",
        "INPUTS",
        2,
        "z",
        "z",
        "OUTPUTS",
        1,
        "c",
    )
    ok, error = execute(client, "AI.DAGEXECUTE", "LOAD", 1, "a", *words)
    assert ok == b"OK"
    assert isinstance(error, redis.ResponseError)
    assert "Invalid rank for input" in str(error)


def test_a_client_that_disconnects_while_its_run_waits_does_not_affect_others(
    client: redis.Redis, edge: Instance
) -> None:
    store(client, "BATCHSIZE", 2, "MINBATCHSIZE", 2)
    leaving = client_from_url(edge.url)

    def run() -> None:
        with pytest.raises(redis.ConnectionError):
            execute(leaving, *RUN, "c0")

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: client.info("rededge_switchboard")["rededge_ai"]["in_flight"] == 1, what="the run")
    (waiting,) = [each["id"] for each in client.client_list() if each["cmd"].lower() == "ai.modelexecute"]
    client.client_kill_filter(_id=waiting)
    thread.join(20)
    assert execute(client, *RUN, "c1") == b"OK"
    leaving.close()


def test_command_getkeys_knows_the_keys_of_a_command(client: redis.Redis) -> None:
    words = ("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c", "TIMEOUT", 9)
    assert execute(client, "COMMAND GETKEYS", *words) == ["m", "a", "b", "c"]
    for words in (
        ("AI.MODELRUN", "m", "INPUTS", "a", "OUTPUTS", "c"),
        ("AI.DAGEXECUTE", "LOAD", 1, "a", "PERSIST", 1, "c", "|>", "AI.MODELEXECUTE", "m", "INPUTS", 1, "a"),
        ("AI.SCRIPTEXECUTE", "m", "f", "KEYS", 1, "k", "INPUTS", 1, "a", "OUTPUTS", 1, "c"),
    ):
        keys = set(execute(client, "COMMAND GETKEYS", *words))
        assert set("mackb") & {str(word) for word in words} <= keys
