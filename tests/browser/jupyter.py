"""A JupyterLab of the tests' own, and notebooks run in it by a browser."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from playwright.sync_api import Page, Request

from rededge_nb import settings
from tests.paths import TOP
from tests.waiting import wait_for

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOADS = 5
TIMEOUT = 120.0
"""Seconds that anything in the browser may take."""

_PANEL = "(window.notebookPanel ?? window.jupyterapp?.shell?.currentWidget)"
_KERNEL = f"{_PANEL}?.sessionContext?.session?.kernel"
_HARMLESS = (
    # JupyterLab asks its server for a workspace and a translation that a fresh folder does not have
    "Failed to load resource",
    # JupyterLab's widget manager, asked for a model before the kernel of a page that was loaded again is connected,
    # shows this in the widget's place (see `load_again`); tests wait for what a widget shows, so they see it missing
    "widget model not found",
    # JupyterLab says this when a kernel ends that it has just asked something, often for its debugger
    "Canceled future for",
)
_WIDGET_MISSING = (
    "[...document.querySelectorAll('.jupyter-widgets')].some(each => each.textContent.includes('model not found'))"
)

_OPEN = """async ([path, kernel]) => {
    await jupyterapp.restored;
    const panel = await jupyterapp.commands.execute("docmanager:open", {
        path, factory: "Notebook", kernel: kernel ? { id: kernel } : undefined
    });
    await panel.context.ready;
    await panel.sessionContext.ready;
    window.notebookPanel = panel;
}"""
_CLOSE_ALL = """
    for (const widget of [...jupyterapp.shell.widgets("main")]) widget.dispose();
    delete window.notebookPanel;
"""
_FORGET = """
from ipywidgets import Widget
wb.close()
Widget.close_all()
get_ipython().reset()
"""
_RUN_ACTIVE_CELL = """
    await jupyterapp.commands.execute("notebook:run-cell");
    return notebookPanel.content.activeCell.model.outputs.toJSON().map(output =>
        output.text ?? output.traceback?.join("\\n") ?? output.data["text/plain"] ?? "").join("\\n");
"""
RUN_NEW_CELL = f"""async source => {{
    const content = notebookPanel.content;
    content.activeCellIndex = content.widgets.length - 1;
    await jupyterapp.commands.execute("notebook:insert-cell-below");
    content.activeCell.model.sharedModel.setSource(source);
    {_RUN_ACTIVE_CELL}
}}"""
_CHANGE = """
    const content = notebookPanel.content;
    const source = cell => cell.model.sharedModel.getSource();
    content.activeCellIndex = content.widgets.findIndex(
        cell => cell.model.type === "code" && source(cell).includes(old));
    content.activeCell.model.sharedModel.setSource(source(content.activeCell).replace(old, changed));
"""


@dataclass
class Lab:
    """A running JupyterLab.

    Attributes:
        folder: Of its notebooks.
    """

    url: str
    folder: Path
    log: Path


@dataclass
class Watch:
    """What a page did that it must not do."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.on("pageerror", lambda error: self._error("page error", str(error)))
        page.on("console", lambda message: message.type == "error" and self._error("console", message.text))
        page.on("request", self._request)

    def check(self) -> None:
        assert not self.outside, f"requests that leave the machine: {self.outside}"
        assert not self.errors, f"errors in the page: {self.errors}"

    def _error(self, kind: str, text: str) -> None:
        if not any(known in text for known in _HARMLESS):
            self.errors.append(f"{kind}: {text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.outside.append(request.url)


@contextmanager
def running_lab(folder: Path, environment: dict[str, str]) -> Iterator[Lab]:
    """Start a JupyterLab that keeps everything in `folder`, and end it with its kernels."""
    notebooks = folder / "notebooks"
    notebooks.mkdir(parents=True)
    _ask_for_no_news(folder / "config")
    command = [sys.executable, "-m", "jupyterlab", "--allow-root"]
    with started(command, notebooks, folder, environment) as lab:
        yield lab


@contextmanager
def started(command: Sequence[str], notebooks: Path, folder: Path, environment: dict[str, str]) -> Iterator[Lab]:
    """Start a JupyterLab by this command, and end it with its kernels.

    Args:
        command: Is run in the folder of the notebooks, with JupyterLab's options added.
        notebooks: JupyterLab's root.
        folder: For everything else that it keeps.
        environment: Its environment variables.
    """
    port, log = _free_port(), folder / "lab.log"
    places = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    places |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", f"--ServerApp.root_dir={notebooks}"]
    options += ["--IdentityProvider.token=", "--ServerApp.password=", "--expose-app-in-browser"]
    options += ["--ServerApp.terminals_enabled=False"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options], cwd=notebooks, env={**environment, **places}, stdout=output, stderr=output
        )
    lab = Lab(f"http://127.0.0.1:{port}", notebooks, log)
    try:
        wait_for(lambda: _answers(lab.url, process, log), timeout=TIMEOUT, what="JupyterLab to answer")
        yield lab
    finally:
        # on SIGTERM it ends its kernels first
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_notebook(lab: Lab, name: str, cells: Sequence[str]) -> Path:
    """A notebook of these code cells in the lab's folder."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = lab.folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def open_notebook(page: Page, lab: Lab, path: str) -> None:
    """Open a notebook, given by its path in the lab's folder, and wait for its kernel."""
    page.goto(f"{lab.url}/lab/tree/{path}?reset", timeout=TIMEOUT * 1000)
    wait_until_idle(page)
    # whatever else comes to the front later, this stays the notebook that is meant
    # (as a statement: the value of an expression would be sent to the test, and a panel may be too deep for that)
    page.evaluate("() => { window.notebookPanel = jupyterapp.shell.currentWidget }")


