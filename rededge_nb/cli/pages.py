"""Commands that show pages in a browser: web, lab, dashboard."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import click

from rededge_nb import assets, settings
from rededge_nb.cli.base import (
    EXIT_FAILED,
    directory_option,
    echo,
    echo_address,
    echo_json,
    examples,
    parameters_option,
    server_address,
)
from rededge_nb.edge.processes import on_signals
from rededge_nb.errors import ConfigurationError


@click.command(
    epilog=examples(
        "rededge web                            then open the link that it prints",
        "rededge web --host 0.0.0.0 --port 8080",
        'curl -o now.jpg "http://127.0.0.1:5000/snapshot.jpg?camera=0&token=TOKEN"',
    ),
)
@directory_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="0 means any free port.")
@click.option("--edit", is_flag=True, help="Also print a link with which lines and zones can be changed.")
@click.option("--json", "as_json", is_flag=True, help="Print address and token as JSON.")
def web(directory: Path | None, host: str, port: int, edit: bool, as_json: bool) -> None:
    """Serve the cameras' video with boxes and charts to browsers, until Ctrl-C.

    Each request needs a token: that of REDEDGE_WEB_TOKEN, or a generated one, which is kept in the state folder. A link
    with the token is printed, in a terminal each time, elsewhere only when the token is new: others may read a log.
    """
    from rededge_nb.web import Ready
    from rededge_nb.web import run as run_web

    def ready(served: Ready) -> None:
        if as_json:
            tokens = {"token": served.token} | ({"edit_token": served.edit_token} if edit else {})
            echo_json({"url": served.url} | tokens, one_line=True)
            return
        if served.token_is_new or sys.stdout.isatty():
            echo(f"the video is on {served.link}")
        else:
            echo(f"the video is on {served.url} (in a terminal, a link with the token is printed)")
        if edit and (served.token_is_new or sys.stdout.isatty()):
            echo(f"lines and zones can be changed on {served.edit_link}")

    stop = threading.Event()
    address, _ = server_address(directory)
    on_signals(stop.set)
    run_web(
        address,
        host=host,
        port=port,
        token=settings.web_token(),
        directory=directory,
        edit=edit,
        on_ready=ready,
        stop=stop,
    )


folder_option = click.option(
    "--notebooks",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("rededge-notebooks"),
    show_default=True,
    help="Working copy of the notebooks.",
)


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "rededge lab",
        "rededge lab --notebooks ~/course",
        "rededge lab -- --no-browser --port 8889",
    ),
)
@directory_option
@folder_option
@click.option("--originals", is_flag=True, help="Open the original notebooks, which the pipeline runs.")
@click.argument("jupyter_options", nargs=-1, type=click.UNPROCESSED)
def lab(directory: Path | None, folder: Path, originals: bool, jupyter_options: tuple[str, ...]) -> None:
    """Start JupyterLab with a working copy of the notebooks; RedisEdge runs as long as JupyterLab does.

    The copy is created at the first start. Later, notebooks that you have not changed are updated. Options after `--`
    are passed to JupyterLab.
    """
    from rededge_nb.jupyter import working_copy

    _need("jupyterlab", "lab")
    from rededge_nb.jupyter import launcher, server_log

    if originals:
        folder = assets.folder("notebooks")
    else:
        echo(working_copy.prepare(folder), err=True)
    with _server_while_used(directory):
        command = [sys.executable, "-P", "-m", "jupyterlab", str(folder / working_copy.FIRST)]
        command.append(f"--ServerApp.logging_config={server_log.LOGGING_CONFIG}")
        if os.geteuid() == 0:
            # in containers, WSL and virtual machines people are root, and JupyterLab would refuse to start; it listens
            # on the loopback interface, and asks for a token
            command.append("--allow-root")
        sys.exit(_run([*command, *jupyter_options], **launcher.lab_environment()))


@click.command(
    epilog=examples(
        "rededge notebooks",
        "rededge notebooks --restore 02_register_gear",
    ),
)
@folder_option
@click.option("--restore", "name", metavar="NAME", help="Take the original of this notebook; yours is kept beside it.")
def notebooks(folder: Path, name: str | None) -> None:
    """Create or update a working copy of the notebooks, as `rededge lab` does.

    Notebooks that you have changed are not overwritten.
    """
    from rededge_nb.jupyter import working_copy

    if name is None:
        echo(working_copy.prepare(folder))
        return
    mine = working_copy.restore(name, folder)
    echo(f"{name} is the original again" + (f"; yours is {mine}" if mine else ""))


@click.command(
    epilog=examples(
        "rededge dashboard",
        "rededge dashboard --port 9000 --no-browser",
        "rededge dashboard -p camera door",
        "rededge dashboard --notebook mine.ipynb -p minutes 10",
    ),
)
@directory_option
@click.option("--port", type=click.IntRange(1, 65535), default=8866, show_default=True, help="Port on 127.0.0.1.")
@click.option("--browser/--no-browser", default=True, help="Open it in a browser.")
@click.option(
    "--notebook",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Show this notebook of your own instead.",
)
@parameters_option
def dashboard(
    directory: Path | None, port: int, browser: bool, notebook: Path | None, parameters: dict[str, object]
) -> None:
    """Serve the dashboard as a separate page (voila); RedisEdge runs as long as it does.

    The printed address contains a new token each time. Whoever has the address may see the dashboard.
    """
    from rededge_nb.edge.server.redis_server import port_is_free
    from rededge_nb.jupyter import launcher

    _need("voila", "voila")
    if not port_is_free(port):
        raise ConfigurationError(f"port {port} of 127.0.0.1 is in use: choose another one with --port")
    token = secrets.token_hex(32)
    with contextlib.ExitStack() as stack:
        shown = notebook or launcher.dashboard_notebook()
        if parameters:
            from rededge_nb.pipeline.parameters import with_parameters

            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="rededge-"))
            shown = with_parameters(shown, parameters, Path(temporary))
        stack.enter_context(_server_while_used(directory))
        echo(f"the dashboard is on http://127.0.0.1:{port}/?token={token}")
        words = [f"--port={port}", "--Voila.base_url=/", f"--Voila.open_browser={browser}"]
        command = launcher.page_command(*words, notebook=shown, with_text=notebook is not None)
        sys.exit(_run(command, **launcher.page_environment(token)))


@contextlib.contextmanager
def _server_while_used(directory: Path | None) -> Iterator[None]:
    """Run a server that child processes find. It ends afterwards, unless it ran before."""
    from rededge_nb.edge import server
    from rededge_nb.edge.server.state import StateFolder

    if directory is None and settings.redis_url():
        yield
        return
    folder = StateFolder(directory or settings.state_dir())
    folder.create()
    with folder.use(), settings.state_dir_set_to(folder.path):
        echo_address(server.start(folder.path, while_used=True))
        yield


def _run(command: list[str], **environment: str) -> int:
    """Run a command until it or this process is asked to end; returns an exit code."""
    from rededge_nb.edge.processes import end_with_parent

    signals: list[int] = []

    def end(number: int, _: object) -> None:
        signals.append(number)
        if number == signal.SIGTERM:
            process.terminate()

    with subprocess.Popen(command, env=os.environ | environment, preexec_fn=end_with_parent()) as process:
        # the terminal sends Ctrl-C to both processes, and the command decides what it means: JupyterLab asks first
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        return EXIT_FAILED if process.wait() and not signals else 0


def _need(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise ConfigurationError(f"this needs {package}: pip install 'rededge_nb[{extra}]'")
