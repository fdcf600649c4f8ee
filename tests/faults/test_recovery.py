"""A server whose parts die, hang and come back, and what is told of it meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from rededge_nb import schema, settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.binaries import find_binaries
from rededge_nb.edge.server.redis_server import start_redis, wait_until_ready, write_configuration
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.edge.server.supervisor import Supervisor
from rededge_nb.edge.worker.command_table import module_arguments
from rededge_nb.errors import ServerError, ServerUnavailableError
from rededge_nb.monitoring.status import ANSWER_TIMEOUT, OK, server_status
from rededge_nb.web import WebServer, handlers
from tests.cli.running import rededge
from tests.edge.worker.test_worker import workers_of
from tests.gear_scripts import execute
from tests.waiting import wait_for
from tests.web.site import ask


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def facts(instance: Instance) -> dict[str, Any]:
    return server_status(instance.url, instance)


def test_status_and_health_without_a_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.HANG_TIMEOUT, "0")  # nobody kills the worker that this test suspends
    instance = server.start(folder)
    wait_for(lambda: facts(instance)["state"] == OK, what="the worker", timeout=30)
    with WebServer(instance.url, port=0, directory=folder) as web:
        assert ask(web.port, "/healthz").json == {"status": OK, "redis": True, "workers": 1, "silent_cameras": 0}
        with suspended(workers_of(instance.pid)[0].pid):
            wait_for(lambda: facts(instance)["workers"] == 0, what="its sign of life to expire", timeout=30)
            told = rededge("status", "--dir", folder)
            assert (told.returncode, told.stderr) == (1, "")
            assert "no worker runs: AI.* and RG.* commands get no answer, and frames wait\n" in told.stdout
            assert "models          not known\n" in told.stdout
            answer = ask(web.port, "/healthz")
            assert (answer.status, answer.json["workers"]) == (503, 0)
            assert "no worker" in answer.json["status"]
            doctor = rededge("doctor", "--dir", folder)
            assert doctor.returncode == 1
            assert "no worker runs: " in doctor.stdout
        wait_for(lambda: facts(instance)["state"] == OK, what="the worker to go on", timeout=30)
        wait_for(lambda: ask(web.port, "/healthz").status == 200, what="good health")


def test_commands_do_not_wait_long_for_a_worker_that_has_just_died(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rededge_nb.monitoring.status.ANSWER_TIMEOUT", 0.5)
    instance = server.start(folder)
    wait_for(lambda: facts(instance)["state"] == OK, what="the worker", timeout=30)
    with suspended(instance.pid):
        os.kill(workers_of(instance.pid)[0].pid, signal.SIGKILL)
        # its sign of life is there for a moment yet
        state = wait_for(lambda: (found := facts(instance)["state"]) != OK and found, what="the truth")
        assert "no worker" in state
    wait_for(lambda: facts(instance)["state"] == OK, what="the next worker", timeout=30)
    told = rededge("status", "--dir", folder).stdout
    assert "restarts        1\n" in told
    assert ", exit code -9, SIGKILL) died\n" in told


def test_everything_continues_when_redis_is_back_after_a_long_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    execute(client, "GB('StreamReader').foreach(lambda r: execute('RPUSH', 'seen', r['id'])).register('s')")
    entries = [client.xadd("s", {"n": 1})]
    wait_for(lambda: client.lrange("seen", 0, -1) == entries, what="an entry", timeout=30)
    # until it is acknowledged, it would be processed again
    wait_for(lambda: client.xpending("s", schema.GEAR_GROUP)["pending"] == 0, what="the acknowledgement", timeout=30)
    with WebServer(instance.url, port=0, directory=folder) as web:
        with suspended(instance.pid):
            os.kill(instance.redis_pid, signal.SIGKILL)
            log = StateFolder(folder).logs / "worker.log"
            wait_for(lambda: "Redis is not available" in log.read_text(), what="the worker to notice")
            told = rededge("status", "--dir", folder)
            assert told.returncode == 3
            assert f"its supervisor (process {instance.pid}) runs, and starts it again" in told.stderr
            assert ask(web.port, "/healthz").status == 503
            assert ask(web.port, "/healthz").json["redis"] is False
            with pytest.raises(redis.ConnectionError):
                client.ping()
        again = wait_for(lambda: server.find(folder) if _answers(client) else None, what="Redis", timeout=30)
        entries.append(client.xadd("s", {"n": 2}))
        wait_for(lambda: client.lrange("seen", 0, -1) == entries, what="the gear to go on", timeout=30)
        wait_for(lambda: ask(web.port, "/healthz").status == 200, what="good health", timeout=30)
    assert again.last_death == "redis-server (exit code -9, SIGKILL) died"
    client.close()


def test_a_redis_that_hangs_is_reported_until_it_continues(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.monitoring.status.ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(handlers, "ANSWER_TIMEOUT", 0.3)
    assert ANSWER_TIMEOUT <= 10
    instance = server.start(folder)
    client = client_from_url(instance.url)
    execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('s')")
    with WebServer(instance.url, port=0, directory=folder) as web:
        with suspended(instance.redis_pid):
            with pytest.raises(ServerUnavailableError, match=r"does not answer: Timeout"):
                facts(instance)
            assert ask(web.port, "/healthz").status == 503
        client.xadd("s", {"n": 1})
        wait_for(lambda: client.get("n") == b"1", what="the gear to go on", timeout=30)
        wait_for(lambda: ask(web.port, "/healthz").status == 200, what="good health", timeout=30)
    assert server.find(folder) == instance, "nobody was killed for that"
    client.close()


def test_redis_is_restarted_until_it_keeps_running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = _wrapped_redis(folder, "test -e $0.broken && { echo broken as it is; exit 1; }")
    monkeypatch.setenv("REDEDGE_REDIS_SERVER", str(own))
    instance = server.start(folder / "state")
    broken = Path(f"{own}.broken")
    broken.touch()
    os.kill(instance.redis_pid, signal.SIGKILL)
    failed = wait_for(
        lambda: (found := server.find(folder / "state")) and found.restarts > 2 and found, what="tries", timeout=30
    )
    assert "redis-server ended with exit code 1 while starting: " in failed.last_death
    assert "broken as it is" in failed.last_death
    broken.unlink()
    client = client_from_url(instance.url)
    wait_for(lambda: _answers(client), what="Redis", timeout=30)
    client.close()


def test_the_reason_why_an_instance_ended_is_shown_by_status(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.edge.server.supervisor.START_WINDOW", 0.0)
    own = _wrapped_redis(folder, "test -e $0.broken && { echo broken as it is; exit 1; }")
    state = folder / "state"
    with monkeypatch.context() as broken:
        broken.setenv("REDEDGE_REDIS_SERVER", str(own))
        supervisor = server.run(state)

        def break_redis(instance: Instance) -> None:
            Path(f"{own}.broken").touch()
            os.kill(instance.redis_pid, signal.SIGKILL)

        with pytest.raises(ServerError, match=r"redis-server cannot be started any more: .*broken as it is"):
            supervisor.run(break_redis)
    told = rededge("status", "--dir", state)
    assert told.returncode == 3
    assert f"no RedisEdge runs in {state}; the last one ended with an error at 20" in told.stderr
    assert "redis-server cannot be started any more: " in told.stderr
    told = rededge("gears", "list", "--dir", state)
    assert "the last one ended with an error at 20" in told.stderr
    server.start(state)
    server.stop(state)
    assert "ended with an error" not in rededge("status", "--dir", state).stderr


def test_a_redis_that_outlived_its_supervisor_is_ended_before_the_next_begins(folder: Path) -> None:
    state = StateFolder(folder)
    state.create()
    binaries = find_binaries()
    write_configuration(state, binaries, port=0, socket_path=state.socket_path(), module_arguments=module_arguments())
    orphan = start_redis(state, binaries)
    before = Instance(folder, os.getpid(), orphan.pid, 1, state.socket_path(), 0.0, 1)
    wait_until_ready(orphan, state, before.url)
    client = client_from_url(before.url)
    client.set("known", 1)
    client.close()
    state.record(before)
    server.start(folder)
    assert orphan.wait(0) == 0
    client = client_from_url(before.url)
    assert client.get("known") == b"1"
    client.close()


@pytest.mark.parametrize("word", ["", '{"pid": 1}', "innocent"])
def test_files_of_a_dead_supervisor_neither_block_a_start_nor_end_other_processes(folder: Path, word: str) -> None:
    state = StateFolder(folder)
    state.create()
    (folder / "lock").write_text("stale")
    (folder / "redis.sock").write_text("stale")
    state.instance_file.write_text(word)
    if word == "innocent":
        # the number of its redis-server is by now that of somebody else: of this test
        state.record(Instance(folder, os.getpid(), os.getpid(), 1, state.socket_path(), 0.0, 1))
    assert server.find(folder) is None
    instance = server.start(folder)
    assert instance.pid != os.getpid()
    client = client_from_url(instance.url)
    assert client.ping()
    client.close()


def test_a_supervisor_continues_if_it_cannot_write_its_record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor: Supervisor = server.run(folder)
    seen: list[int] = []

    def kill_redis(instance: Instance) -> None:
        def refuse(state: StateFolder, file: Path, text: str) -> None:
            seen.append(1)
            if len(seen) > 1:
                supervisor.stop()
            raise OSError(28, "No space left on device", str(file))

        monkeypatch.setattr(StateFolder, "write_private", refuse)
        os.kill(instance.redis_pid, signal.SIGKILL)

    supervisor.run(kill_redis)
    assert len(seen) >= 2, "it tried at the death and at the next start"


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _wrapped_redis(folder: Path, first: str) -> Path:
    """A redis-server that does something before it starts."""
    wrapper = folder / "redis-server"
    wrapper.write_text(f'#!/bin/sh\n{first}\nexec {find_binaries().redis_server} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper
