"""The examples in docs/schedules: what they call is there, and what they say is understood."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from rededge_nb.cli import main
from rededge_nb.pipeline.schedule import cron_schedule
from tests.paths import TOP

FOLDER = TOP / "docs" / "schedules"


def constants(file: Path) -> list[str]:
    return [node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)]


def command_in(text: str) -> list[str]:
    """The words after `rededge` of the one command in a text."""
    (found,) = re.findall(r'(?:/opt/rededge/bin/rededge|"\$REDEDGE") (pipeline run [^>\n]+)', text)
    return shlex.split(found)


@pytest.mark.parametrize("name", ["rededge.cron", "rededge-pipeline.service", "airflow_dag.py"])
def test_commands_of_the_examples_are_accepted(name: str) -> None:
    file = FOLDER / name
    text = "\n".join(map(str, constants(file))) if file.suffix == ".py" else file.read_text()
    words = [word.replace("/srv/door.mp4", __file__) for word in command_in(text)]
    pipeline = main.commands["pipeline"]
    assert isinstance(pipeline, click.Group)
    with pipeline.commands["run"].make_context("run", words[2:]) as context:
        assert (context.params["as_json"], context.params["keep"], context.params["camera"]) == (True, 96, "door")


def test_times_of_the_examples_are_cron_expressions() -> None:
    (line,) = [line for line in (FOLDER / "rededge.cron").read_text().splitlines() if not line.startswith("#")]
    cron_schedule(" ".join(line.split()[:5]))
    assert "*/15 * * * *" in constants(FOLDER / "airflow_dag.py")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = [tmp_path / name for name in ("rededge-pipeline.service", "rededge-pipeline.timer")]
    for unit in units:
        # it looks whether the program is there
        unit.write_text((FOLDER / unit.name).read_text().replace("/opt/rededge/bin/rededge", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
