"""Fixtures of the gears' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rededge_nb.edge import server
from tests.edge.gears.own_server import Server


@pytest.fixture
def own(folder: Path) -> Iterator[Server]:
    started = Server(server.start(folder))
    yield started
    started.client.close()
