"""Find a server, and refuse one that lacks a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from rededge_nb.connection import connect, resolve_url
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import ConfigurationError, MissingModuleError, ServerUnavailableError
from tests.bare import bare_server


def test_the_running_instance_is_found(edge: Instance) -> None:
    assert resolve_url() == edge.url
    client = connect()
    assert client.ping()
    client.close()


def test_redis_url_overrides_the_instance_and_an_argument_overrides_both(
    edge: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", edge.tcp_url)
    assert resolve_url() == edge.tcp_url
    assert resolve_url("redis://elsewhere") == "redis://elsewhere"
    assert resolve_url(directory=edge.dir) == edge.url


def test_no_instance_says_how_to_start_one(folder: Path) -> None:
    with pytest.raises(ServerUnavailableError, match=rf"no RedisEdge runs in {folder}: .*rededge up --detach"):
        connect(directory=folder)


@pytest.mark.parametrize("timeseries", [True, False])
def test_a_server_without_the_modules_says_how_to_add_them(timeseries: bool) -> None:
    with bare_server(timeseries=timeseries) as server, pytest.raises(MissingModuleError) as caught:
        connect(f"unix://{server.socket}")
    assert ("RedisTimeSeries" in str(caught.value)) is not timeseries
    assert "the edge module" in str(caught.value)
    assert "rededge module" in str(caught.value)


def test_a_wrong_password_or_address_is_an_error_without_secrets(edge: Instance) -> None:
    with pytest.raises(ServerUnavailableError, match="invalid username-password pair") as caught:
        connect(f"redis://:not-the-password@127.0.0.1:{edge.port}")
    assert "not-the-password" not in str(caught.value)
    with pytest.raises(ServerUnavailableError, match="/no/such/socket"):
        connect("unix:///no/such/socket")
    with pytest.raises(ConfigurationError, match="'http://x' is not a Redis address"):
        connect("http://x")
