"""What runs inside the containers, run here."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import redis

from rededge_nb import schema
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server import memory
from rededge_nb.edge.server.state import Instance
from rededge_nb.edge.server.users import CONTAINER_RULES
from tests.edge.bare_redis import bare_redis
from tests.paths import TOP
from tests.waiting import wait_for


def healthy(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOP / "docker/healthy.py"), *words]
    return subprocess.run(command, env=os.environ | {"REDIS_URL": url}, capture_output=True, text=True, check=False)


def test_a_worker_is_healthy_while_it_sends_heartbeats(edge: Instance, client: redis.Redis) -> None:
    wait_for(
        lambda: list(state_client(client).scan_iter(f"rededge:worker:{socket.gethostname()}-*")),
        what="the worker's sign of life",
    )
    assert healthy(edge.url, "worker").returncode == 0


def test_without_a_worker_the_check_fails() -> None:
    with bare_redis(load=False) as bare:
        done = healthy(f"unix://{bare.socket_path}", "worker")
    assert done.returncode == 1
    assert "no key matches" in done.stderr


def test_a_camera_is_healthy_while_frames_arrive(edge: Instance, client: redis.Redis) -> None:
    silent = healthy(edge.url, "camera", "0")
    assert (silent.returncode, silent.stderr) == (1, "camera 0 has sent no frame yet\n")
    client.xadd(schema.frames_key("0"), {schema.COUNT: 1}, id="1-1")
    assert "s old" in healthy(edge.url, "camera", "0").stderr
    client.xadd(schema.frames_key("0"), {schema.COUNT: 2})
    assert healthy(edge.url, "camera", "0").returncode == 0


def test_a_page_is_healthy_when_it_answers() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            assert healthy("", "page", f"{address}/healthz").returncode == 0
            assert "500" in healthy("", "page", address).stderr
        finally:
            server.shutdown()
            thread.join()
    assert healthy("", "page", address).returncode == 1


def test_grafana_gets_the_videos_address_with_its_token(tmp_path: Path) -> None:
    dashboards = TOP / "grafana/dashboards"
    environment = {
        "PATH": os.environ["PATH"],
        "VIDEO_URL": "http://edge.local:5000/video",
        "REDEDGE_WEB_TOKEN": "abc-_1",
    }
    command = ["sh", str(TOP / "docker/grafana.sh"), str(dashboards), str(tmp_path / "to"), "echo", "started"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "started\n"
    made = {path.name: json.loads(path.read_text()) for path in (tmp_path / "to").iterdir()}
    assert set(made) == {path.name for path in dashboards.iterdir()}
    (video,) = (
        variable
        for variable in made["video-stream-analytics.json"]["templating"]["list"]
        if variable["name"] == "video"
    )
    address = "http://edge.local:5000/video?token=abc-_1&"
    assert (video["query"], video["current"]["value"]) == (address, address)


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A redis-server that shows the configuration that it is started with."""
    path = tmp_path / "redis-server"
    path.write_text('#!/bin/sh\necho "$@"\ncat "$1"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("size", "limit"), [("3gb", 3 * 1024**3), ("500mb", 500 * 1024**2), ("64mb", 64 * 1024**2)])
def test_redis_gets_its_passwords_in_a_file_and_the_limits_of_the_embedded_server(
    server: Path, tmp_path: Path, size: str, limit: int
) -> None:
    script = (TOP / "docker/redisedge.sh").read_text()
    assert "/run/redis" in script
    shutil.copy(TOP / "docker/redis.conf", tmp_path)
    subprocess.run([sys.executable, str(TOP / "docker/module.py"), str(tmp_path / "module")], check=True)
    script = script.replace("/usr/local/lib/rededge", str(tmp_path / "module")).replace("/etc/rededge", str(tmp_path))
    here = tmp_path / "redisedge.sh"
    here.write_text(script.replace("/run/redis", str(tmp_path / "run")))
    (tmp_path / "run").mkdir()
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": "abc-_1"}
    environment |= {f"REDIS_{user.upper()}_PASSWORD": f"of-_{user}" for user in CONTAINER_RULES}
    environment |= {"REDIS_MAXMEMORY": size}
    done = subprocess.run(["sh", str(here)], env=environment, capture_output=True, text=True, check=True)
    arguments, *configuration = done.stdout.splitlines()
    assert arguments == str(tmp_path / "run/redis.conf")
    assert "requirepass abc-_1" in configuration
    assert f"maxmemory {limit}" in configuration
    unread = memory.max_reply_bytes(limit)
    assert f"client-output-buffer-limit normal {unread} {unread // 2} 60" in configuration
    assert f"client-output-buffer-limit pubsub {unread} {unread // 4} 60" in configuration
    assert f"proto-max-bulk-len {unread}" in configuration
    info, module = (line for line in configuration if "rededge.so" in line)
    assert info.endswith('"INFO" "ai"')
    assert int(module.rpartition(" MAXCALL ")[2]) == pytest.approx(unread * 0.9, abs=10)
    for user, rules in CONTAINER_RULES.items():
        assert f"user {user} on >of-_{user} resetkeys resetchannels -@all {rules}" in configuration
    assert (tmp_path / "run/redis.conf").stat().st_mode & 0o777 == 0o600


def test_redis_does_not_start_in_a_container_that_is_too_small(server: Path, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{1024**3}\n")
    script = (TOP / "docker/redisedge.sh").read_text().replace("/sys/fs/cgroup", str(tmp_path))
    (tmp_path / "redisedge.sh").write_text(script)
    environment = {"PATH": os.environ["PATH"], "REDIS_MAXMEMORY": "600mb"}
    done = subprocess.run(
        ["sh", tmp_path / "redisedge.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "REDIS_MAXMEMORY is 600mb, but the container has only 1073741824 bytes" in done.stderr


def test_the_edge_module_is_loaded_with_its_arguments(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(TOP / "docker/module.py"), str(tmp_path / "module")], check=True)
    info, line = (tmp_path / "module/rededge.conf").read_text().splitlines()
    assert info == f'loadmodule "{tmp_path / "module/rededge.so"}" "INFO" "ai"'
    assert line.startswith(f'loadmodule "{tmp_path / "module/rededge.so"}" "CLASS" "')
    assert "AI.MODELEXECUTE" in line
    assert os.access(tmp_path / "module/rededge.so", os.X_OK)
