"""Scripts in the manner of the showcase, written against redis-py 3, at work with our server and our gear.

They have its keys, fields and calls; they differ from it in giving the server's password, and in serving from the
standard library in place of Flask.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb.control.provision import provision
from rededge_nb.edge.server.state import Instance
from rededge_nb.reading.detections import read_detections
from tests.waiting import wait_for

HERE = Path(__file__).parent
VERSION = "3.2.1"
FRAMES = 8


@pytest.fixture(scope="module")
def old_redis_py(pytestconfig: pytest.Config) -> dict[str, str]:
    """Environment in which `import redis` is redis-py 3.2.1, which pip brings once."""
    folder = pytestconfig.cache.mkdir(f"redis-py-{VERSION}")
    environment = os.environ | {"PYTHONPATH": str(folder)}
    if not (folder / "redis" / "__init__.py").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += [
            "--only-binary=:all:",
            "--require-hashes",
            "--target",
            str(folder),
            "-r",
            str(HERE / "requirements.txt"),
        ]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"pip could not bring redis {VERSION}: {done.stderr.strip()[-300:]}")
    asked = subprocess.run(
        [sys.executable, "-c", "import redis; print(redis.__version__)"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert asked.stdout == f"{VERSION}\n"
    return environment


@contextmanager
def script(name: str, *words: object, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / name), *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def first_part(port: int) -> bytes:
    """The first picture of an MJPEG stream."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/video")
        reply = connection.getresponse()
        assert reply.getheader("Content-Type") == "multipart/x-mixed-replace; boundary=frame"
        assert reply.readline() == b"--frame\r\n"
        while reply.readline() != b"\r\n":
            pass
        picture = b""
        while b"--frame\r\n" not in picture:
            picture += reply.read1()
        reply.close()
    return picture.partition(b"\r\n\r\n--frame")[0]


def test_capture_server_and_top(edge: Instance, client: redis.Redis, video: Path, old_redis_py: dict[str, str]) -> None:
    provision(client, cameras=["0"])
    with script("capture.py", video, "--count", FRAMES, "-u", edge.tcp_url, env=old_redis_py) as capture:
        output, _ = capture.communicate(timeout=60)
    assert capture.returncode == 0
    ids = output.split()
    assert len(ids) == client.xlen("camera:0") == FRAMES
    assert set(client.xrange("camera:0")[0][1]) == {b"count", b"image"}

    # the gear drops frames when it is late, but never the newest
    wait_for(
        lambda: ids[-1] in [each.ref for each in read_detections(client, "0")[-1:]],
        what="the gear's result for the last frame",
        timeout=60,
    )
    found = read_detections(client, "0")[-1]
    assert len(found) >= 1

    with script("server.py", "-u", edge.tcp_url, env=old_redis_py) as server:
        assert server.stdout is not None
        jpeg = first_part(int(server.stdout.readline()))
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    plain = cv2.imdecode(np.frombuffer(client.xrevrange("camera:0", count=1)[0][1][b"image"], np.uint8), 1).astype(int)
    assert shown.shape == plain.shape
    height, width = shown.shape[:2]
    for x1, y1, x2, y2 in found.xyxy.astype(int):
        # halfway down the left edge of a box, or the right one where that is on the rim
        x, y = (x1 if x1 > 2 else min(x2, width - 1)), min((y1 + y2) // 2, height - 1)
        blue, green, red = shown[y, x]
        assert red > 150 > max(blue, green), (x, y, shown[y, x])

    with script("top.py", "-u", edge.tcp_url, "-s", 600, env=old_redis_py) as top:
        figures, _ = top.communicate(timeout=60)
    assert top.returncode == 0
    values = dict(line.split(": ") for line in figures.splitlines())
    assert list(values)[:2] == ["in_fps", "out_fps"]
    assert float(values["in_fps"]) >= float(values["out_fps"]) >= 1
    assert 0 < float(values["prf_model"]) < float(values["prf_total"])
