"""Fixtures: a web server on a Redis without gears, and its camera."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from rededge_nb.live import follow
from rededge_nb.web import WebServer
from tests.bare import BareServer
from tests.web.site import TOKEN, Camera


@pytest.fixture(autouse=True)
def no_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine, too, detections count as recent, and frames are not shown without them."""
    monkeypatch.setattr(follow, "SILENT_AFTER", 3600.0)
    monkeypatch.setattr(follow, "NO_DETECTIONS_AFTER", 3600.0)


@pytest.fixture
def redis_url(shared_bare_server: BareServer) -> str:
    return f"unix://{shared_bare_server.socket}"


@pytest.fixture
def port(redis_url: str, bare_client: redis.Redis) -> Iterator[int]:
    """Port of a web server."""
    with WebServer(redis_url, port=0, token=TOKEN) as server:
        yield server.port


@pytest.fixture
def camera(bare_client: redis.Redis) -> Camera:
    return Camera(bare_client)
