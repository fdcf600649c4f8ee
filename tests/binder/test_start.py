"""What Binder runs at each launch, run as Binder does: from the top of the repository, with a command to end in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rededge_nb import assets, schema, settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from tests.paths import TOP
from tests.waiting import wait_for

BINDER = TOP / "binder"


@pytest.fixture
def environment(own_state_folder: Path) -> Iterator[dict[str, str]]:
    folder = own_state_folder / "binder"
    kept = {name: value for name, value in os.environ.items() if name != settings.REDIS_URL}
    path = os.pathsep.join((str(Path(sys.executable).parent), kept["PATH"]))
    yield {**kept, "PATH": path, settings.STATE_DIR: str(folder), "TMPDIR": str(own_state_folder)}
    server.stop(folder)


def test_a_launch_has_redisedge_running_and_a_camera_that_plays(environment: dict[str, str]) -> None:
    command = [str(BINDER / "start"), sys.executable, "-c", "print('the notebook server')"]
    launched = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, timeout=120)
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.endswith("the notebook server\n")
    instance = server.find(Path(environment[settings.STATE_DIR]))
    assert instance is not None
    with client_from_url(instance.url, name="this-test") as client:
        wait_for(lambda: client.xlen(schema.detections_key("street")), timeout=60, what="people to be counted")


def test_what_is_installed_is_this_project_as_it_was_tested() -> None:
    lines = (BINDER / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["-c ../constraints.txt", ".[lab]"]
    assert (BINDER / "runtime.txt").read_text().strip() in ("python-3.11", "python-3.12", "python-3.13")


def test_scripts_fail_loudly() -> None:
    for name in ("start", "postBuild"):
        assert os.access(BINDER / name, os.X_OK)
        assert "set -euo pipefail" in (BINDER / name).read_text()


def test_nothing_in_binder_overrules_these_files() -> None:
    overruling = {"environment.yml", "Dockerfile", "Pipfile", "setup.py"}
    assert not overruling & {path.name for path in BINDER.iterdir()}
    assert not (TOP / ".binder").exists()
    assert assets.folder("notebooks").is_dir()
