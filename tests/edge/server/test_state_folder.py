"""Which folders are used, who can read the files, and what happens if they are damaged, deleted or moved."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.log_files import MAX_LOG_BYTES
from rededge_nb.edge.processes import start_time
from rededge_nb.edge.server.private_files import read_secret, write_private
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.errors import ServerError
from rededge_nb.monitoring.status import OK, server_status
from rededge_nb.web.access import token_for
from tests.append_only_file import rewrite, start_rewrite, wait_until_saved
from tests.cli.running import rededge
from tests.edge.worker.test_worker import workers_of
from tests.gear_scripts import execute
from tests.waiting import wait_for

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another account")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---- Which folders are accepted ----


@pytest.mark.parametrize("permissions", [0o700, 0o755, 0o750])
def test_an_empty_folder_is_used_and_keeps_its_mode(folder: Path, permissions: int) -> None:
    state = folder / "state"
    state.mkdir()
    state.chmod(permissions)
    StateFolder(state).create()
    StateFolder(state).create()
    assert mode(state) == permissions
    assert mode(state / "data") == mode(state / "logs") == 0o700


def test_a_folder_that_does_not_exist_is_made_for_its_owner_only(folder: Path) -> None:
    StateFolder(folder / "a" / "b").create()
    assert mode(folder / "a" / "b") == 0o700


@pytest.mark.parametrize("permissions", [0o1777, 0o777, 0o775, 0o722])
def test_a_folder_to_which_others_can_write_is_refused_and_stays_as_it_is(folder: Path, permissions: int) -> None:
    state = folder / "state"
    state.mkdir()
    state.chmod(permissions)
    with pytest.raises(ServerError, match=r"other accounts can write to .*chmod go-w"):
        StateFolder(state).create()
    assert mode(state) == permissions
    assert not list(state.iterdir())


@pytest.mark.parametrize("name", ["letter.txt", ".hidden", "data.txt", "more"])
def test_a_folder_with_other_files_is_refused_and_stays_as_it_is(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    folder.chmod(0o755)
    with pytest.raises(ServerError, match="is not empty and is no state folder: name"):
        StateFolder(folder).create()
    assert [entry.name for entry in folder.iterdir()] == [name]
    assert mode(folder) == 0o755
    told = rededge("up", "--detach", "--dir", folder)
    assert (told.returncode, "is no state folder" in told.stderr) == (1, True)


@AS_ROOT
def test_a_folder_of_another_account_is_refused_by_all_commands(folder: Path) -> None:
    state = folder / "state"
    StateFolder(state).create()
    os.chown(state, 65534, 65534)
    for use in (StateFolder(state).create, StateFolder(state).running, lambda: server.stop(state)):
        with pytest.raises(ServerError, match=r"belongs to another account .user id 65534."):
            use()
    assert state.stat().st_uid == 65534
    os.chown(state, 0, 0)


@pytest.mark.parametrize("names", [("lock", "password", "port"), ("web_token",), ("users",)])
def test_a_folder_of_an_earlier_version_is_used(folder: Path, names: tuple[str, ...]) -> None:
    for name in ("data", "logs"):
        (folder / name).mkdir(mode=0o700)
    for name in names:
        (folder / name).touch()
    StateFolder(folder).create()


def test_a_folder_with_data_and_logs_of_something_else_is_refused(folder: Path) -> None:
    for name in ("data", "logs", "more"):
        (folder / name).mkdir(mode=0o755)
    with pytest.raises(ServerError, match="is no state folder"):
        StateFolder(folder).create()


# ---- Who can read the files ----


def test_only_the_owner_can_read_any_file_of_an_instance(folder: Path) -> None:
    folder.chmod(0o755)
    before = os.umask(0o022)
    try:
        instance = server.start(folder)
        client = client_from_url(instance.url)
        client.set("x", 1)
        rewrite(client)
        wait_for(lambda: server_status(instance.url, instance)["state"] == OK, what="the worker", timeout=30)
        client.close()
    finally:
        os.umask(before)
    found = [path for path in folder.rglob("*") if not path.is_symlink() and not path.is_socket()]
    assert len(found) > 12
    for path in found:
        assert mode(path) & 0o077 == 0, path
    gears_umask = [
        line for line in Path(f"/proc/{instance.redis_pid}/status").read_text().splitlines() if "Umask" in line
    ]
    assert gears_umask == ["Umask:\t0077"]


# ---- Secrets and other files that are read again ----


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x" * 31, "has only 31 characters"),
        (b"x" * 40 + b" y" * 10, "has a character that is no"),
        (b"\x00" * 43, "has a character that is no"),
        (b"\xff" * 43, "has a character that is no"),
    ],
)
@pytest.mark.parametrize("name", ["password", "password-worker", "password-viewer"])
def test_a_damaged_password_is_refused_by_the_name_of_its_file(
    folder: Path, name: str, content: bytes, found: str
) -> None:
    StateFolder(folder).create()
    (folder / name).write_bytes(content)
    with pytest.raises(ServerError, match=f"{folder}/{name} {found}.*: delete this file"):
        server.start(folder)
    assert (folder / name).read_bytes() == content


def test_a_secret_that_others_could_read_is_protected(folder: Path) -> None:
    file = folder / "secret"
    file.write_text("x" * 40)
    file.chmod(0o644)
    assert read_secret(file) == "x" * 40
    assert mode(file) == 0o600


@AS_ROOT
def test_a_secret_of_another_account_is_refused(folder: Path) -> None:
    file = folder / "secret"
    file.write_text("x" * 40)
    os.chown(file, 65534, 65534)
    with pytest.raises(ServerError, match="belongs to another account"):
        read_secret(file)


def test_a_password_with_quotes_is_used_as_it_is(folder: Path) -> None:
    state = StateFolder(folder)
    state.create()
    state.write_private(state.password_file, "\"it's\\" + "x" * 40)
    client = client_from_url(server.start(folder).url)
    assert client.ping()
    client.close()


def test_a_damaged_web_token_is_refused_by_the_name_of_its_file(folder: Path) -> None:
    state = StateFolder(folder)
    state.create()
    (folder / "web_token").write_text("short")
    with pytest.raises(ServerError, match=f"{folder}/web_token has only 5 characters.*: delete this file"):
        token_for(None, state)


@pytest.mark.parametrize("content", ["", "x", "0", "-5", "70000", "9" * 30])
def test_a_damaged_port_file_is_ignored(folder: Path, content: str) -> None:
    state = StateFolder(folder)
    state.create()
    (folder / "port").write_text(content)
    assert state.last_port() is None


@pytest.mark.parametrize("content", ["", "[]", "1", "null", '{"pid": 1}', '{"pid": "x"', "\x00" * 100])
def test_a_damaged_record_is_ignored(folder: Path, content: str) -> None:
    state = StateFolder(folder)
    state.create()
    state.instance_file.write_text(content)
    assert state.recorded() is None


def test_a_file_that_cannot_be_completed_keeps_its_old_text_and_nothing_is_left(folder: Path) -> None:
    file = folder / "file"
    write_private(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(file, "new \udc80")
    assert file.read_text() == "old"
    assert list(folder.iterdir()) == [file]


def test_files_that_were_never_completed_are_removed(folder: Path) -> None:
    StateFolder(folder).create()
    left = folder / "instance.json.123.new"
    left.touch()
    server.start(folder)
    assert not left.exists()


# ---- Process ids ----


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_the_record_of_a_dead_supervisor_is_not_used_while_its_successor_starts(
    folder: Path, innocent: subprocess.Popen[bytes]
) -> None:
    state = StateFolder(folder)
    before = server.start(folder)
    os.kill(before.redis_pid, signal.SIGSTOP)
    os.kill(before.pid, signal.SIGKILL)
    wait_for(lambda: not state.held(), what="the lock of the dead supervisor")
    record = json.loads(state.instance_file.read_text())
    state.instance_file.write_text(json.dumps(record | {"pid": innocent.pid}))
    next_one = subprocess.Popen(
        [sys.executable, "-m", "rededge_nb.cli", "up", "--detach", "--dir", str(folder)], stdout=subprocess.DEVNULL
    )
    wait_for(state.held, what="the successor", timeout=30)
    assert state.running() is None
    assert rededge("status", "--dir", folder).returncode == 3
    assert state.supervisor() not in (None, innocent.pid)
    assert server.stop(folder) is True
    assert next_one.wait(60) != 0 or state.running() is None
    assert innocent.poll() is None
    os.kill(before.redis_pid, signal.SIGKILL)
    after = server.start(folder)
    assert after.pid not in (before.pid, innocent.pid)
    assert server.find(folder) == after


def test_down_never_ends_a_process_that_has_the_process_id_by_now(
    folder: Path, innocent: subprocess.Popen[bytes]
) -> None:
    state = StateFolder(folder)
    state.create()
    with state.hold() as lock:
        assert lock is not None
        for text in (f"{innocent.pid} another:1\n", f"{innocent.pid}\n", "", f"{innocent.pid} \n"):
            lock.seek(0)
            lock.truncate()
            lock.write(text.encode())
            assert state.supervisor() is None
            state.end_supervisor()
    assert innocent.poll() is None
    assert start_time(innocent.pid) == start_time(innocent.pid) != ""


# ---- Files that are deleted while an instance runs ----


@pytest.fixture
def running(folder: Path) -> Instance:
    instance = server.start(folder / "state")
    wait_for(lambda: server_status(instance.url, instance)["state"] == OK, what="the worker", timeout=30)
    return instance


def test_deleted_logs_are_made_again(running: Instance) -> None:
    shutil.rmtree(running.dir / "logs")
    client = client_from_url(running.url)
    execute(client, "GB('ShardsIDReader').foreach(lambda r: print('printed again')).run()")
    worker_log = running.dir / "logs" / "worker.log"
    wait_for(lambda: worker_log.exists() and "printed again" in worker_log.read_text(), what="the line", timeout=30)
    (worker,) = workers_of(running.pid)
    worker.kill()  # the supervisor writes this into its log, and Redis a rewrite
    for name in ("supervisor.log", "redis.log"):
        start_rewrite(client)
        wait_for((running.dir / "logs" / name).exists, what=name, timeout=30)
    assert server.find(running.dir) is not None
    client.close()


def test_a_deleted_socket_is_made_again(running: Instance) -> None:
    client = client_from_url(running.tcp_url)
    client.set("kept", 1)
    client.close()
    running.socket.unlink()
    wait_for(running.socket.exists, what="the socket", timeout=30)
    client = client_from_url(running.url)
    wait_for(lambda: _get(client, "kept") == b"1", what="the data", timeout=30)
    found = server.find(running.dir)
    assert found is not None
    assert "its socket was deleted" in found.last_death


@pytest.mark.parametrize("what", ["data/appendonlydir", "data/appendonlydir/appendonly.aof.manifest"])
def test_deleted_data_is_written_again(running: Instance, what: str) -> None:
    client = client_from_url(running.url)
    client.set("kept", 1)
    path = running.dir / what
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    wait_for(lambda: StateFolder(running.dir).manifest_file.exists(), what="the data", timeout=30)
    wait_until_saved(client)
    client.set("after", 1)
    client.close()
    server.stop(running.dir)
    client = client_from_url(server.start(running.dir).url)
    assert (client.get("kept"), client.get("after")) == (b"1", b"1")
    client.close()


def test_a_deleted_data_folder_is_reported_and_the_data_in_memory_is_kept(running: Instance) -> None:
    client = client_from_url(running.url)
    client.set("kept", 1)
    gone = (running.dir / "data").rename(running.dir.parent / "gone")  # at once, so that nothing is written meanwhile
    shutil.rmtree(gone)
    told = wait_for(
        lambda: (found := rededge("status", "--dir", running.dir)) and "was deleted" in found.stdout and found,
        what="the report",
        timeout=60,
    )
    assert told.returncode == 1
    assert "nothing is saved and the next start finds no data" in told.stdout
    assert client.get("kept") == b"1"
    client.close()


def _moved(path: Path) -> None:
    path.rename(path.with_name("moved"))


@pytest.mark.parametrize("change", [_moved, shutil.rmtree, lambda path: (path / "lock").unlink()])
def test_an_instance_ends_and_says_so_if_its_folder_is_not_there_any_more(
    folder: Path, change: Callable[[Path], object]
) -> None:
    supervisor = server.run(folder / "state")
    seen: list[Instance] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            supervisor.run(seen.append)
        except ServerError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: seen, what="the server", timeout=60)
    client = client_from_url(seen[0].tcp_url)
    client.set("kept", 1)
    client.close()
    change(folder / "state")
    thread.join(60)
    assert "was moved or deleted while RedisEdge was running: it has ended" in str(failures[0])
    wait_for(lambda: not psutil.pid_exists(seen[0].redis_pid), what="the end of Redis")
    if (folder / "moved").exists():
        client = client_from_url(server.start(folder / "moved").url)
        assert client.get("kept") == b"1"
        client.close()
    else:
        assert server.find(folder / "state") is None
        assert server.start(folder / "state").pid != seen[0].pid


# ---- Logs ----


def test_logs_are_never_larger_than_their_limit_whatever_a_gear_prints(running: Instance) -> None:
    client = client_from_url(running.url)
    script = "GB('ShardsIDReader').foreach(lambda r: [print('x' * 1_000_000) for _ in range(120)]).run()"
    largest, ended = 0, threading.Event()

    def look() -> None:
        nonlocal largest
        while not ended.wait(0.001):
            largest = max(largest, server.disk_use(running.dir / "logs"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        execute(client, script)
    finally:
        ended.set()
        thread.join()
    client.close()
    assert 2_000_000 < largest < 2 * MAX_LOG_BYTES + 1_000_000
    assert (running.dir / "logs" / "worker.log.1").exists()


def test_printing_raises_no_error_if_nobody_reads_it() -> None:
    program = (
        "import logging, sys\nfrom rededge_nb.edge.worker.output import bound_output\nsys.stdin.read()\n"
        "bound_output()\nfor _ in range(5): print('x' * 100_000, flush=True); logging.warning('y' * 100_000)\n"
        "print('end')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for pipe in (process.stdout, process.stderr, process.stdin):
        assert pipe is not None
        pipe.close()
    assert process.wait(60) == 0


def _get(client: object, key: str) -> object:
    try:
        return client.get(key)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - it is starting
        return None
