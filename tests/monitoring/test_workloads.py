"""What `rededge status` says about workers and gears that run but get nothing done."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server.state import Instance
from rededge_nb.monitoring import workloads
from rededge_nb.monitoring.status import OK, server_status
from tests.cli.running import rededge
from tests.gear_scripts import execute
from tests.waiting import wait_for

WAIT = "import os\ndef wait(r):\n a, b = os.pipe()\n os.read(a, 1)\n"


@pytest.fixture
def instance(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setattr(workloads, "BLOCKED_AFTER", 0.5)
    return server.start(folder)


@pytest.fixture
def client(instance: Instance) -> Iterator[redis.Redis]:
    with client_from_url(instance.url) as opened:
        wait_for(lambda: server_status(instance.url, instance)["state"] == OK, what="the worker", timeout=30)
        yield opened


def state(instance: Instance) -> str:
    found: str = server_status(instance.url, instance)["state"]
    return found


def test_a_gear_that_waits_is_named_with_its_stream_and_the_time(instance: Instance, client: redis.Redis) -> None:
    execute(client, f"{WAIT}GB('StreamReader').foreach(wait).register('camera:7')", "ID", "sender")
    execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('camera:8')")
    for camera in (7, 8):
        client.xadd(f"camera:{camera}", {"n": 1})
    told = wait_for(lambda: (found := state(instance)) != OK and found, what="the sentence", timeout=30)
    assert told.startswith("sender on camera:7 has been working on one batch for ")
    assert "camera:8" not in told
    assert client.get("n") == b"1"


def test_the_exit_code_says_that_there_is_a_problem(instance: Instance, client: redis.Redis) -> None:
    execute(client, f"{WAIT}GB('StreamReader').foreach(wait).register('camera:7')", "ID", "sender")
    client.xadd("camera:7", {"n": 1})
    done = wait_for(
        lambda: (done := rededge("status", "--dir", instance.dir)).returncode and done, what="exit code", timeout=40
    )
    assert done.returncode == 1
    assert "sender on camera:7 has been working on one batch for " in done.stdout


def test_threads_that_are_all_busy_are_reported(instance: Instance, client: redis.Redis) -> None:
    callers = [client_from_url(instance.url) for _ in range(3)]
    for number, caller in enumerate(callers):
        script = f"{WAIT}GB('ShardsIDReader').foreach(wait).run()"
        threading.Thread(target=swallow, args=(caller, script, f"waits-{number}"), daemon=True).start()
    told = wait_for(lambda: (found := state(instance)) != OK and found, what="the sentence", timeout=30)
    assert told.startswith("all threads of a worker for RG.PYEXECUTE and RG.TRIGGER have been busy since ")
    server.stop(instance.dir)
    for caller in callers:
        caller.close()


def swallow(client: redis.Redis, script: str, session: str) -> None:
    """Run a script that does not end before its worker."""
    with contextlib.suppress(redis.RedisError):
        execute(client, script, "ID", session)


def test_a_gear_that_only_retries_is_reported_with_its_error(instance: Instance, client: redis.Redis) -> None:
    script = "def f(r): raise ValueError('no such lamp')\n"
    execute(
        client,
        f"{script}GB('StreamReader').foreach(f).register('camera:7', onFailedPolicy='retry', onFailedRetryInterval=1)",
        "ID",
        "lamp",
    )
    client.xadd("camera:7", {"n": 1})
    told = wait_for(lambda: (found := state(instance)) != OK and found, what="the sentence", timeout=30)
    assert told.startswith("lamp on camera:7 fails and only tries again: ")
    assert told.endswith("no such lamp")


def test_a_model_that_is_not_stored_is_reported_if_cameras_need_it(instance: Instance, client: redis.Redis) -> None:
    provision(client, cameras=["0"])
    assert state(instance) == OK
    (key,) = [model["key"] for model in server_status(instance.url, instance)["models"]]
    client.delete(key)
    assert state(instance) == f"the model {key} is not stored, so no frame can be counted: store it with `rededge init`"


def test_what_dead_workers_and_other_versions_left_is_ignored(client: redis.Redis) -> None:
    execution = {"1-1": {"status": "running", "seconds": 1000.0, "registration": "r", "steps": []}}
    state_client(client).hset(key_names.live_executions(client), "dead", json.dumps(execution))
    state_client(client).set(key_names.heartbeat(client, "of-another-version"), 1)
    assert workloads.blocked(client, []) == []
