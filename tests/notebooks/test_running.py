"""The notebooks twice in a row on one server: against their committed outputs, and then all at once with papermill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import redis

from rededge_nb import assets, settings
from rededge_nb.control.gears import list_registrations
from rededge_nb.control.provision import use_model
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from tests.paths import TOP
from tests.waiting import wait_for

NAMES = sorted(path.stem for path in assets.folder("notebooks").glob("*.ipynb"))
PARAMETERS = {"seconds": 2, "timing": 0.1, "live_minutes": 0.1, "days": 2}
OWN_PARAMETERS = {"03_produce_frames": {"camera": "own"}}
"""Notebook 3 refuses a camera that another notebook feeds at that moment."""
MOST_WIDGET_STATE = 1_000_000
TIMEOUT = 300.0


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory, own_state_folder: Path) -> Iterator[Instance]:
    folder = own_state_folder / "notebooks"
    instance = server.start(folder)
    # no output that is compared depends on the model, and the default one would take most of the time
    with client_from_url(instance.url) as client:
        use_model(client, "nanodet-g-fast")
    yield instance
    server.stop(folder)


@pytest.fixture(scope="module")
def environment(own_server: Instance, own_state_folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != settings.REDIS_URL}
    return {**kept, settings.STATE_DIR: str(own_state_folder / "notebooks")}


@pytest.fixture(scope="module")
def compared(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Every notebook was run one after the other, and its outputs compared with those in the repository."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-cell-timeout", "300", "-p", "no:cacheprovider"]
    command += ["--nbval-sanitize-with", "tests/notebooks/sanitize.cfg", str(assets.folder("notebooks"))]
    return subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def executed(
    compared: subprocess.CompletedProcess[str],
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with all notebooks, executed at the same time, after they had been executed before."""
    folder = tmp_path_factory.mktemp("executed")
    processes = {name: papermill(name, folder, environment) for name in NAMES}
    printed = {name: process.communicate(timeout=TIMEOUT)[0] for name, process in processes.items()}
    assert {name: printed[name] for name, process in processes.items() if process.returncode} == {}
    return folder


def test_outputs_are_those_in_the_repository(compared: subprocess.CompletedProcess[str]) -> None:
    assert compared.returncode == 0, compared.stdout[-20_000:]


def papermill(name: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    source = assets.folder("notebooks") / f"{name}.ipynb"
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--kernel", "python3", str(source)]
    command += [str(folder / f"{name}.ipynb"), "--cwd", str(source.parent)]
    for parameter, value in (PARAMETERS | OWN_PARAMETERS.get(name, {})).items():
        command += ["-p", parameter, str(value)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )


@pytest.fixture(params=NAMES)
def notebook(request: pytest.FixtureRequest, executed: Path) -> Any:
    return nbformat.read(executed / f"{request.param}.ipynb", as_version=4)


def test_every_cell_was_run_without_errors(notebook: Any) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_the_saved_state_of_widgets_is_small(notebook: Any) -> None:
    assert len(json.dumps(notebook.metadata.get("widgets", {}))) < MOST_WIDGET_STATE


def test_views_have_an_image_for_readers_without_a_kernel(notebook: Any) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code" and any(f"wb.{view}(" in cell.source for view in ("player", "charts", "dashboard")):
            kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
            assert any(kind.startswith("image/") for kind in kinds), cell.source


def test_nothing_is_left_in_redis_but_the_people_counter(executed: Path, own_server: Instance) -> None:
    client = client_from_url(own_server.url, name="this-test")
    try:
        assert {found.session for found in list_registrations(client)} == {"people_counter"}
        assert client.keys("demo*") == []
        assert client.keys("*inference*") == []
        wait_for(lambda: others(client) == ["this-test"], what="the kernels' connections to be closed")
    finally:
        client.close()


def others(client: redis.Redis) -> list[str]:
    """Names of the connections that are neither the workers' nor the supervisor's."""
    own = ("rededge-worker", "rededge-ping", "rededge-watch", "rededge-data", "rededge-rules", "rededge-clips")
    return [each["name"] for each in client.client_list() if not each["name"].startswith(own)]
