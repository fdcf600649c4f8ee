from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb.capture.cameras import CameraState, capture_cameras, read_cameras
from rededge_nb.capture.run import CaptureReport
from rededge_nb.capture.sources import backoff
from rededge_nb.errors import ConfigurationError
from tests.mjpeg_server import MjpegServer, mjpeg_server
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

PICTURES = [cv2.imencode(".jpg", np.full((48, 64, 3), each, np.uint8))[1].tobytes() for each in (40, 90)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "cameras.yaml"
        path.write_text(text)
        return path

    return write


class Running(threading.Thread):
    """`capture_cameras` in a thread, with what it told."""

    def __init__(self, client: redis.Redis, path: Path) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.told: list[CameraState] = []
        self.reports: list[CaptureReport] = []
        self._arguments = (client, path)
        self.start()

    def run(self) -> None:
        self.reports = capture_cameras(*self._arguments, stop=self.stop, on_change=self.told.append)

    def states(self, camera: str) -> list[str]:
        return [each.state for each in self.told if each.camera == camera]

    def end(self) -> list[CaptureReport]:
        self.stop.set()
        self.join(20)
        assert not self.is_alive()
        return self.reports


def test_all_fields_are_read(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "p@ss/word")
    monkeypatch.setenv("DOOR_HOST", "10.0.0.5:8554")
    path = write(
        "cameras:\n"
        "  - {id: 0, source: 2, flip: true, mjpeg: true, size: [640, 480]}\n"
        "  - id: door\n"
        "    source: rtsp://viewer:${DOOR_PASSWORD}@${DOOR_HOST}/stream?token=t\n"
        "    fps: 12.5\n"
        "    size: 1280x720\n"
        "    quality: 80\n"
        "    max_age: 30\n"
        "    max_bytes: 1000000\n"
        "  - {id: file, source: videos/a.mp4, loop: true, pace: asap, window: 2, stall_timeout: 5}\n"
        "  - {id: shots, source: /shots/*.jpg, frames: 3, seconds: 1.5}\n"
        "  - {id: drawn, source: 'synthetic:people=3'}\n"
    )
    cameras = read_cameras(path)
    assert [each.camera for each in cameras] == ["0", "door", "file", "shots", "drawn"]
    assert [each.source for each in cameras] == [
        2,
        "rtsp://viewer:p%40ss%2Fword@10.0.0.5:8554/stream?token=t",
        str(path.parent / "videos/a.mp4"),
        "/shots/*.jpg",
        "synthetic:people=3",
    ]
    assert cameras[0].options == {
        "camera": "0", "flip": True, "mjpeg": True, "size": (640, 480), "wait": True,
    }  # fmt: skip
    assert cameras[1].options["fps"] == 12.5
    assert cameras[2].options["pace"] == "asap"
    assert cameras[1].shown == "rtsp://10.0.0.5:8554/stream"
    assert "p%40ss" not in repr(cameras)


def test_a_plain_list_will_do(write: Callable[[str], Path]) -> None:
    assert [each.camera for each in read_cameras(write("- {id: a, source: 0}\n- {id: b, source: '1'}\n"))] == ["a", "b"]


CAMERA = "- id: a\n  source: 0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"cameras\.yaml: there are no cameras: take a list"),
        ("cameras: []\n", "line 1: there are no cameras"),
        ("cameras: 5\n", "line 1: there are no cameras"),
        ("cameras: []\nfoo: 1\n", "line 2: the file has no field `foo`: take cameras"),
        ("- 5\n", "line 1: a camera is written as"),
        ("- source: 0\n", "line 1: the camera has no `id`"),
        (CAMERA + "- id: b\n", "line 3: the camera has no `source`"),
        (CAMERA + "  qualty: 5\n", r"line 3: a camera has no field `qualty`: take away_timeout, flip, fps, "),
        (CAMERA + "  fps: 5\n  fps: 6\n", "line 4: `fps` is there twice"),
        (CAMERA + CAMERA, "line 3: camera 'a' is in line 1 already"),
        ("- id: a:b\n  source: 0\n", "line 1: camera id 'a:b' cannot be used"),
        (CAMERA + "  quality: 0\n", "line 3: quality is 0: take a whole number above 0, up to 100"),
        (CAMERA + "  quality: high\n", "line 3: `quality` must be a whole number"),
        (CAMERA + "  quality: true\n", "line 3: `quality` must be a whole number"),
        (CAMERA + "  fps: -1\n", "line 3: fps is -1: take a number above 0"),
        (CAMERA + "  fps: .nan\n", "line 3: fps is nan"),
        (CAMERA + "  fps: [1, 2]\n", "line 3: `fps` must be a number"),
        (CAMERA + "  fps: {a: 1}\n", "line 3: `fps` must be a number"),
        (CAMERA + "  size: 640\n", "line 3: `size` must be width and height"),
        (CAMERA + "  size: [1, 2, 3]\n", "line 3: size is"),
        (CAMERA + "  flip: 1\n", "line 3: `flip` must be true or false"),
        (CAMERA + "  pace: slow\n", "line 3: pace is 'slow': take 'realtime' or 'asap'"),
        (CAMERA + "  max_bytes: 0\n", "line 3: max_bytes is 0"),
        (CAMERA + "  fps: !!python/object:os.system x\n", "line 3: `fps` must be a number"),
        ("- id: a\n  source: [1]\n", "line 2: `source` must be a path, an address or the number"),
        ("- id: a\n  source: ftp://x/y\n", "line 2: addresses that begin with ftp://"),
        ("- id: a\n  source: synthetic:cats=1\n", "line 2: 'cats' in"),
        ("- id: a\n  source: rtsp://me:${NO_SUCH}@x/\n", r"line 2: `source` refers to \$\{NO_SUCH\}, which the env"),
        ("- id: a\n  source: rtsp://me:secret@x/\n   fps: 5\n", "line 3: this is not YAML"),
        ("- id: a\n  source: \x00secret\n", "this is not YAML"),
    ],
)
def test_mistakes_are_told_with_their_line(write: Callable[[str], Path], text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        read_cameras(write(text))
    assert "cameras.yaml" in str(raised.value)
    assert "secret" not in str(raised.getrepr(style="native"))


def test_a_file_that_is_not_there(tmp_path: Path, bare_client: redis.Redis) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the cameras in .*none\.yaml: No such file"):
        capture_cameras(bare_client, tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigurationError, match="cannot read the cameras"):
        read_cameras(tmp_path / "binary.yaml")


def test_cameras_run_side_by_side_until_all_have_ended(bare_client: redis.Redis, write: Callable[[str], Path]) -> None:
    told: list[CameraState] = []
    path = write(
        "- {id: one, source: 'synthetic:frames=7,people=2,size=128x64,fps=100', quality: 50}\n"
        "- {id: two, source: 'synthetic:frames=9,people=2,size=256x128,fps=100', size: 128x128}\n"
    )
    one, two = capture_cameras(bare_client, path, on_change=told.append)
    assert (one.camera, one.frames + one.skipped) == ("one", 7)
    assert (two.camera, two.frames + two.skipped) == ("two", 9)
    assert bare_client.xlen("camera:one") == one.frames
    jpeg = bare_client.xrange("camera:two")[0][1][b"image"]
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (64, 128, 3)
    assert {each.camera: each.state for each in told} == {"one": "ended", "two": "ended"}
    assert all(each.problem is None for each in told)


def test_one_that_fails_is_tried_again_and_the_others_go_on(
    bare_client: redis.Redis, write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_DELAY", 0.1)
    server = MjpegServer(PICTURES)
    path = write(
        f"- {{id: net, source: '{server.url}'}}\n"
        "- {id: late, source: late.jpg, fps: 100, loop: true}\n"
        "- {id: steady, source: 'synthetic:people=2,size=128x64'}\n"
    )
    running = Running(bare_client, path)
    wait_for(lambda: "waiting" in running.states("late"), what="the missing file's problem")
    wait_for(lambda: "capturing" in running.states("net"), what="the network camera")
    (tmp_path / "late.jpg").write_bytes(PICTURES[0])
    wait_for(lambda: "capturing" in running.states("late"), what="the file")
    server.kill()
    wait_for(lambda: running.states("net")[-1] == "waiting", what="the network camera's problem")
    (problem,) = {each.problem.partition(" (")[0] for each in running.told if each.camera == "late" and each.problem}
    assert "no such source" in problem
    steady = bare_client.xlen("camera:steady")
    with mjpeg_server(PICTURES, port=server.port):
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
    assert "does not answer" in str(running.told[-1].problem)
    assert running.end()[0].frames == 0


def test_seconds_end_all(bare_client: redis.Redis, write: Callable[[str], Path]) -> None:
    started = time.monotonic()
    (report,) = capture_cameras(
        bare_client, write("- {id: a, source: 'synthetic:people=2,size=128x64'}\n"), seconds=0.3
    )
    assert time.monotonic() - started >= 0.3
    assert report.camera == "a"
