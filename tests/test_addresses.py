"""No address shows a secret, wherever somebody has put it."""

from __future__ import annotations

import os

import pytest

from rededge_nb.addresses import shown_address
from rededge_nb.capture.sources import open_source
from rededge_nb.edge.client import client_from_url
from rededge_nb.errors import ConfigurationError, SourceError
from tests.cli.running import rededge

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:hunter2@host:6379/0", "redis://host:6379/0"),
        ("rediss://user:hunter2@[::1]:6379/15", "rediss://[::1]:6379/15"),
        ("redis://host", "redis://host"),
        ("redis://127.0.0.1:1/hunter2", "redis://127.0.0.1:1/…"),
        ("redis://10.0.0.7:6379", "redis://10.0.0.7:6379"),
        ("unix://user:p%40hunter2@/run/redis.sock", "unix:///run/redis.sock"),
        ("unix:///x.sock?password=hunter2", "unix:///x.sock"),
        ("unix:///x.sock?db=1&password=hunter2#x", "unix:///x.sock"),
        ("redis://host:6379/0?username=hunter2&password=hunter2", "redis://host:6379/0"),
        ("redis://host?password=hunter2@elsewhere", "redis://…"),
        ("redis://host?password=x@hunter2", "redis://…"),
        ("redis://:hun/ter2@host:6379/0", "redis://host:6379/0"),
        ("redis://:a/hunter2/b@host:6379/0", "redis://host:6379/0"),
        ("redis://:hunter2?x@host:6379", "redis://…"),
        ("redis://:x?hunter2@host:6379", "redis://…"),
        ("redis://:x#hunter2@host:6379", "redis://…"),
        ("redis://:x@hunter2@host:6379", "redis://host:6379"),
        ("redis://:hunter2", "redis://…"),
        ("redis://user:hunter2", "redis://…"),
        ("redis://host:hunter2/0", "redis://…"),
        ("reddis://:hunter2@host:6379", "reddis://host:6379"),
        ("redis:/:hunter2@host:6379", "host:6379"),
        ("redis:hunter2@host", "host"),
        ("redis//:hunter2@host:6379", "host:6379"),
        ("user:hunter2@host:6379/0", "host:6379/0"),
        (":hunter2@host", "host"),
        ("localhost:6379", "localhost:6379"),
        ("hunter2", "…"),
        ("hunter2:x", "…"),
        ("", "…"),
        ("rtsp://admin:hunter2@camera/stream1", "rtsp://camera/stream1"),
        ("rtsp://camera:554/user=admin&password=hunter2&channel=1", "rtsp://camera:554/…"),
        ("rtsp://camera/user=admin_password=hunter2_channel=1.sdp", "rtsp://camera/…"),
        ("rtsp://camera/live/admin:hunter2/ch0", "rtsp://camera/live/…"),
        ("rtsp://camera/live;password=hunter2", "rtsp://camera/…"),
        ("http://camera/video.mjpg?usr=admin&pwd=hunter2", "http://camera/video.mjpg"),
        ("admin:hunter2@camera/stream", "camera/stream"),
    ],
)
def test_an_address_is_shown_without_secrets(address: str, shown: str) -> None:
    assert shown_address(address) == shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "address",
    [
        "redis://:hun/ter2@127.0.0.1:1/0",
        "redis://hunter2/@127.0.0.1:1/0",
        "redis://:hunter2?x@127.0.0.1:1",
        "redis://:hunter2#x@127.0.0.1:1",
        "redis://127.0.0.1:hunter2",
        "redis://user:hunter2",
        "redis://[hunter2",
        "reddis://:hunter2@127.0.0.1:1",
        "user:hunter2@127.0.0.1:1",
        "hunter2",
    ],
)
def test_a_wrong_address_is_refused_without_its_secret(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client_from_url(address)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert "ter2" not in str(error)
        error = error.__cause__


@pytest.mark.parametrize("command", ["status", "doctor", "init", "top --once", "gears list", "worker", "web --port 0"])
@pytest.mark.parametrize(
    "address", ["unix:///x.sock?password=hunter2", "redis://:hunter2/x@127.0.0.1:1", "user:hunter2@127.0.0.1:1"]
)
def test_no_command_prints_a_secret(command: str, address: str) -> None:
    if command in ("worker", "web --port 0") and address.startswith("unix"):
        pytest.skip("it waits until the server is there")
    told = rededge(*command.split(), env=os.environ | {"REDIS_URL": address})
    assert told.returncode != 0
    assert SECRET not in told.stdout + told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    "source",
    [
        "user:hunter2@camera/stream",
        "rtsp:/user:hunter2@127.0.0.1/",
        "rtsp//user:hunter2@127.0.0.1/s",
        "rtsp://user:hunter2/x@127.0.0.1:1/s",
        "rtsp://127.0.0.1:1/user=admin&password=hunter2&channel=1",
        "ftp://user:hunter2@127.0.0.1/",
    ],
)
def test_the_error_for_a_wrong_camera_shows_no_secret(source: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(source)
    assert SECRET not in str(caught.value)
