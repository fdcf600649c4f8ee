"""Pages from the command line: dashboard, web. (test_lab.py is a separate file because it is slow.)"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import nbformat
import redis

from rededge_nb.edge import server
from rededge_nb.edge.server.redis_server import free_port
from rededge_nb.edge.server.state import Instance
from tests.cli.running import listens, rededge, started, status
from tests.waiting import wait_for


def test_the_dashboard_starts_and_stops_its_server(folder: Path, jupyter: dict[str, str]) -> None:
    words = ("dashboard", "--dir", folder, "--no-browser", "--port", free_port())
    with started(*words, env=jupyter, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert "RedisEdge is ready" in process.stdout.readline()
        link = process.stdout.readline().split()[-1]
        base, _, _ = link.partition("?token=")
        wait_for(lambda: listens(base), what="the page", timeout=60)
        assert status(link) == 200
        assert status(base) in (302, 403)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not listens(base)
    wait_for(lambda: server.find(folder) is None, what="the end of its server", timeout=30)


def test_a_notebook_of_ones_own_is_a_dashboard(edge: Instance, tmp_path: Path, jupyter: dict[str, str]) -> None:
    cells = [
        nbformat.v4.new_markdown_cell("# My door"),
        nbformat.v4.new_code_cell("number: int = 1"),
        nbformat.v4.new_code_cell("print(6 * number, open('word.txt').read())"),
    ]
    cells[1].metadata["tags"] = ["parameters"]
    (tmp_path / "word.txt").write_text("people")
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "mine.ipynb")
    words = ("dashboard", "--no-browser", "--port", free_port(), "--notebook", tmp_path / "mine.ipynb")
    refused = rededge(*words, "-p", "wrong", "1")
    assert refused.returncode == 1
    assert "has the parameter wrong; there are number" in refused.stderr
    words += ("-p", "number", "7")
    with started(*words, env=jupyter, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        link = next(line for line in process.stdout if "?token=" in line).split()[-1]
        wait_for(lambda: listens(link.partition("?")[0]), what="the page", timeout=60)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with opener.open(link, timeout=60) as page:
            text = page.read().decode()
        assert "42 people" in text
        assert "My door" in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_the_dashboards_port_is_taken(edge: Instance) -> None:
    done = rededge("dashboard", "--port", edge.port)
    assert done.returncode == 1
    assert done.stderr == f"rededge: port {edge.port} of 127.0.0.1 is in use: choose another one with --port\n"


def test_web(edge: Instance, client: redis.Redis) -> None:
    with started("web", "--port", 0, "--json", stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        served = json.loads(process.stdout.readline())
        assert status(f"{served['url']}healthz") == 200
        assert status(f"{served['url']}api/cameras") == 401
        assert status(f"{served['url']}api/cameras?token={served['token']}") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_web_without_a_server_or_a_host(edge: Instance, folder: Path) -> None:
    assert rededge("web", "--dir", folder).returncode == 3
    refused = rededge("web", "--host", "256.0.0.1", env=os.environ | {"REDEDGE_WEB_TOKEN": "t" * 40})
    assert refused.returncode == 1
    assert "256.0.0.1" in refused.stderr