def open_in_same_page(page: Page, path: str, kernel: str | None = None) -> None:
    """Open a notebook in a page that JupyterLab has loaded already, and wait for its kernel.

    Args:
        kernel: Id of a running kernel, which it gets; else it gets one of its own.
    """
    page.wait_for_function("window.jupyterapp?.restored")
    page.evaluate(_OPEN, [path, kernel])
    wait_until_idle(page)


def close_notebooks(page: Page) -> None:
    """Close all tabs, saving nothing; kernels go on."""
    page.evaluate(f"() => {{ {_CLOSE_ALL} }}")


def kernel_id(page: Page) -> str:
    """Id of the kernel of the notebook."""
    return str(page.evaluate(f"{_KERNEL}.id"))


def forget_everything(page: Page) -> None:
    """Close the workbench `wb` and all widgets of the notebook's kernel, and delete its variables."""
    execute(page, _FORGET)


def load_again(page: Page, lab: Lab, path: str, *, shown: str) -> None:
    """Load the page of a notebook again until JupyterLab has its widgets back, which it has mostly at once.

    Args:
        shown: JavaScript that tells whether the widgets are there.
    """
    for _ in range(LOADS):
        open_notebook(page, lab, path)
        page.wait_for_function(f"{shown} || {_WIDGET_MISSING}")
        if page.evaluate(shown):
            return
    raise AssertionError(f"JupyterLab did not find the widgets of {path} again, {LOADS} times")


def wait_until_idle(page: Page) -> None:
    """Wait until the kernel of the notebook does nothing."""
    page.wait_for_function(f"{_KERNEL}?.status === 'idle'", timeout=TIMEOUT * 1000)


def run_all_cells(page: Page) -> None:
    """Begin running all cells of the notebook."""
    command(page, "notebook:run-all-cells")


def command(page: Page, name: str) -> None:
    """Execute a command of JupyterLab, not waiting for its end."""
    page.evaluate("name => { jupyterapp.commands.execute(name) }", name)


def shut_down_kernel(page: Page) -> None:
    """End the kernel of the notebook, saving nothing."""
    page.evaluate(f"async () => {{ await {_PANEL}?.sessionContext?.shutdown() }}")


def run_new_cell(page: Page, source: str) -> str:
    """Add a cell at the end of the notebook, run it, and wait for its end; returns what it shows, as text."""
    return str(page.evaluate(RUN_NEW_CELL, source))


def run_again(page: Page) -> str:
    """Run the cell that was run last once more; returns what it shows, as text."""
    return str(page.evaluate(f"async () => {{ {_RUN_ACTIVE_CELL} }}"))


def change(page: Page, old: str, new: str) -> None:
    """Change the first cell that contains `old`."""
    page.evaluate(f"([old, changed]) => {{ {_CHANGE} }}", [old, new])


def change_and_run(page: Page, old: str, new: str) -> str:
    """Change the first cell that contains `old`, run it, and wait for its end; returns what it shows, as text."""
    return str(page.evaluate(f"async ([old, changed]) => {{ {_CHANGE} {_RUN_ACTIVE_CELL} }}", [old, new]))


def execute(page: Page, code: str) -> str:
    """Run code in the kernel of the notebook, besides its cells; returns what it prints.

    An error in the code fails the test.
    """
    reply = page.evaluate(
        f"""async code => {{
            const future = {_KERNEL}.requestExecute({{ code, store_history: false }});
            let printed = "";
            future.onIOPub = message => {{
                if (message.header.msg_type === "stream") printed += message.content.text;
            }};
            const reply = await future.done;
            const error = (reply.content.traceback ?? []).join("\\n");
            return {{ status: reply.content.status, printed, error }};
        }}""",
        code,
    )
    assert reply["status"] == "ok", reply["error"]
    return str(reply["printed"])


def environment() -> dict[str, str]:
    """Environment for a lab whose kernels use the tests' server and import this checkout."""
    root = TOP
    kept = {name: value for name, value in os.environ.items() if name != settings.REDIS_URL}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(root), *kept.get("PYTHONPATH", "").split(os.pathsep)])}


def _ask_for_no_news(config: Path) -> None:
    settings_folder = config / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings_folder.mkdir(parents=True)
    wanted = {"fetchNews": "false", "checkForUpdates": False}
    (settings_folder / "notification.jupyterlab-settings").write_text(json.dumps(wanted))


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"JupyterLab ended: {log.read_text()[-2000:]}"
    try:
        with urllib.request.urlopen(f"{url}/api/status", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
