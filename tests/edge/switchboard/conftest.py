from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.edge.bare_redis import BareRedis, bare_redis
from tests.edge.switchboard.bare_switchboard import CLASSES, SIGNS_OF_A_CRASH, module_arguments, wait_until


@pytest.fixture(scope="module")
def shared_server() -> Iterator[BareRedis]:
    with bare_redis(*module_arguments()) as server:
        yield server


@pytest.fixture
def server(shared_server: BareRedis) -> Iterator[BareRedis]:
    """The shared server without workers and calls. It must not crash in the test."""
    yield shared_server
    shared_server.close_wires()
    with shared_server.client() as client:
        for text in CLASSES:
            wait_until(client, text.split(",")[0], workers=0, queued=0, in_flight=0)
    assert not [sign for sign in SIGNS_OF_A_CRASH if sign in shared_server.log()]


@pytest.fixture
def admin(server: BareRedis) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client
