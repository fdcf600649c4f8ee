from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb.capture.cameras import CameraState, capture_cameras
from rededge_nb.capture.run import CaptureReport
from rededge_nb.capture.sources import backoff
from tests.mjpeg_server import MjpegServer, mjpeg_server
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

IMAGES = [cv2.imencode(".jpg", np.full((48, 64, 3), each, np.uint8))[1].tobytes() for each in (40, 90)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "cameras.yaml"
        path.write_text(text)
        return path

    return write


class Running(threading.Thread):
    """`capture_cameras` in a thread, with its states."""

    def __init__(self, client: redis.Redis, path: Path) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.states_seen: list[CameraState] = []
        self.reports: list[CaptureReport] = []
        self._arguments = (client, path)
        self.start()

    def run(self) -> None:
        self.reports = capture_cameras(*self._arguments, stop=self.stop, on_change=self.states_seen.append)

    def states(self, camera: str) -> list[str]:
        return [each.state for each in self.states_seen if each.camera == camera]

    def end(self) -> list[CaptureReport]:
        self.stop.set()
        self.join(20)
        assert not self.is_alive()
        return self.reports


def test_cameras_run_side_by_side_until_all_have_ended(bare_client: redis.Redis, write: Callable[[str], Path]) -> None:
    states_seen: list[CameraState] = []
    path = write(
        "- {id: one, source: 'synthetic:frames=7,people=2,size=128x64,fps=100', quality: 50}\n"
        "- {id: two, source: 'synthetic:frames=9,people=2,size=256x128,fps=100', size: 128x128}\n"
    )
    one, two = capture_cameras(bare_client, path, on_change=states_seen.append)
    assert (one.camera, one.frames + one.skipped) == ("one", 7)
    assert (two.camera, two.frames + two.skipped) == ("two", 9)
    assert bare_client.xlen("camera:one") == one.frames
    jpeg = bare_client.xrange("camera:two")[0][1][b"image"]
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (64, 128, 3)
    assert {each.camera: each.state for each in states_seen} == {"one": "ended", "two": "ended"}
    assert all(each.problem is None for each in states_seen)


def test_one_that_fails_is_tried_again_and_the_others_go_on(
    bare_client: redis.Redis, write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_DELAY", 0.1)
    server = MjpegServer(IMAGES)
    path = write(
        f"- {{id: net, source: '{server.url}'}}\n"
        "- {id: late, source: late.jpg, fps: 100, loop: true}\n"
        "- {id: steady, source: 'synthetic:people=2,size=128x64'}\n"
    )
    running = Running(bare_client, path)
    wait_for(lambda: "waiting" in running.states("late"), what="the missing file's problem")
    wait_for(lambda: "capturing" in running.states("net"), what="the network camera")
    (tmp_path / "late.jpg").write_bytes(IMAGES[0])
    wait_for(lambda: "capturing" in running.states("late"), what="the file")
    server.kill()
    wait_for(lambda: running.states("net")[-1] == "waiting", what="the network camera's problem")
    (problem,) = {
        each.problem.partition(" (")[0] for each in running.states_seen if each.camera == "late" and each.problem
    }
    assert "no such source" in problem
    steady = bare_client.xlen("camera:steady")
    with mjpeg_server(IMAGES, port=server.port):
        wait_for(lambda: running.states("net")[-1] == "capturing", timeout=30, what="the network camera")
        started = time.monotonic()
        reports = running.end()
        assert time.monotonic() - started < 3
    assert running.states("steady") == ["starting", "capturing"]
    assert [report.camera for report in reports] == ["net", "late", "steady"]
    assert all(report.frames > 0 for report in reports)
    assert reports[2].frames > steady


def test_a_server_that_is_away_is_waited_for(
    bare_client: redis.Redis, write: Callable[[str], Path], tmp_path: Path
) -> None:
    client = redis.Redis(unix_socket_path=str(tmp_path / "none"))
    running = Running(client, write("- {id: a, source: 'synthetic:'}\n"))
    wait_for(lambda: "waiting" in running.states("a"), what="the problem")
    assert "does not answer" in str(running.states_seen[-1].problem)
    assert running.end()[0].frames == 0


def test_seconds_end_all(bare_client: redis.Redis, write: Callable[[str], Path]) -> None:
    started = time.monotonic()
    (report,) = capture_cameras(
        bare_client, write("- {id: a, source: 'synthetic:people=2,size=128x64'}\n"), seconds=0.3
    )
    assert time.monotonic() - started >= 0.3
    assert report.camera == "a"
