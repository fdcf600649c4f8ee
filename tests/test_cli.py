"""The command line, run as processes: output, exit codes, and what a wrong use says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from rededge_nb.edge import server
from rededge_nb.edge.binaries import redis_cli
from rededge_nb.edge.state import Instance
from tests.waiting import wait_for

COMMAND = [sys.executable, "-m", "rededge_nb.cli"]


def rededge(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, env=env, timeout=120
    )


def test_a_life_from_up_to_down(folder: Path) -> None:
    here = ("--dir", folder / "state")
    assert (rededge("status", *here).returncode, rededge("url", *here).returncode) == (3, 3)
    assert rededge("down", *here).stdout == "not running\n"
    up = rededge("up", *here, "--detach")
    assert (up.returncode, up.stderr) == (0, "")
    assert "RedisEdge is ready on 127.0.0.1:" in up.stdout
    again = rededge("up", *here, "--detach")
    assert again.stdout == up.stdout
    refused = rededge("up", *here)
    assert refused.returncode == 1
    assert refused.stderr.startswith("rededge: RedisEdge runs already in ")

    first = rededge("init", *here)
    assert "stored model nanodet-g-416" in first.stdout
    assert "registered gear people_counter for camera:0" in first.stdout
    assert rededge("init", *here).stdout == "everything is there already\n"

    facts = json.loads(rededge("status", *here, "--json").stdout)
    assert facts["models"] == "model:nanodet-g-416"
    assert facts["gears"] == "people_counter on camera:0: OK"
    assert facts["workers"] == 1
    url = rededge("url", *here, "--tcp").stdout.strip()
    password = url.split(":")[2].split("@")[0]
    shown = rededge("status", *here).stdout
    assert password not in shown
    assert "supervisor pid" in shown

    client = redis.Redis.from_url(url)
    assert client.execute_command("AI.MODELGET", "model:nanodet-g-416", "META")[1] == b"ONNX"
    client.close()
    assert rededge("down", *here).stdout == "stopped\n"
    assert rededge("status", *here).returncode == 3


def test_up_in_the_foreground_ends_with_a_signal(folder: Path) -> None:
    process = subprocess.Popen([*COMMAND, "up", "--dir", str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "is ready" in process.stdout.readline()
    assert server.find(folder) is not None
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()
    assert server.find(folder) is None


def test_capture_from_the_command_line(edge: Instance, client: redis.Redis, video: Path) -> None:
    done = rededge("capture", video, "--pace", "asap", "--seconds", "1", "--camera", "desk", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["frames"], report["camera"]) == (10, "desk")
    assert "registered gear people_counter for camera:desk" in done.stderr
    assert client.xlen("camera:desk:yolo") == 10


def test_a_capture_ends_with_a_signal_and_reports(edge: Instance, client: redis.Redis, video: Path) -> None:
    command = [*COMMAND, "capture", str(video), "--loop", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    wait_for(lambda: client.xlen("camera:0") > 3, what="some frames", timeout=30)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(output)["frames"] > 3


def test_the_bundled_redis_cli_is_answered(edge: Instance, client: redis.Redis) -> None:
    cli = redis_cli()
    assert cli is not None
    words = ["-s", str(edge.socket), "RG.DUMPREGISTRATIONS"]
    password = server.StateFolder(edge.dir).password()
    libraries = str(edge.dir / "lib")
    environment = os.environ | {"REDISCLI_AUTH": password, "LD_LIBRARY_PATH": libraries}
    done = subprocess.run([str(cli), *words], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_module_prints_what_a_server_of_ones_own_needs() -> None:
    line = rededge("module").stdout
    assert line.startswith('loadmodule "')
    assert '"AI.MODELEXECUTE,ai,' in line
    assert '"RG.PYEXECUTE,executions,' in line


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("capture", "/no/such/video.mp4"), 1, "/no/such/video.mp4"),
        (("init", "--model", "nothing"), 1, "no model card"),
        (("init", "--camera", "a b"), 1, "camera id 'a b' is not usable"),
        (("capture", "x.mp4", "--fps", "0"), 2, "Invalid value for '--fps'"),
        (("capture",), 2, "Missing argument 'SOURCE'"),
        (("up", "--port", "99999"), 2, "Invalid value for '--port'"),
        (("nonsense",), 2, "No such command 'nonsense'"),
        (("pipeline", "run", "--video", "/no/such/video.mp4"), 2, "does not exist"),
    ],
)
def test_wrong_use(edge: Instance, words: tuple[str, ...], code: int, message: str) -> None:
    done = rededge(*words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


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


def test_help_has_examples() -> None:
    text = rededge("--help").stdout
    assert "rededge up --detach" in text
    assert "Exit codes" in text
