"""The tile in JupyterLab's launcher: what jupyter-server-proxy is told, and the process that it starts."""

from __future__ import annotations

import os
import socket
import subprocess
from importlib.metadata import entry_points
from pathlib import Path

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


def test_the_process_serves_the_proxy_and_nobody_else(edge: Instance, tmp_path: Path) -> None:
    told = launcher.video()
    port = free_port()
    command = [word.format(port=port) for word in told["command"]]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **told["environment"]}, stdout=output, stderr=output)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(answers, timeout=60, what="the web server")
        assert ask(port, "/").status == 401
        headers = told["request_headers_override"]
        assert ask(port, "/", Host="hub.example.org", **headers).status == 200
        assert ask(port, "/api/cameras", **headers).status == 200
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
