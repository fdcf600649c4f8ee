"""Disks that are full, read-only or damaged, and passwords that were changed."""

from __future__ import annotations

import ctypes
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from rededge_nb import schema
from rededge_nb.capture.run import start_capture
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.binaries import find_binaries
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.errors import ServerError
from rededge_nb.monitoring.status import OK, server_status
from rededge_nb.web import WebServer
from tests.append_only_file import rewrite
from tests.cli.running import COMMAND, rededge
from tests.gear_scripts import execute
from tests.waiting import wait_for
from tests.web.site import ask

ENTRIES = 200
GEAR = """
def work(r):
    execute('XADD', 'camera:0:yolo', '*', 'ref', r['id'], 'boxes', '[]', 'people', 0)
GB('StreamReader').foreach(work).register('camera:0', trimStream=False, onFailedPolicy='retry', onFailedRetryInterval=0)
"""


def append_only_file(folder: Path, data: str = "data") -> Path:
    (file,) = (folder / data / "appendonlydir").glob("*.incr.aof")
    return file


@pytest.fixture
def written(folder: Path) -> Path:
    """A state folder that was closed with so many entries in a stream."""
    instance = server.start(folder)
    client = client_from_url(instance.url)
    for number in range(ENTRIES):
        client.xadd("s", {"n": number, "text": "x" * 100})
    client.close()
    server.stop(folder)
    return folder


def entries_after_start(folder: Path) -> int:
    client = client_from_url(server.start(folder).url)
    found = client.xlen("s")
    client.close()
    return int(found)


def test_data_with_an_incomplete_end_is_loaded_without_it(written: Path) -> None:
    file = append_only_file(written)
    last = file.read_bytes().rindex(b"XADD")
    os.truncate(file, last + 50)
    assert entries_after_start(written) == ENTRIES - 1


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 0xFF
    file.write_bytes(content)


def manifest(state: Path) -> Path:
    return state / "data" / "appendonlydir" / "appendonly.aof.manifest"


def base_file(state: Path) -> Path:
    (file,) = manifest(state).parent.glob("*.base.rdb")
    return file


