from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb.capture.run import capture, start_capture
from rededge_nb.capture.sources import http_client, open_source, receiver
from rededge_nb.capture.sources.address import Address
from rededge_nb.errors import SourceError
from tests.mjpeg_server import MjpegServer, mjpeg_server
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

JPEGS = [cv2.imencode(".jpg", np.full((48, 64, 3), brightness, np.uint8))[1].tobytes() for brightness in (40, 90, 140)]
AT_ONCE = 4.5
"""Seconds, far below the timeouts of a connection."""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.mark.parametrize("lengths", [True, False])
def test_jpegs_come_as_they_were_sent(lengths: bool) -> None:
    before = time.time() * 1000
    with mjpeg_server(JPEGS, lengths=lengths) as server, open_source(server.url) as source:
        captured = [source.read() for _ in range(5)]
        assert source.live
        assert source.size_wh == (64, 48)
        assert source.problem is None
        assert source.describe == server.url
    assert all(each is not None and each.image in JPEGS for each in captured)
    times = [each.ts_ms for each in captured if each is not None]
    assert before - 1 <= times[0] <= times[-1] <= time.time() * 1000 + 1
    assert times == sorted(times)


def test_flip_and_size_decode_the_others_do_not(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = 250
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    with mjpeg_server([jpeg]) as server:
        with open_source(server.url, size="640x480") as source:
            assert source.read().image == jpeg
        with open_source(server.url, size=(32, 32), flip=True) as source:
            assert source.size_wh == (32, 24)
            small = source.read().image
    assert isinstance(small, np.ndarray)
    assert small.shape == (24, 32, 3)
    assert small[:, :14].max() < 50
    assert small[:, 18:].min() > 200


def test_a_capture_goes_on_when_a_killed_camera_is_back(bare_client: redis.Redis) -> None:
    first = MjpegServer(JPEGS)
    with start_capture(bare_client, first.url) as running:
        wait_for(lambda: running.report.frames > 3, what="frames")
        assert running.problem is None
        first.kill()
        wait_for(lambda: running.problem, what="the problem")
        assert "trying again in" in str(running.problem)
        assert "waiting (" in repr(running)
        before = running.report.frames
        with mjpeg_server(JPEGS, port=first.port):
            wait_for(lambda: running.report.frames > before + 3, timeout=30, what="frames")
        assert running.running
    counts = [int(fields[b"count"]) for _, fields in bare_client.xrange("camera:0")]
    assert counts == list(range(1, len(counts) + 1))


def test_frames_have_the_time_at_which_they_came(bare_client: redis.Redis) -> None:
    with mjpeg_server(JPEGS, silent_after=1) as server, open_source(server.url) as source:
        came_before = time.time() * 1000
        wait_for(lambda: time.time() * 1000 > came_before + 300, what="time to pass")
        capture(bare_client, source, frames=1)
    ((entry_id, fields),) = bare_client.xrange("camera:0")
    assert int(fields[b"ts"]) <= came_before
    assert int(entry_id.split(b"-")[0]) >= came_before + 300


def test_stop_ends_a_capture_from_a_silent_camera_at_once(bare_client: redis.Redis) -> None:
    with mjpeg_server(JPEGS, silent_after=2) as server:
        running = start_capture(bare_client, server.url)
        wait_for(lambda: running.report.frames, what="a frame")
        started = time.monotonic()
        running.stop()
        assert time.monotonic() - started < AT_ONCE
    wait_for(lambda: not any("rededge http" in each.name for each in threading.enumerate()), what="the thread's end")


def test_stop_ends_the_opening(silent_port: int) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    started = time.monotonic()
    with open_source(f"http://127.0.0.1:{silent_port}/", stop=stop) as source:
        assert source.size_wh == (0, 0)
        assert "not connected yet" in repr(source)
    assert time.monotonic() - started < AT_ONCE
    timer.join()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_camera_that_is_not_there_is_an_error_or_waited_for(scheme: str, closed_port: int) -> None:
    url = f"{scheme}://127.0.0.1:{closed_port}/video"
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:\d+/video does not answer \(Connection refused\)"):
        open_source(url)
    with open_source(url, wait=True) as source:
        wait_for(lambda: source.problem, what="the problem")
        assert not source.ready(0)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_camera_that_says_nothing_does_not_hold_the_caller(
    scheme: str, silent_port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http_client, "CONNECT_TIMEOUT", 0.2)
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
        open_source(f"{scheme}://127.0.0.1:{silent_port}/")
    assert time.monotonic() - started < AT_ONCE
    assert capfd.readouterr().err == ""


def test_a_camera_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "READ_TIMEOUT", 0.2)
    with mjpeg_server(JPEGS, silent_after=3) as server, open_source(server.url) as source:
        wait_for(lambda: "it was silent for too long" in str(source.problem), what="the problem")
        wait_for(lambda: len(server.requests) > 1, what="another try")


