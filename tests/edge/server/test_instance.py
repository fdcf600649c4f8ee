"""The embedded server as a process: state folder, readiness, persistence, what happens when things are in the way."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis

from rededge_nb import settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.binaries import find_binaries, openssl11_folder
from rededge_nb.edge.server.logs import bound_logs
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.errors import ConfigurationError, ServerError, UnsupportedPlatformError
from tests.cli.running import rededge
from tests.gear_scripts import execute, registrations
from tests.waiting import wait_for


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_start_find_stop(folder: Path) -> None:
    instance = server.start(folder / "new" / "state")
    assert server.find(folder / "new" / "state") == instance
    for url in (instance.url, instance.tcp_url):
        client = client_from_url(url)
        assert client.ping()
        assert client.execute_command("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") > 0
        client.close()
    assert "Warning" not in (instance.dir / "logs" / "supervisor.log").read_text()
    assert server.stop(folder / "new" / "state") is True
    assert server.find(folder / "new" / "state") is None
    assert server.stop(folder / "new" / "state") is False
    for pid in (instance.pid, instance.redis_pid):
        wait_for(lambda pid=pid: not psutil.pid_exists(pid), what=f"the end of process {pid}")
    assert not instance.socket.exists()
    # the port is kept for clients that know it
    assert server.start(folder / "new" / "state").port == instance.port
    server.stop(folder / "new" / "state")


def test_a_folder_can_be_given_as_a_relative_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    instance = server.start(Path("state"))
    assert instance.dir == folder / "state"
    assert server.find(Path("state")) == instance
    assert server.stop(Path("state")) is True


def test_starting_again_returns_the_same_instance(folder: Path) -> None:
    instance = server.start(folder)
    assert server.start(folder) == instance
    with pytest.raises(ServerError, match=rf"is running already in .* on port {instance.port}, not 1"):
        server.start(folder, port=1)
    with pytest.raises(ServerError, match="is running already"):
        server.run(folder)


def test_only_the_owner_can_read_the_files_and_only_the_password_connects(folder: Path) -> None:
    instance = server.start(folder)
    state = StateFolder(folder)
    assert mode(folder) == 0o700
    for file in (state.password_file, state.config_file, state.instance_file):
        assert mode(file) == 0o600, file
    assert mode(instance.socket) == 0o700
    password = state.password()
    assert len(password) >= 32
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=instance.port).ping()
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(instance.redis_pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    family = [psutil.Process(instance.pid), *psutil.Process(instance.pid).children(recursive=True)]
    assert len(family) >= 3
    for process in family:
        assert password not in " ".join(process.cmdline())
    for log in state.logs.iterdir():
        assert password not in log.read_text(errors="replace")


def test_the_error_for_a_port_in_use_names_it(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=rf"port {port} of 127\.0\.0\.1 is in use.*--port 0"):
            server.start(folder, port=port)
    assert server.find(folder) is None
    assert server.start(folder, port=port).port == port


def test_the_error_for_a_folder_that_cannot_be_created_names_it(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(ServerError, match=r"state folder .*file/state cannot be made or used.*--dir"):
        server.start(folder / "file" / "state")


def test_the_error_on_an_unsupported_platform_says_how_to_use_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.edge.server.binaries.stack_folder", lambda: None)
    with pytest.raises(UnsupportedPlatformError, match=f"{settings.REDIS_SERVER}.*{settings.TIMESERIES_MODULE}"):
        find_binaries()
    monkeypatch.setenv(settings.REDIS_SERVER, "/nowhere/redis-server")
    with pytest.raises(ConfigurationError, match=f"{settings.REDIS_SERVER} is '/nowhere/redis-server'"):
        find_binaries()


def test_binaries_named_in_the_environment_are_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = folder / "own-redis-server"
    bundled = find_binaries()
    libraries = openssl11_folder(folder)
    own.write_text(
        f'#!/bin/sh\necho started >{folder}/used\nLD_LIBRARY_PATH={libraries} exec {bundled.redis_server} "$@"\n'
    )
    own.chmod(0o755)
    monkeypatch.setenv(settings.REDIS_SERVER, str(own))
    monkeypatch.setenv(settings.TIMESERIES_MODULE, str(bundled.timeseries))
    instance = server.start(folder / "state")
    assert (folder / "used").read_text() == "started\n"
    client = client_from_url(instance.url)
    assert client.execute_command("TS.CREATE", "x") == b"OK"
    client.close()


def test_the_error_of_a_server_that_cannot_start_has_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = folder / "own-redis-server"
    own.write_text("#!/bin/sh\necho no room for it\nexit 1\n")
    own.chmod(0o755)
    monkeypatch.setenv(settings.REDIS_SERVER, str(own))
    error = r"redis-server ended with exit code 1 while starting: no room for it .*redis\.log"
    with pytest.raises(ServerError, match=error):
        server.start(folder / "state")
    assert server.find(folder / "state") is None


def test_files_that_a_crash_left_are_removed(folder: Path) -> None:
    before = server.start(folder)
    orphans = psutil.Process(before.pid).children()
    os.kill(before.pid, signal.SIGKILL)
    wait_for(lambda: not StateFolder(folder).held(), what="the lock of the dead supervisor")
    assert server.find(folder) is None
    after = server.start(folder)
    assert after.pid != before.pid
    assert server.find(folder) == after
    _, alive = psutil.wait_procs(orphans, timeout=20)
    assert alive == []


def test_state_survives_kill_9_of_redis_and_the_supervisor_restarts_it(folder: Path) -> None:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    client.execute_command("AI.TENSORSET", "tensor", "FLOAT", 2, "VALUES", 1, 2)
    client.execute_command("TS.ADD", "series", 1, 5, "LABELS", "camera", "0")
    execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('s')")
    client.xadd("s", {"x": 1})
    wait_for(lambda: client.get("n") == b"1", what="the entry")
    assert client.execute_command("WAITAOF", 1, 0, 20000)[0] == 1
    os.kill(instance.redis_pid, signal.SIGKILL)
    again = wait_for(
        lambda: (found := server.find(folder)) and found.redis_pid != instance.redis_pid and found,
        what="the supervisor to start Redis again",
        timeout=30,
    )
    assert again.port == instance.port
    client = client_from_url(again.url)
    assert client.execute_command("AI.TENSORGET", "tensor", "VALUES") == [b"1", b"2"]
    assert client.execute_command("TS.GET", "series") == [1, b"5"]
    assert len(registrations(client)) == 1
    client.xadd("s", {"x": 1})
    wait_for(lambda: client.get("n") == b"2", what="an entry after the crash", timeout=30)
    client.close()


def test_workers_that_die_again_and_again_never_end_redis(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.edge.server.children.MAX_DELAY", 0.2)
    monkeypatch.setattr("rededge_nb.edge.server.worker_process.settings.REDIS_URL", "NOT_READ_BY_WORKERS")
    monkeypatch.delenv("REDIS_URL", raising=False)
    supervisor = server.run(folder, workers=2)
    seen: list[Instance] = []
    thread = threading.Thread(target=supervisor.run, args=(seen.append,))
    thread.start()
    try:
        wait_for(lambda: seen, what="the server", timeout=30)
        client = client_from_url(seen[0].url)
        client.set("precious", 1)
        found = wait_for(
            lambda: (now := server.find(folder)) and min((one.deaths for one in now.troubles), default=0) >= 6 and now,
            what="six deaths of each worker",
            timeout=120,
        )
        assert {one.child for one in found.troubles} == {"worker 1", "worker 2"}, "deaths are counted for each child"
        assert all("exit code 2) died" in one.reason for one in found.troubles)
        assert client.get("precious") == b"1"
        assert client.info("server")["process_id"] == seen[0].redis_pid
        told = rededge("status", "--dir", folder)
        assert told.returncode == 1
        sentence = r"worker 1 has died \d+ times since 20.*: worker 1 \(process \d+, exit code 2\) died; "
        assert re.search(sentence, told.stdout)
        assert "worker 2 has died" in rededge("doctor", "--dir", folder).stdout
        client.close()
    finally:
        supervisor.stop()
        thread.join()


def test_an_instance_started_while_used_ends_with_its_last_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateFolder(folder)
    state.create()
    with state.use():
        instance = server.start(folder, while_used=True)
        with state.use():
            pass
        assert state.used()
        assert server.find(folder) == instance
    wait_for(lambda: not state.held(), what="the instance to end by itself", timeout=40)
    wait_for(lambda: not psutil.pid_exists(instance.redis_pid), what="the end of its Redis")


def test_two_simultaneous_starts_return_the_same_instance(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: server.start(folder), range(4)))
    assert len(set(found)) == 1


def test_logs_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.edge.server.logs.MAX_LOG_BYTES", 1000)
    state = StateFolder(folder)
    state.create()
    log = state.logs / "worker.log"
    with log.open("ab") as child:
        child.write(b"x" * 5000 + b"end")
        child.flush()
        bound_logs(state)
        child.write(b"next\n")
    assert log.read_bytes() == b"next\n"
    copy = (state.logs / "worker.log.1").read_bytes()
    assert (len(copy), copy[-3:]) == (1000, b"end")


def test_disk_use_is_bounded_while_frames_pass_through(folder: Path) -> None:
    instance = server.start(folder)
    client = client_from_url(instance.url)
    # as configured, but for the size from which on it is worth while
    assert client.config_get("auto-aof-rewrite-*") == {
        "auto-aof-rewrite-percentage": "100",
        "auto-aof-rewrite-min-size": "67108864",
    }
    client.config_set("auto-aof-rewrite-min-size", "4mb")
    frame = os.urandom(100_000)

    def add(count: int) -> None:
        for _ in range(count):
            client.xadd("camera:0", {"image": frame}, maxlen=20, approximate=False)

    def rewritten() -> bool:
        if client.info("persistence")["aof_rewrite_in_progress"]:
            return False
        # what came in during a rewrite counts as its result's size, so it takes more frames to bring on the next
        add(10)
        return server.disk_use(StateFolder(folder).data) < 20_000_000

    add(600)
    wait_for(rewritten, what="60 MB of frames to have left the disk", timeout=60)
    client.close()


def test_an_incomplete_record_of_an_instance_is_ignored(folder: Path) -> None:
    state = StateFolder(folder)
    state.create()
    state.instance_file.write_text('{"pid": 1')
    assert state.recorded() is None
    assert server.start(folder).pid > 1
    assert json.loads(state.instance_file.read_text())["workers"] == 1


def test_the_socket_of_a_long_path_is_in_another_folder(folder: Path) -> None:
    deep = folder / ("x" * 60) / ("y" * 60)
    instance = server.start(deep)
    assert len(str(instance.socket)) < 100
    client = client_from_url(instance.url)
    assert client.ping()
    client.close()
    server.stop(deep)
    assert not instance.socket.parent.exists()
