"""Fixtures: one embedded RedisEdge for the whole run, emptied for each test that takes a client."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb import assets, settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.gears.state.options import AT_RUN_TIME, DEFAULTS
from rededge_nb.edge.server.state import Instance

LONG = (
    "browser/test_first_hour.py",
    "browser/test_dashboard.py",
    "browser/test_charts.py",
    "notebooks/test_running.py",
    "pipeline/test_run.py",
    "faults/test_damage.py",
    "faults/test_hangs.py",
    "faults/test_soak.py",
    "faults/test_kills.py",
)
"""Files that take half a minute or longer, the longest ones of each part of the suite first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: at the end, one of two processes would wait for the other one."""
    items.sort(key=lambda item: [not str(item.path).endswith(name) for name in LONG])


@pytest.fixture(scope="session", autouse=True)
def own_state_folder() -> Iterator[Path]:
    """Keeps every test away from the servers and folders of whoever runs them."""
    # short, because the path of a unix socket may have about a hundred characters
    folder = Path(tempfile.mkdtemp(prefix="rededge-"))
    with settings.state_dir_set_to(folder / "state"):
        yield folder
        server.stop(folder / "state")
    shutil.rmtree(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short-named temporary folder for an instance of the test's own, which is stopped afterwards."""
    path = Path(tempfile.mkdtemp(prefix="rededge-"))
    yield path
    for state in (path, *(entry for entry in path.iterdir() if entry.is_dir())):
        server.stop(state)
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def edge(own_state_folder: Path) -> Instance:
    """The embedded RedisEdge that tests share."""
    return server.start(own_state_folder / "state")


@pytest.fixture
def client(edge: Instance) -> Iterator[redis.Redis]:
    """A client of the shared server, which has no gears and no keys."""
    shared = client_from_url(edge.url)
    empty(shared)
    yield shared
    empty(shared)
    shared.close()


def empty(client: redis.Redis) -> None:
    for registration in client.execute_command("RG.DUMPREGISTRATIONS"):
        client.execute_command("RG.UNREGISTER", registration[1])
    # options outlast FLUSHALL
    client.execute_command("RG.CONFIGSET", *(word for name in sorted(AT_RUN_TIME) for word in (name, DEFAULTS[name])))
    client.flushall()


@pytest.fixture(scope="session")
def video() -> Path:
    """The bundled video."""
    return assets.sample_video()


@pytest.fixture
def environment(own_state_folder: Path) -> dict[str, str]:
    """Environment for processes that tests start."""
    return {name: value for name, value in os.environ.items() if name != settings.REDIS_URL}
