"""The tile in JupyterLab's launcher: what jupyter-server-proxy is told, and the process that it starts."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import psutil
from jupyter_server_proxy.config import ServerProcess

from rededge_nb.edge.server.state import Instance
from rededge_nb.jupyter import launcher
from tests.waiting import wait_for
from tests.web.site import ask


def test_it_is_in_the_launcher_of_an_installation() -> None:
    (found,) = [each for each in entry_points(group="jupyter_serverproxy_servers") if each.name == "rededge-video"]
    assert found.load() is launcher.video


def test_the_proxy_accepts_the_settings() -> None:
    told = launcher.video()
    process = ServerProcess(name="rededge-video", **told)
    assert process.launcher_entry.title == "Live video"
    assert Path(process.launcher_entry.icon_path).is_file()
    token = told["request_headers_override"]["Authorization"].removeprefix("Bearer ")
    assert told["environment"] == {"REDEDGE_WEB_TOKEN": token}
    assert not any(token in word for word in told["command"])
    assert token not in str(launcher.video())


@contextmanager
def running_video(port: int, log: Path, **environment: str) -> Iterator[dict[str, Any]]:
    """The process as the proxy starts it; gives the settings for the proxy."""
    told = launcher.video()
    command = [word.format(port=port) for word in told["command"]]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **told["environment"], **environment}, stdout=output, stderr=output
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(answers, timeout=60, what="the web server")
        yield told
    finally:
        process.terminate()
        process.wait(30)


def test_the_process_serves_the_proxy_and_nobody_else(edge: Instance, tmp_path: Path) -> None:
    port = free_port()
    with running_video(port, tmp_path / "log") as told:
        assert ask(port, "/").status == 401
        headers = told["request_headers_override"]
        assert ask(port, "/", Host="hub.example.org", **headers).status == 200
        assert ask(port, "/api/cameras", **headers).status == 200


def test_a_page_that_hangs_is_killed_and_started_again(edge: Instance, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with running_video(port, log, REDEDGE_HANG_TIMEOUT="5") as told:
        first = server_at(port)
        assert ask(port, "/", **told["request_headers_override"]).status == 200
        first.suspend()
        wait_for(lambda: not first.is_running(), timeout=60, what="the end of the page that hangs")
        again = wait_for(lambda: server_at(port), timeout=60, what="another one")
        assert ask(port, "/", **told["request_headers_override"]).status == 200
        assert again.pid != first.pid
        assert f"the live video (process {first.pid}) did not answer for 5 s and was killed" in log.read_text()
    wait_for(lambda: not again.is_running(), timeout=30, what="its end")


def server_at(port: int) -> Any:
    """The process that listens on that port, None if there is none."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any(
                each.laddr and each.laddr.port == port and each.status == "LISTEN" for each in process.net_connections()
            ):
                return process
    return None


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
