"""Fixtures over `tests.bare`; apart from it because pytest wants to import a plugin before anyone else does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.bare import BareServer, bare_server


@pytest.fixture(scope="session")
def shared_bare_server() -> Iterator[BareServer]:
    with bare_server() as server:
        yield server


@pytest.fixture
def bare_client(shared_bare_server: BareServer) -> Iterator[redis.Redis]:
    client = shared_bare_server.client()
    client.flushall()
    yield client
    client.close()
