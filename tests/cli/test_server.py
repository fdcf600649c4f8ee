"""The embedded server from the command line: up, down, status, url, worker, module."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from rededge_nb.edge import server
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server.binaries import stack_folder
from rededge_nb.edge.server.state import Instance, StateFolder
from tests.cli.running import rededge, started
from tests.waiting import wait_for


def test_a_server_from_up_to_down(folder: Path) -> None:
    here = ("--dir", folder / "state")
    assert (rededge("status", *here).returncode, rededge("url", *here).returncode) == (3, 3)
    assert rededge("down", *here).stdout == "not running\n"
    up = rededge("up", *here, "--detach")
    assert (up.returncode, up.stderr) == (0, "")
    assert "RedisEdge is ready on 127.0.0.1:" in up.stdout
    assert json.loads(rededge("status", *here, "--json").stdout)["state"] == "ok", "up waits for the worker"
    again = json.loads(rededge("up", *here, "--detach", "--json").stdout)
    assert f"127.0.0.1:{again['port']} and {again['socket']}" in up.stdout
    refused = rededge("up", *here)
    assert refused.returncode == 1
    assert refused.stderr.startswith("rededge: RedisEdge is running already in ")

    first = rededge("init", *here)
    assert "stored model nanodet-g-two-sizes" in first.stdout
    assert "registered gear people_counter for camera:0" in first.stdout
    assert json.loads(rededge("init", *here, "--json").stdout) == {"changes": []}

    facts = json.loads(rededge("status", *here, "--json").stdout)
    assert [model["key"] for model in facts["models"]] == ["model:nanodet-g-two-sizes"]
    (gear,) = facts["gears"]
    assert (gear["session"], gear["stream"], gear["status"]) == ("people_counter", "camera:0", "OK")
    assert facts["workers"] == 1
    url = rededge("url", *here, "--tcp").stdout.strip()
    password = url.split(":")[2].split("@")[0]
    shown = rededge("status", *here).stdout
    assert password not in shown
    assert f"supervisor pid  {again['pid']}\n" in shown
    assert "gears           people_counter on camera:0: OK\n" in shown

    client = redis.Redis.from_url(url)
    assert client.execute_command("AI.MODELGET", "model:nanodet-g-two-sizes", "META")[1] == b"ONNX"
    client.close()
    with started("top", *here, "--interval", 0.1) as top:
        assert top.stdout is not None
        assert "out/s" in top.stdout.readline()
        assert rededge("down", *here).stdout == "stopped\n"
        _, errors = top.communicate(timeout=60)
    assert top.returncode == 3
    assert errors.startswith("rededge: the Redis server at ")
    assert errors.count("\n") == 1
    assert rededge("status", *here).returncode == 3


def test_up_in_the_foreground_ends_with_a_signal(folder: Path) -> None:
    with started("up", "--dir", folder) as process:
        assert process.stdout is not None
        assert "is ready" in process.stdout.readline()
        assert server.find(folder) is not None
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert server.find(folder) is None


def test_a_second_worker(edge: Instance, client: redis.Redis) -> None:
    def workers() -> int:
        return len(list(state_client(client).scan_iter("rededge:worker:*")))

    wait_for(lambda: workers() == 1, what="the worker of the instance")
    with started("worker", "--url", edge.tcp_url, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: workers() == 2, what="the second worker", timeout=60)
        # other users can see command lines
        assert edge.tcp_url.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_module_prints_lines_for_redis_conf() -> None:
    info, line = rededge("module").stdout.splitlines()
    assert line.startswith('loadmodule "')
    assert info == line[: line.index(' "CLASS"')] + ' "INFO" "ai"'
    assert '"AI.MODELEXECUTE,ai,' in line
    assert '"RG.PYEXECUTE,executions,' in line


def test_redis_url_is_used_instead_of_an_instance(edge: Instance, client: redis.Redis, folder: Path) -> None:
    elsewhere = os.environ | {"REDEDGE_DIR": str(folder), "REDIS_URL": edge.tcp_url}
    assert rededge("url", env=elsewhere).stdout.strip() == edge.tcp_url
    facts = json.loads(rededge("status", "--json", env=elsewhere).stdout)
    assert facts["redis_pid"] == edge.redis_pid
    assert "folder" not in facts
    refused = rededge("up", "--detach", env=elsewhere)
    assert refused.returncode == 1
    assert "REDIS_URL is set" in refused.stderr
    assert "stored model" in rededge("init", env=elsewhere).stdout
    assert server.find(folder) is None


def test_a_missing_server_is_reported_in_one_line(folder: Path) -> None:
    nowhere = os.environ | {"REDIS_URL": "redis://:secret@127.0.0.1:1"}
    done = rededge("gears", "list", env=nowhere)
    assert done.returncode == 3
    assert done.stderr.startswith("rededge: the server at redis://127.0.0.1:1 cannot be used: ")
    assert "secret" not in done.stderr


def test_the_bundled_redis_cli_is_answered(edge: Instance, client: redis.Redis) -> None:
    stack = stack_folder()
    assert stack is not None
    cli = str(stack / "bin" / "redis-cli")
    words = ["-s", str(edge.socket), "RG.DUMPREGISTRATIONS"]
    password = StateFolder(edge.dir).password()
    libraries = str(edge.dir / "lib")
    environment = os.environ | {"REDISCLI_AUTH": password, "LD_LIBRARY_PATH": libraries}
    done = subprocess.run([cli, *words], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_one_redis_command(edge: Instance, client: redis.Redis) -> None:
    done = rededge("redis", "SET", "greeting", "two words")
    assert (done.returncode, done.stdout) == (0, "OK\n")
    assert rededge("redis", "GET", "greeting").stdout == '"two words"\n'
    assert rededge("redis", "TS.ADD", "series", "1", "-5").stdout == "(integer) 1\n"
    # this is how Python represents bytes of a command line that are not UTF-8
    assert rededge("redis", "SET", "odd", "\udcff\udcd8 é").stdout == "OK\n"
    assert rededge("redis", "GET", "odd").stdout == '"\\xff\\xd8 \\xc3\\xa9"\n'
    refused = rededge("redis", "LPUSH", "greeting", "x")
    assert (refused.returncode, refused.stdout) == (
        1,
        "(error) WRONGTYPE Operation against a key holding the wrong kind of value\n",
    )
    assert rededge("redis").returncode == 2


def test_programs_that_cannot_send_a_password(folder: Path) -> None:
    here = ("--dir", folder / "state")
    up = rededge("up", *here, "--detach", "--no-password", "--json")
    assert up.stderr == "warning: every program and user on this computer can read and change all data\n"
    port = json.loads(up.stdout)["port"]
    with redis.Redis(port=port) as client:
        assert client.execute_command("RG.PYEXECUTE", "GB('ShardsIDReader').run()") == [[b"1"], []]
    assert rededge("url", *here, "--tcp").stdout == f"redis://127.0.0.1:{port}/0\n"
    assert ":" in rededge("url", *here, "--user", "viewer").stdout.removeprefix("unix://").partition("@")[0]
    assert json.loads(rededge("status", *here, "--json").stdout)["state"] == "ok"
    rededge("down", *here)
    assert rededge("up", *here, "--detach").stderr == ""
    with redis.Redis(port=port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    refused = rededge("up", *here, "--detach", "--no-password")
    assert refused.returncode == 1
    assert "asks for a password" in refused.stderr
