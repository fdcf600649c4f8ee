from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from rededge_nb.capture.run import start_capture
from rededge_nb.capture.sources import Captured, http_client, open_source
from rededge_nb.capture.sources.synthetic import DrawnScene
from rededge_nb.errors import SourceError
from rededge_nb.images import Image, decode_image, size_of
from tests.rtsp_server import RtspServer, h264_server, jpeg_server, rtsp_server
from tests.video_files import INTERLACED, write_video
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

LEVELS = (40, 90, 140)
JPEGS = [cv2.imencode(".jpg", np.full((480, 640, 3), each, np.uint8))[1].tobytes() for each in LEVELS]


def test_jpeg_over_rtsp_is_handed_on_without_decoding() -> None:
    with rtsp_server(JPEGS) as server, open_source(server.url) as source:
        assert source.size_wh == (640, 480)
        assert source.live
        images = [source.read().image for _ in range(6)]
    assert all(isinstance(each, bytes) for each in images[1:])
    found = {round(decode_image(each, "it").mean()) for each in images}
    assert found <= set(LEVELS)


def test_a_capture_goes_on_when_a_killed_camera_is_back(bare_client: redis.Redis) -> None:
    first = jpeg_server(JPEGS)
    with start_capture(bare_client, first.url) as capture:
        wait_for(lambda: capture.report.frames > 3, what="frames")
        first.kill()
        wait_for(lambda: capture.problem, what="the problem")
        before = capture.report.frames
        with rtsp_server(JPEGS, port=first.port):
            # frames that had been read before may still be added while the problem is known
            wait_for(lambda: capture.report.frames > before + 3 and not capture.problem, timeout=30, what="frames")


FPS, SCENE = 25, DrawnScene(people=2, size_wh=(320, 240), fps=25)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes MPEG-TS of drawn scenes, whose images tell their number."""
    folder = tmp_path_factory.mktemp("films")

    def make(name: str, *, first: int = 0, scene: DrawnScene = SCENE, flags: int = 0, **options: str) -> Path:
        path = folder / f"{name}.ts"
        if not path.exists():
            images = [scene.image(first + number) for number in range(2 * FPS)]
            write_video(path, images, fps=FPS, flags=flags, options={"g": "25", **options})
        return path

    return make


def numbered(captured: list[Captured], scene: DrawnScene = SCENE) -> list[tuple[int, int]]:
    """The number of each frame, read from its image, and its time."""
    return [(scene.index_of(_image(each)), each.ts_ms) for each in captured]


def _image(captured: Captured) -> Image:
    return decode_image(captured.image, "it")


def read_from(server: RtspServer, count: int, **options: object) -> list[Captured]:
    with open_source(server.url, **options) as source:  # type: ignore[arg-type]
        found = [source.read() for _ in range(count)]
        assert source.missed == 0
    return [each for each in found if each is not None]


KINDS: dict[str, dict[str, object]] = {
    "plain": {"bf": "0"},
    "b-frames": {"bf": "3", "x264-params": "b-adapt=0"},
    "interlaced": {"flags": INTERLACED, "bf": "0", "x264-params": "tff=1"},
    "interlaced-b-frames": {"flags": INTERLACED, "bf": "2", "x264-params": "tff=1"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_of_h264_has_the_time_of_its_capture(film: Callable[..., Path], kind: str) -> None:
    with h264_server(film(kind, **KINDS[kind]), offset=1234.5) as server:
        found = numbered(read_from(server, 60))
        started_ms = 1000 * server.started
    first = found[0][0]
    assert [number for number, _ in found] == [(first + each) % (2 * FPS) for each in range(60)]
    times = np.array([ts_ms for _, ts_ms in found])
    expected = times[0] + np.arange(60) * 1000 / FPS
    assert np.abs(times - expected).max() < 250  # those that arrive together at the start are eight frames
    # frames that were recognized as the stream began are dated back to their capture
    assert abs(times[0] - (started_ms + 1000 * first / FPS)) < 1000


def test_a_camera_that_changes_its_size_is_followed(film: Callable[..., Path]) -> None:
    other = DrawnScene(people=2, size_wh=(480, 270), fps=FPS)
    with h264_server(film("plain", bf="0"), film("other", scene=other, bf="0")) as server:
        found = read_from(server, 120)
    sizes = [size_of(each.image) for each in found]
    assert set(sizes) == {(320, 240), (480, 270)}
    numbers = [
        (SCENE if size == (320, 240) else other).index_of(_image(each)) for each, size in zip(found, sizes, strict=True)
    ]
    assert [(after - before) % (2 * FPS) for before, after in pairwise(numbers)] == [1] * 119
    gaps = np.diff([each.ts_ms for each in found])
    assert gaps.sum() == pytest.approx(119 * 40, abs=250)


def test_fewer_frames_are_chosen_by_their_times(film: Callable[..., Path]) -> None:
    """Frames that no other one needs are not decoded then, and the images are the same."""
    path = film("b-frames", bf="3", **{"x264-params": "b-adapt=0"})
    with open_source(path) as source:
        everything = [_image(each) for each in iter(source.read, None)]
    with h264_server(path) as server:
        found = read_from(server, 20, fps=5)
    for each, (number, _) in zip(found, numbered(found), strict=True):
        assert np.array_equal(_image(each), everything[number])
    gaps = np.diff([each.ts_ms for each in found])
    assert gaps.sum() == pytest.approx(19 * 200, abs=300)
    assert np.median(gaps) == pytest.approx(200, abs=20)


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_user_and_password_with_special_characters(film: Callable[..., Path], scheme: str) -> None:
    with h264_server(film("plain", bf="0"), user="me:p@ss/w#rd?", scheme=scheme) as server:
        right = server.url.replace("rtsp://", "rtsp://me:p%40ss%2Fw%23rd%3F@")
        with open_source(right) as source:
            assert source.read() is not None
        for wrong in (server.url, right.replace("p%40ss", "wrong")):
            with pytest.raises(SourceError, match="answers 401 and refuses user and password") as refused:
                open_source(wrong)
            assert "wrong" not in str(refused.getrepr(style="native")).replace("open_source(wrong)", "").replace(
                "for wrong in", ""
            )


def test_a_wrong_path_is_named(film: Callable[..., Path]) -> None:
    missing = pytest.raises(SourceError, match="answers 404: see the path of the address")
    with h264_server(film("plain", bf="0")) as server, missing:
        open_source(server.url.replace("/stream", "/elsewhere"))


def test_a_camera_that_sends_over_udp_only(film: Callable[..., Path]) -> None:
    with h264_server(film("plain", bf="0"), udp_only=True) as server:
        found = read_from(server, 10)
        assert len([each for each in server.requests if each.startswith("SETUP")]) == 2
    numbers = [number for number, _ in numbered(found)]
    assert [(after - before) % (2 * FPS) for before, after in pairwise(numbers)] == [1] * 9


def test_one_connection_is_enough(film: Callable[..., Path]) -> None:
    with h264_server(film("plain", bf="0")) as server:
        read_from(server, 3)
        assert len([each for each in server.requests if each.startswith("DESCRIBE")]) == 1


def test_a_camera_that_falls_silent_is_asked_again(film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "READ_TIMEOUT", 0.5)
    with h264_server(film("plain", bf="0"), silent_after=30) as server, open_source(server.url) as source:
        wait_for(lambda: "it was silent for too long" in str(source.problem), timeout=30, what="the problem")
        wait_for(lambda: sum("PLAY" in each for each in server.requests) > 1, timeout=30, what="another try")
