"""The dashboard's own page: what jupyter-server-proxy is told, and who may see it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from jupyter_server_proxy.config import ServerProcess

from rededge_nb.jupyter import launcher, watched_page
from tests.waiting import wait_for

TOKEN = "a-token-of-the-test"


BUSY_NOTEBOOK = """
import ipywidgets, threading, time
label = ipywidgets.Label()
def update():
    while True:
        label.value = str(time.monotonic())
        time.sleep(0.05)
threading.Thread(target=update, daemon=True).start()
label
"""


@pytest.fixture
def page(tmp_path: Path, environment: dict[str, str]) -> Iterator[int]:
    """Port of the page."""
    with started_page(tmp_path, environment) as port:
        yield port


@contextmanager
def started_page(
    tmp_path: Path, environment: dict[str, str], *options: str, notebook: Path | None = None
) -> Iterator[int]:
    """Port of a page."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    places = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    log = tmp_path / "voila.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            launcher.page_command(f"--port={port}", "--Voila.base_url=/", *options, notebook=notebook),
            env={**environment, **places, **launcher.page_environment(TOKEN)},
            stdout=output,
            stderr=output,
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(answers, timeout=60, what="the page")
        yield port
    finally:
        process.terminate()
        process.wait(30)


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str


def ask(port: int, path: str, **headers: str) -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as reply:
            return Answer(reply.status, reply.headers, reply.read().decode())


def test_it_is_in_the_launcher_of_an_installation() -> None:
    (found,) = [each for each in entry_points(group="jupyter_serverproxy_servers") if each.name == "rededge"]
    assert found.load() is launcher.dashboard


def test_the_proxy_accepts_the_settings() -> None:
    told = launcher.dashboard()
    process = ServerProcess(name="rededge", **told)
    assert process.launcher_entry.title == "People dashboard"
    assert Path(process.launcher_entry.icon_path).is_file()
    filled = [word.format(port=1234, base_url="/user/me/", unix_socket="") for word in told["command"]]
    assert filled[-3:] == ["dashboard", "1234", "/user/me/rededge/"]
    served = watched_page.command_of("dashboard", 1234, "/user/me/rededge/")
    assert served[-2:] == ["--port=1234", "--Voila.base_url=/user/me/rededge/"]
    assert not any(
        "{" in value for value in [*told["environment"].values(), *told["request_headers_override"].values()]
    )


def test_each_page_has_a_token_of_its_own_that_is_not_on_its_command_line() -> None:
    one, other = launcher.dashboard(), launcher.dashboard()
    token = one["environment"]["JUPYTER_TOKEN"]
    assert token != other["environment"]["JUPYTER_TOKEN"]
    assert one["request_headers_override"] == {"Authorization": f"token {token}"}
    assert not any(token in word for word in one["command"])


def test_settings_that_a_user_has_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", "/opt/jupyter")
    first, second = launcher.page_environment("")["JUPYTER_PATH"].split(os.pathsep)
    assert second == "/opt/jupyter"
    assert (Path(first) / "voila" / "templates" / "rededge" / "index.html.j2").is_file()


@pytest.mark.parametrize("path", ["/", "/api/kernels/00000000-0000-0000-0000-000000000000/channels"])
def test_it_cannot_be_opened_without_the_token(page: int, path: str) -> None:
    for headers in ({}, {"Authorization": "token wrong"}):
        answer = ask(page, path, **headers)
        assert answer.status in (302, 403)
        assert answer.headers.get("Location", "/login").startswith("/login")


def test_a_token_of_the_jupyter_server_in_the_address_does_no_harm(page: int) -> None:
    answer = ask(page, "/?token=of-the-jupyter-server", Authorization=f"token {TOKEN}")
    assert answer.status == 200, answer.headers


def test_it_may_contact_only_its_own_server(page: int) -> None:
    answer = ask(page, "/", Authorization=f"token {TOKEN}")
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy
    assert 'rel="stylesheet" href="http' not in answer.text
    assert "application/vnd.jupyter.widget-view+json" in answer.text


def test_a_kernel_ends_whose_page_has_gone_without_a_word(tmp_path: Path, environment: dict[str, str]) -> None:
    """Widgets that change all the time do not keep it."""
    notebook = tmp_path / "busy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BUSY_NOTEBOOK)]), notebook)
    soon = ("--MappingKernelManager.cull_idle_timeout=1", "--MappingKernelManager.cull_interval=1")
    with started_page(tmp_path, environment, *soon, notebook=notebook) as port:
        assert ask(port, "/", Authorization=f"token {TOKEN}").status == 200
        log = tmp_path / "voila.log"
        wait_for(lambda: "Ending kernel" in log.read_text(), timeout=60, what="the end of the kernel")
