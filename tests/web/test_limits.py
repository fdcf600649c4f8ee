"""What clients cannot do to the web server: take all its connections, files or threads, or keep it from stopping."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from websocket import create_connection

from rededge_nb import settings
from rededge_nb.live.follow import Follower
from rededge_nb.web import WebServer, connections
from rededge_nb.web import server as web_server
from tests.bare import bare_server
from tests.cli.running import started
from tests.waiting import wait_for
from tests.web.site import TOKEN, Camera, Mjpeg, ask, watching

pytest_plugins = ("tests.bare_fixtures",)

STOP_TIMEOUT = 10.0


def connect(port: int, address: str = "127.0.0.1") -> socket.socket:
    """A connection from one of the loopback addresses."""
    return socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(address, 0))


def is_closed(one: socket.socket) -> bool:
    """Wait until the server closes a connection."""
    with contextlib.suppress(ConnectionResetError):
        return one.recv(1 << 16) == b""
    return True


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[contextlib.ExitStack]:
    """Keeps connections open until the test ends; the server takes 8 connections, 4 from one address."""
    monkeypatch.setattr(connections, "connection_limit", lambda: 8)
    with contextlib.ExitStack() as stack:
        yield stack


def test_idle_connections_lock_nobody_out(port: int, camera: Camera) -> None:
    camera.detected(90)
    with contextlib.ExitStack() as opened:
        for number in range(connections.connection_limit() + 20):
            opened.enter_context(connect(port, f"127.0.0.{2 + number % 3}"))
        assert ask(port, "/healthz", token=None).status == 200
        with watching(port) as stream:
            assert stream.jpeg()


def test_new_connections_replace_the_oldest_without_access(
    idle: contextlib.ExitStack, redis_url: str, camera: Camera
) -> None:
    with WebServer(redis_url, port=0, token=TOKEN) as server:
        camera.detected(90)
        viewer = idle.enter_context(watching(server.port))
        viewer.jpeg()
        first, *_ = [idle.enter_context(connect(server.port)) for _ in range(4)]
        assert is_closed(first), "the oldest without access, although the viewer is older"
        camera.detected(150)
        viewer.jpeg()


def test_one_address_gets_half_of_the_connections(idle: contextlib.ExitStack, redis_url: str, camera: Camera) -> None:
    with WebServer(redis_url, port=0, token=TOKEN) as server:
        camera.detected(90)
        for _ in range(4):
            idle.enter_context(watching(server.port)).jpeg()
        refused = idle.enter_context(connect(server.port))
        assert refused.recv(100).startswith(b"HTTP/1.1 503 ")
        assert is_closed(refused)
        other = idle.enter_context(connect(server.port, "127.0.0.2"))
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert other.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_part",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        b"POST /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nhalf",
    ],
)
def test_a_request_that_does_not_end_is_given_up(
    redis_url: str, bare_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, request_part: bytes
) -> None:
    monkeypatch.setattr(web_server, "_REQUEST_TIMEOUT", 0.2)
    with WebServer(redis_url, port=0, token=TOKEN) as server, connect(server.port) as one:
        one.sendall(request_part)
        assert is_closed(one)


@contextlib.contextmanager
def web_process(url: str, log: Path, *, files: int | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`rededge web` on a free port, with a limit of open files."""

    def limit_files() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    environment = os.environ | {settings.REDIS_URL: url, settings.WEB_TOKEN: TOKEN}
    with (
        log.open("w") as errors,
        started("web", "--port", 0, "--json", env=environment, stderr=errors, preexec_fn=limit_files) as process,
    ):
        assert process.stdout is not None
        yield process, int(json.loads(process.stdout.readline())["url"].rsplit(":", 1)[1].strip("/"))


