"""`rededge lab` as a process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

from rededge_nb.edge import server
from rededge_nb.edge.server.redis_server import free_port
from rededge_nb.edge.server.state import Instance
from tests.cli.running import listens, rededge, started, status
from tests.waiting import wait_for


def test_lab_runs_until_a_signal(folder: Path, jupyter: dict[str, str]) -> None:
    port = free_port()
    copy = folder / "my notebooks"
    # without --allow-root: tests may run as root, and so may users
    options = ("--no-browser", f"--port={port}", "--IdentityProvider.token=t")
    words = ("lab", "--dir", folder / "state", "--notebooks", copy, "--", *options)
    with started(*words, env=jupyter, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert "RedisEdge is ready" in process.stdout.readline()
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: listens(f"{base}/lab"), what="JupyterLab", timeout=60)
        assert status(f"{base}/lab?token=t") == 200
        with urllib.request.urlopen(f"{base}/lab?token=t", timeout=60) as page:
            [text] = re.findall(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page.read().decode(), re.DOTALL)
        # it would ask whether to fetch news
        assert "@jupyterlab/apputils-extension:announcements" in json.loads(text)["disabledExtensions"]
        assert status(f"{base}/api/contents/02_register_gear.ipynb?token=t") == 200
        assert (copy / "00_start_here.ipynb").is_file()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_lab_uses_the_server_that_redis_url_names(edge: Instance, folder: Path, jupyter: dict[str, str]) -> None:
    elsewhere = jupyter | {"REDIS_URL": edge.tcp_url, "REDEDGE_DIR": str(folder)}
    done = rededge("lab", "--notebooks", folder / "copy", "--", "--version", env=elsewhere)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert server.find(folder) is None


def test_the_working_copy_can_be_made_and_restored(folder: Path) -> None:
    copy = folder / "copy"
    made = rededge("notebooks", "--notebooks", copy)
    assert made.stdout == f"the notebooks are in {copy}\n"
    (copy / "01_load_model.ipynb").write_text("mine")
    restored = rededge("notebooks", "--notebooks", copy, "--restore", "01_load_model")
    assert restored.stdout == f"01_load_model is the original again; yours is {copy / '01_load_model.mine-1.ipynb'}\n"
    assert (copy / "01_load_model.mine-1.ipynb").read_text() == "mine"
    refused = rededge("notebooks", "--notebooks", copy, "--restore", "nosuch")
    assert refused.returncode == 1
