"""What all commands have in common: help with examples, messages for wrong usage, completion, no tracebacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from rededge_nb import __version__
from rededge_nb.cli import main
from rededge_nb.edge.server.state import Instance
from tests.cli.running import COMMAND, rededge


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found += commands(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
    return found


def test_the_help_of_every_command_has_examples_of_it() -> None:
    known = commands(main)
    assert len(known) >= 25
    context = click.Context(main, info_name="rededge")
    for path in known:
        command: click.Command = main
        for name in path:
            assert isinstance(command, click.Group)
            command = command.commands[name]
        text = command.get_help(click.Context(command, parent=context, info_name=" ".join(path)))
        _, heading, lines = text.partition("\n  Examples:\n")
        assert heading, path
        assert " ".join(("rededge", *path)) in lines, path


def test_help_and_version_as_a_process() -> None:
    shown = rededge("--help")
    assert shown.returncode == 0
    assert "\n    rededge up --detach   " in shown.stdout
    assert "Exit codes: 0 done" in shown.stdout
    assert rededge("gears", "pause", "-h").stdout.startswith("Usage: rededge gears pause [OPTIONS] NAME\n")
    assert rededge("--version").stdout == f"rededge, version {__version__}\n"


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Restores the handlers of signals, which some commands set: they run in this process here."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = CliRunner().invoke(main, ["completion", shell])
    assert script.exit_code == 0
    assert "_REDEDGE_COMPLETE" in script.stdout


def test_completion_completes() -> None:
    words = {"_REDEDGE_COMPLETE": "bash_complete", "COMP_WORDS": "rededge gears un", "COMP_CWORD": "2"}
    assert rededge(env=os.environ | words).stdout == "plain,unpause\nplain,unregister\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("up", "--port", "99999"), "Invalid value for '--port'"),
        (("down", "now"), "unexpected extra argument (now)"),
        (("status", "--yaml"), "No such option '--yaml'"),
        (("url", "--unix"), "No such option '--unix'"),
        (("worker", "--url"), "Option '--url' requires an argument"),
        (("module", "x"), "unexpected extra argument (x)"),
        (("init", "--dir", __file__), "is a file"),
        (("capture",), "give a SOURCE, or --stop CAMERA"),
        (("capture", "x.mp4", "--fps", "0"), "Invalid value for '--fps'"),
        (("top", "--window", "0"), "Invalid value for '--window'"),
        (("gears",), "Usage: rededge gears"),
        (("gears", "pause"), "Missing argument 'NAME'"),
        (("gears", "errors", "--count", "no"), "Invalid value for '--count'"),
        (("models", "remove"), "Missing argument 'KEY'"),
        (("pipeline", "run", "--video", "/no/such/video.mp4"), "does not exist"),
        (("pipeline", "run", "--keep", "0"), "Invalid value for '--keep'"),
        (("pipeline", "schedule"), "give a cron expression, or one of --list"),
        (("web", "--port", "-1"), "Invalid value for '--port'"),
        (("dashboard", "--port", "0"), "Invalid value for '--port'"),
        (("doctor", "me"), "unexpected extra argument (me)"),
        (("completion", "csh"), "'csh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(main, words, prog_name="rededge")
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("capture", "/no/such/video.mp4"), "/no/such/video.mp4"),
        (("init", "--model", "nothing"), "no model card"),
        (("init", "--gear", "nothing"), "nothing.py"),
        (("init", "--camera", "a b"), "camera id 'a b' cannot be used"),
        (("top", "--camera", "a b", "--once"), "camera id 'a b' cannot be used"),
        (("models", "load", "nothing"), "no model card"),
        (("gears", "register", "/no/such/gear.py"), "the gear script /no/such/gear.py cannot be read"),
        (("worker", "--url", "nonsense"), "is not a Redis address: it must be like"),
        (("pipeline", "run", "-o", "/proc/runs"), "cannot be made"),
    ],
)
@pytest.mark.usefixtures("signal_handlers")
def test_a_failed_command_prints_one_line(edge: Instance, words: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(main, words, prog_name="rededge")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("rededge: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_debug_shows_the_traceback_of_an_error(edge: Instance) -> None:
    command = [*COMMAND, "--debug", "capture", "/no/such/video.mp4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


WITHOUT_JUPYTER = """
import importlib.util as u; find = u.find_spec
u.find_spec = lambda name, *rest: None if name in ("jupyterlab", "voila") else find(name, *rest)
from rededge_nb.cli import main; main(prog_name="rededge")
"""


@pytest.mark.parametrize(("command", "hint"), [("lab", "rededge_nb[lab]"), ("dashboard", "rededge_nb[voila]")])
def test_pages_say_what_to_install(command: str, hint: str) -> None:
    words = [sys.executable, "-c", WITHOUT_JUPYTER, command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("rededge: this needs ")
    assert hint in done.stderr
