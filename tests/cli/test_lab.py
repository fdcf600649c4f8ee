"""`rededge lab` as a process."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from rededge_nb.edge import server
from rededge_nb.edge.server.redis_server import free_port
from rededge_nb.edge.server.state import Instance
from tests.cli.running import listens, rededge, started, status
from tests.waiting import wait_for


def test_lab_runs_until_a_signal(folder: Path, jupyter: dict[str, str]) -> None:
    port = free_port()
    options = ("--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=t")
    with started("lab", "--dir", folder, "--", *options, env=jupyter, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert "RedisEdge is ready" in process.stdout.readline()
        wait_for(lambda: listens(f"http://127.0.0.1:{port}/lab"), what="JupyterLab", timeout=60)
        assert status(f"http://127.0.0.1:{port}/lab?token=t") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_lab_uses_the_server_that_redis_url_names(edge: Instance, folder: Path, jupyter: dict[str, str]) -> None:
    elsewhere = jupyter | {"REDIS_URL": edge.tcp_url, "REDEDGE_DIR": str(folder)}
    done = rededge("lab", "--", "--version", env=elsewhere)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert server.find(folder) is None