def middle(state: Path, word: bytes) -> tuple[Path, int]:
    """The append-only file, and the position of a word in its middle."""
    file = append_only_file(state)
    content = file.read_bytes()
    return file, content.index(word, len(content) // 2)


DAMAGES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "a changed byte in the name of a command": (lambda state: flip(*middle(state, b"XADD")), False),
    "a changed byte in a length": (lambda state: flip(*middle(state, b"$4")), False),
    "zeros at the end": (
        lambda state: os.truncate(append_only_file(state), append_only_file(state).stat().st_size + 4096),
        True,
    ),
    "no file of commands": (lambda state: append_only_file(state).unlink(), False),
    "an empty file of commands": (lambda state: os.truncate(append_only_file(state), 0), False),
    "a shorter file of commands": (lambda state: os.truncate(append_only_file(state), 5_000), False),
    "a changed byte in the base": (lambda state: flip(base_file(state), base_file(state).stat().st_size // 2), False),
    "a changed first byte in the base": (lambda state: flip(base_file(state), 0), False),
    "a shorter base": (lambda state: os.truncate(base_file(state), 20), False),
    "an empty base": (lambda state: os.truncate(base_file(state), 0), False),
    "no base": (lambda state: base_file(state).unlink(), False),
    "a manifest of nonsense": (lambda state: manifest(state).write_text("nonsense\n"), True),
    "an empty manifest": (lambda state: os.truncate(manifest(state), 0), True),
    "no manifest": (lambda state: manifest(state).unlink(), True),
    "no files": (lambda state: shutil.rmtree(manifest(state).parent), False),
    "no folder": (lambda state: shutil.rmtree(state / "data"), False),
}
"""What is done to the data, and whether all of it can be kept nevertheless."""


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder that was closed with 50 keys in its base, and 100 entries since then."""
    state = tmp_path_factory.mktemp("closed") / "state"
    client = client_from_url(server.start(state).url)
    for number in range(50):
        client.set(f"key {number}", number)
    rewrite(client)
    for number in range(100):
        client.xadd("s", {"n": number, "text": "x" * 100})
    client.close()
    server.stop(state)
    return state


@pytest.mark.parametrize("what", DAMAGES)
def test_damaged_data_is_never_loaded_in_part_and_can_be_repaired(closed: Path, folder: Path, what: str) -> None:
    damage, keeps_all = DAMAGES[what]
    state = folder / "state"
    shutil.copytree(closed, state, symlinks=True)
    damage(state)
    before = {path.name: path.read_bytes() for path in (state / "data").rglob("*") if path.is_file()}
    with pytest.raises(ServerError, match=r"the data in .* cannot be loaded \(.*\) and was left as it is: ") as caught:
        server.start(state)
    message = str(caught.value)
    assert "\n" not in message
    assert message in rededge("status", "--dir", state).stderr
    assert {path.name: path.read_bytes() for path in (state / "data").rglob("*") if path.is_file()} == before
    command = message.partition("`")[2].partition("`")[0]
    told = rededge(*shlex.split(command)[1:])
    assert told.returncode == 0, told.stderr
    (copy,) = state.glob("data-damaged-*")
    assert f"the data as it was is in {copy}\n" in told.stdout
    assert {path.name: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    client = client_from_url(server.start(state).url)
    keys, entries = len(client.keys("key *")), client.xlen("s")
    client.close()
    if keeps_all:
        assert (keys, entries) == (50, 100)
    elif "base" in what:
        assert (keys, entries) == (0, 100)
    elif "changed byte" in what:
        assert keys == 50
        assert 40 < entries < 60
        assert "bytes were kept" in told.stdout


def test_data_that_is_not_damaged_is_kept_by_a_repair(written: Path) -> None:
    assert "nothing had to be left out\n" in rededge("repair", "--dir", written).stdout
    assert entries_after_start(written) == ENTRIES
    told = rededge("repair", "--dir", written)
    assert (told.returncode, "is running in" in told.stderr) == (1, True)


def test_a_full_disk_is_reported_and_all_continues_when_it_has_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = folder / "redis-server"
    wrapper.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {find_binaries().redis_server} \"$@\"\n")
    wrapper.chmod(0o755)
    monkeypatch.setenv("REDEDGE_REDIS_SERVER", str(wrapper))
    instance = server.start(folder / "state")
    client = client_from_url(instance.url)
    execute(client, GEAR)
    wait_for(lambda: server_status(instance.url, instance)["state"] == OK, what="the worker", timeout=30)
    running = start_capture(client, "synthetic:people=2,size=128x64", pace="asap")
    wait_for(lambda: running.report.frames > 10, what="frames", timeout=30)
    before = resource.prlimit(instance.redis_pid, resource.RLIMIT_FSIZE)
    full = append_only_file(folder / "state").stat().st_size + 100_000
    resource.prlimit(instance.redis_pid, resource.RLIMIT_FSIZE, (full, before[1]))
    wait_for(lambda: running.problem and "MISCONF" in running.problem, what="the capture to wait", timeout=60)
    with pytest.raises(redis.ResponseError, match="MISCONF"):
        client.set("refused", 1)
    told = rededge("status", "--dir", folder / "state")
    assert told.returncode == 1, told.stderr
    assert "Redis refuses writes because it cannot save them: check whether the disk is full" in told.stdout
    with WebServer(instance.url, port=0, directory=folder / "state") as web:
        answer = ask(web.port, "/healthz")
        assert (answer.status, answer.json["redis"]) == (503, True)
        assert "check whether the disk is full" in answer.json["status"]
        resource.prlimit(instance.redis_pid, resource.RLIMIT_FSIZE, before)
        frames = running.report.frames
        wait_for(lambda: running.report.frames > frames + 10, what="frames after that", timeout=60)
        wait_for(lambda: ask(web.port, "/healthz").status == 200, what="good health", timeout=30)
    assert running.stop().frames > frames
    sent = {entry_id for entry_id, _ in client.xrange(schema.frames_key(0))}
    wait_for(
        lambda: sent <= {fields[b"ref"] for _, fields in client.xrange(schema.detections_key(0))},
        what="an answer to every frame",
        timeout=30,
    )
    assert server.find(folder / "state") == instance
    client.close()


def test_the_error_for_a_state_folder_that_cannot_be_written_names_it(folder: Path) -> None:
    state = StateFolder(folder / "state")
    state.create()
    for locked, said in ((state.data, "Permission denied"), (folder, "cannot be made or used")):
        name = folder / "state" if locked is state.data else folder / "other"
        locked.chmod(0o500)
        done = subprocess.run(
            [*COMMAND, "up", "--detach", "--dir", str(name)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            preexec_fn=_no_exceptions_for_root(),
        )
        locked.chmod(0o700)
        assert done.returncode == 1
        assert done.stderr.startswith("rededge: ")
        assert said in done.stderr
        assert str(folder) in done.stderr
        assert "Traceback" not in done.stderr
    assert server.find(folder / "state") is None


def test_a_changed_password_is_reported_and_used_from_the_next_start(folder: Path) -> None:
    instance = server.start(folder)
    old = client_from_url(instance.url)
    execute(old, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('s')")
    (folder / "password").write_text("changed-by-hand-" * 3 + "\n")
    for command in ("status", "init"):
        told = rededge(command, "--dir", folder)
        assert told.returncode == 3
        assert "refuses the password" in told.stderr
        assert "restart the server with `rededge down` and `rededge up`" in told.stderr
    # a server that dies meanwhile comes back with the password that it had, for those who know that
    os.kill(instance.redis_pid, signal.SIGKILL)
    wait_for(lambda: (found := server.find(folder)) and found.redis_pid != instance.redis_pid, what="Redis", timeout=30)
    old.xadd("s", {"n": 1})
    wait_for(lambda: old.get("n") == b"1", what="the gear", timeout=30)
    with pytest.raises(redis.AuthenticationError):
        client_from_url(instance.url).ping()
    assert rededge("down", "--dir", folder).stdout == "stopped\n"
    new = client_from_url(server.start(folder).url)
    assert new.get("n") == b"1"
    for client in (old, new):
        client.close()


def _no_exceptions_for_root() -> Callable[[], None] | None:
    """What a child of root runs so that permissions hold for it, too."""
    if os.geteuid() != 0:
        return None
    assert sys.platform == "linux"
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2

    def drop() -> None:
        for capability in (dac_override, dac_read_search):
            prctl(drop_from_bounding_set, capability)

    return drop