def test_it_waits_for_the_first_frame_no_longer_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "FIRST_TIMEOUT", 0.2)
    with (
        mjpeg_server(JPEGS, silent_after=0) as server,
        pytest.raises(SourceError, match=r"sent no frame within 0\.2 s"),
    ):
        open_source(server.url)


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_credentials_are_used_and_never_shown(
    scheme: str, bare_client: redis.Redis, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[object] = []
    server = MjpegServer(JPEGS, credentials="viewer:s@cr/et", scheme=scheme)
    url = server.url.replace("http://", "http://viewer:s%40cr%2Fet@") + "?token=hidden"
    with start_capture(bare_client, url) as running:
        wait_for(lambda: running.report.frames, what="a frame")
        said += [running, running.report, *(each.name for each in threading.enumerate())]
        server.kill()
        wait_for(lambda: running.problem, what="the problem")
        said.append(running.problem)
    for wrong in (url, url.replace("http", "rtsp", 1), url.replace("/video", "/vi deo"), url.replace("127", "1 27")):
        with pytest.raises(SourceError) as raised:
            open_source(wrong)
        said += [raised.getrepr(style="native"), raised.value]
    with open_source(url, wait=True) as source:
        said += [source, source.describe]
    said += [Address.parse(url), caplog.text, *capfd.readouterr()]
    for each in map(str, said):
        assert "s%40cr" not in each
        assert "s@cr" not in each
        assert "hidden" not in each
    assert server.requests[-1].endswith("?token=hidden")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ftp://camera/video", r"begin with ftp:// are not known: take http, https, rtmp"),
        ("file:///etc/passwd", "begin with file:// are not known"),
        ("rtsp://", "the rtsp:// address has no host"),
        ("udp://127.0.0.1:port", "take one like udp://127.0.0.1:5004"),
        ("rtsp://{host}/video", "must be percent-encoded"),
        ("http://camera/a\\b", "must be percent-encoded"),
        ("http://camera:port/", "a port that is no number"),
        ("http://camera/a b", "must be percent-encoded"),
        ("http://camera/\nHost: other", "must be percent-encoded"),
    ],
)
def test_addresses_that_cannot_be_used(address: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(address)


def test_a_process_ends_while_a_camera_hangs(silent_port: int) -> None:
    script = (
        "from rededge_nb.capture.sources import open_source\n"
        f"a = open_source('rtsp://127.0.0.1:{silent_port}/', wait=True)\n"
        f"b = open_source('http://127.0.0.1:{silent_port}/', wait=True)\n"
        "a.ready(0.3)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "url",
    [
        "http://admin:34/geheim@127.0.0.1:9/video",
        "rtsp://admin:12#geheim@127.0.0.1/stream",
        "rtsp://admin:geheim?1@127.0.0.1/stream",
        "http://admin:geheim/x@camera.example/video?user=b",
        "rtmp://127.0.0.1/live?password=geheim@1",
        "https://geheim/@127.0.0.1",
    ],
)
def test_an_at_sign_behind_the_host_is_refused_unshown_and_unasked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    for wait in (False, True):
        with pytest.raises(SourceError, match=r"has an @ behind its host: write a /, \? or #") as raised:
            open_source(url, wait=wait)
        shown = str(raised.getrepr(style="native"))
        assert "geheim" not in shown.replace(f"open_source({url!r}", "")
        assert "geheim" not in str(raised.value)


def test_credentials_may_hold_any_character_when_encoded() -> None:
    address = Address.parse("rtsp://me%40home:p%40ss%2Fw%23rd%3F@127.0.0.1:8554/stream")
    assert (address.user, address.password) == ("me@home", "p@ss/w#rd?")
    assert address.shown == "rtsp://127.0.0.1:8554/stream"
    assert Address.parse("http://a@b@127.0.0.1/").user == "a@b"
    assert Address.parse("udp://@:5004").shown == "udp://@:5004"
    assert Address.parse("rtsp://[::1]:554/s").host == "::1"


def test_a_protocol_that_is_not_in_this_build_is_named() -> None:
    with pytest.raises(SourceError, match="the FFmpeg that is installed with PyAV has no srt"):
        open_source("srt://127.0.0.1:9")
    with pytest.raises(SourceError) as refused:
        open_source("ftp://127.0.0.1/")
    assert "srt" not in str(refused.value)


def test_a_name_that_does_not_exist_is_named_so() -> None:
    with pytest.raises(
        SourceError, match=r"rtsp://no-such-host\.invalid/s does not answer \((Name|No address|Temporary)"
    ):
        open_source("rtsp://no-such-host.invalid/s")
