"""`rededge notify` as a process: a test message, kills, and logs without secrets."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from rededge_nb import schema
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.errors import ServerError
from tests.bare import BareServer
from tests.notify.receivers import Receiver, receiver
from tests.notify.running import add_event, has_begun
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

KILLS = 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "notify.yaml"


def write_target(file: Path, server: Receiver, more: str = "") -> None:
    url = server.url.replace("127.0.0.1", "user:${PASSWORD_OF_TEST}@127.0.0.1")
    file.write_text(f"targets:\n  - name: office\n    type: webhook\n    url: {url}\n    timeout: 30\n{more}")


def command(file: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "rededge_nb.cli", "notify", str(file), *words]


def environment(server: BareServer) -> dict[str, str]:
    return {**os.environ, "REDIS_URL": f"unix://{server.socket}", "PASSWORD_OF_TEST": "wxyz-secret"}


@contextmanager
def running(file: Path, server: BareServer, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(command(file), env=environment(server), stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_test_message_says_which_target_has_it(file: Path, shared_bare_server: BareServer) -> None:
    with receiver() as server:
        write_target(
            file, server, "  - {name: nobody, type: webhook, url: 'http://127.0.0.1:9/?key=${PASSWORD_OF_TEST}'}\n"
        )
        done = subprocess.run(
            command(file, "--test"), env=environment(shared_bare_server), capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "office: sent" in done.stdout
        assert "nobody: ConnectError" in done.stdout
        assert "wxyz" not in done.stdout + done.stderr
        assert server.got[0]["kind"] == "test"


def test_a_notifier_that_is_killed_loses_nothing(
    file: Path, shared_bare_server: BareServer, bare_client: redis.Redis, tmp_path: Path
) -> None:
    bare_client.sadd(schema.CAMERAS_KEY, "0", "1")
    log, ids = tmp_path / "log", []
    with receiver() as server:
        write_target(file, server)
        for number in range(KILLS):
            server.answers = [500]
            with running(file, shared_bare_server, log) as process:
                wait_for(lambda: has_begun(bare_client, "office"), timeout=60, what="the consumer group")
                ids += [add_event(bare_client, camera) for camera in "0101"]
                last = ids[-1 - number]
                wait_for(lambda last=last: last in server.tried, timeout=60, what="an attempt")
                process.send_signal(signal.SIGKILL)
                process.wait()
        with running(file, shared_bare_server, log) as process:
            ids.append(add_event(bare_client, "0"))
            wait_for(lambda: set(server.ids()) == set(ids), timeout=60, what="all events")
            process.terminate()
            assert process.wait(60) == 0
        for camera in "01":
            of_camera = [each for each in ids if each.startswith(camera)]
            assert list(dict.fromkeys(each for each in server.ids() if each.startswith(camera))) == of_camera
    text = log.read_text()
    assert "the receiver answers 500" in text
    assert "wxyz" not in text


def test_up_runs_a_notifier_which_is_started_again(file: Path, folder: Path) -> None:
    def notifiers() -> list[int]:
        found = []
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                found += [int(process.name)] if b"notify" in words and str(file).encode() in words else []
        return found

    with receiver() as to:
        file.write_text(f"targets: [{{name: office, type: webhook, url: '{to.url}'}}]\n")
        instance = server.start(folder, notify=file)
        client = client_from_url(instance.url)
        client.sadd(schema.CAMERAS_KEY, "0")
        wait_for(lambda: has_begun(client, "office"), timeout=60, what="the consumer group")
        (first,) = notifiers()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: notifiers() not in ([], [first]), timeout=60, what="another notifier")
        event_id = add_event(client, "0")
        wait_for(lambda: event_id in to.ids(), timeout=60, what="the event")
        client.close()
        with pytest.raises(ServerError, match="is running already"):
            server.start(folder, notify=file)
        server.stop(folder)
        wait_for(lambda: not notifiers(), timeout=60, what="the end of the notifier")