def test_it_survives_without_file_descriptors_and_says_so_once(
    redis_url: str, bare_client: redis.Redis, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with web_process(redis_url, log, files=20) as (process, port):
        with contextlib.ExitStack() as opened:
            for number in range(60):
                opened.enter_context(connect(port, f"127.0.0.{2 + number % 5}"))
            wait_for(lambda: "no connection can be accepted" in log.read_text(), what="the log message")
        wait_for(lambda: ask(port, "/healthz", token=None).status == 200, what="an answer")
        with contextlib.ExitStack() as opened:
            for number in range(60):
                opened.enter_context(connect(port, f"127.0.0.{2 + number % 5}"))
        wait_for(lambda: ask(port, "/healthz", token=None).status == 200, what="an answer")
        assert process.poll() is None
    assert len(log.read_text().splitlines()) == 1


def test_a_page_that_changes_its_camera_too_often_is_disconnected(port: int, camera: Camera) -> None:
    page = create_connection(f"ws://127.0.0.1:{port}/live?token={TOKEN}", timeout=60)
    page.send(json.dumps({"to": "player", "kind": "ready"}))
    with contextlib.suppress(OSError):  # the server may close before all is sent
        for number in range(4000):
            page.send(json.dumps({"to": "page", "kind": "watch", "camera": f"c{number}"}))
    with contextlib.suppress(OSError):
        while page.recv_frame().opcode != 8:
            pass
    page.shutdown()
    wait_for(lambda: not channels(), what="the end of all channels", timeout=30)
    assert ask(port, "/healthz").status == 200


def test_channels_that_are_ending_count(
    redis_url: str, camera: Camera, bare_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rededge_nb.web.hub.MAX_CHANNELS", 2)
    entered, released = threading.Semaphore(0), threading.Event()
    read = Follower.read

    def slow_read(self: Follower, client: redis.Redis, *, block_ms: int) -> None:
        entered.release()
        released.wait()
        read(self, client, block_ms=block_ms)

    monkeypatch.setattr(Follower, "read", slow_read)
    with WebServer(redis_url, port=0, token=TOKEN) as server:
        for name in ("a", "b"):
            viewer = Mjpeg(server.port, name)
            entered.acquire()
            viewer.close()
        wait_for(lambda: "rededge_web_viewers" not in ask(server.port, "/metrics").body.decode(), what="no viewer")
        assert ask(server.port, "/video?camera=c", "GET").status == 503
        assert len(channels()) == 2
        released.set()
        wait_for(lambda: not channels(), what="the end of the threads")
        with watching(server.port, "c") as stream:
            assert stream.jpeg()


def test_it_stops_soon_whatever_its_clients_and_redis_do(tmp_path: Path) -> None:
    with bare_server() as own, web_process(f"unix://{own.socket}", tmp_path / "log") as (process, port):
        camera = Camera(own.client())
        camera.detected()
        with contextlib.ExitStack() as clients:
            for _ in range(5):
                clients.enter_context(watching(port)).jpeg()
                clients.enter_context(connect(port))
            page = create_connection(f"ws://127.0.0.1:{port}/live?token={TOKEN}", timeout=60)
            clients.callback(page.shutdown)
            for message in (
                {"to": "page", "kind": "watch", "camera": "0", "minutes": 5},
                {"to": "player", "kind": "ready"},
                {"to": "charts", "kind": "ready"},
            ):
                page.send(json.dumps(message))
            page.recv()
            own.process.send_signal(signal.SIGSTOP)
            try:
                asking = clients.enter_context(connect(port))
                threads = psutil.Process(process.pid).num_threads
                before = threads()
                asking.sendall(f"GET /api/cameras?token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                wait_for(lambda: threads() > before, what="a thread that waits for Redis")
                process.send_signal(signal.SIGTERM)
                assert process.wait(STOP_TIMEOUT) == 0
            finally:
                own.process.send_signal(signal.SIGCONT)


def channels() -> list[str]:
    """Names of the threads of all channels."""
    return [each.name for each in threading.enumerate() if re.match("rededge web [abc]", each.name)]
