"""Pictures over HTTP: MJPEG and snapshots."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.live import follow
from rededge_nb.web import WebServer, channels, rendering, video
from tests.bare import bare_server
from tests.waiting import wait_for
from tests.web.site import HEIGHT, TOKEN, WIDTH, Camera, Mjpeg, ask, decode, has_box, watching

pytest_plugins = ("tests.bare_fixtures",)

WAITING = (rendering.TEXT_IMAGE_WH[1], rendering.TEXT_IMAGE_WH[0], 3)


def level(image: np.ndarray[Any, Any]) -> int:
    """Grey level of a frame of `Camera`, read where nothing is drawn."""
    return int(image[HEIGHT - 10, WIDTH - 10].mean())


def next_of_level(stream: Mjpeg, wanted: int) -> np.ndarray[Any, Any]:
    """Read until a frame of this level."""
    while abs(level(image := stream.picture()) - wanted) > 4:
        pass
    return image


def test_boxes_are_drawn_in_each_frame(port: int, camera: Camera) -> None:
    camera.detected(90)
    with watching(port) as stream:
        assert stream.head.startswith("HTTP/1.1 200 OK\r\n")
        assert "multipart/x-mixed-replace; boundary=rededge-frame" in stream.head
        assert "Cache-Control: no-store" in stream.head
        first = stream.picture()
        assert (first.shape, abs(level(first) - 90) < 4, has_box(first)) == ((HEIGHT, WIDTH, 3), True, True)
        camera.detected(150)
        assert has_box(next_of_level(stream, 150))


def test_a_frame_without_detections_is_sent_unchanged(
    port: int, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rededge_nb.live.follow.NO_DETECTIONS_AFTER", -1.0)
    camera.detected(90)
    with watching(port) as stream:
        stream.picture()
        camera.frame(200)
        newest = camera.client.xrevrange(schema.frames_key("0"), count=1)[0][1][b"image"]
        while stream.jpeg() != newest:
            pass


@pytest.mark.parametrize("known", [True, False])
def test_a_camera_without_frames_has_an_image_that_says_so_and_then_frames(
    port: int, camera: Camera, known: bool
) -> None:
    if known:
        camera.client.sadd(schema.CAMERAS_KEY, "0")
    with watching(port) as stream:
        assert stream.picture().shape == WAITING
        camera.detected(90)
        assert has_box(next_of_level(stream, 90))


def test_a_frame_that_is_not_an_image_is_reported_and_skipped(port: int, camera: Camera) -> None:
    fields: Any = {"count": 1, "image": b"nonsense"}
    camera.detect(camera.client.xadd("camera:0", fields).decode())
    with watching(port) as stream:
        assert stream.picture().shape == WAITING
        camera.detected(90)
        assert has_box(next_of_level(stream, 90))


def test_redis_may_go_away_and_return() -> None:
    with bare_server() as first, WebServer(f"unix://{first.socket}", port=0, token=TOKEN) as server:
        camera = Camera(first.client())
        camera.detected(90)
        with watching(server.port) as stream:
            whole = stream.jpeg()
            first.kill()
            away = stream.picture()
            assert away.shape == (HEIGHT, WIDTH, 3)
            assert not np.array_equal(away, decode(whole))
            with watching(server.port) as later:
                later.picture()
            assert ask(server.port, "/snapshot.jpg").status == 503
            first.start_again()
            camera.detected(150)
            assert has_box(next_of_level(stream, 150))


def test_a_camera_is_rendered_once_for_all_and_only_while_somebody_watches(
    port: int, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []

    def counted(*arguments: Any) -> bytes:
        rendered.append(arguments[1].frame.entry_id)
        return rendering.render_jpeg(*arguments)

    monkeypatch.setattr(channels, "render_jpeg", counted)
    first = camera.detected()
    streams = [Mjpeg(port) for _ in range(8)]
    pictures = {stream.jpeg() for stream in streams}
    assert len(pictures) == 1
    second = camera.detected(150)
    assert len({stream.jpeg() for stream in streams}) == 1
    assert rendered == [first, second]
    for stream in streams:
        stream.close()
    wait_for(lambda: not _feeds(), what="the end of the thread that reads for nobody")
    camera.detected(200)
    assert rendered == [first, second]


def test_a_viewer_that_does_not_read_loses_frames_and_nobody_else_does(port: int, camera: Camera) -> None:
    camera.detected(20)
    with watching(port) as slow, watching(port) as fast:
        slow.picture()
        fast.picture()
        skipped = 'rededge_web_pictures_skipped_total{kind="mjpeg"}'
        sent = 0
        # as many as the kernel takes for a viewer that does not read
        while skipped not in ask(port, "/metrics").body.decode():
            sent += 1
            noisy(camera)
            fast.jpeg()
        for _ in range(5):
            sent += 1
            noisy(camera)
            fast.jpeg()
        camera.detected(230)
        assert has_box(next_of_level(fast, 230))
        received = 0
        while decode(slow.jpeg()).shape != (HEIGHT, WIDTH, 3):  # type: ignore[union-attr]
            received += 1
        assert received < sent


def test_a_viewer_that_has_disconnected_is_forgotten(
    port: int, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera.detected()
    with watching(port) as stream:
        stream.jpeg()
        assert 'rededge_web_viewers{camera="0"} 1.0' in ask(port, "/metrics").body.decode()
    wait_for(lambda: "rededge_web_viewers" not in ask(port, "/metrics").body.decode(), what="no viewer")


def test_a_stalled_viewer_is_closed(
    redis_url: str, camera: Camera, bare_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "STALLED_AFTER", 0.0)
    monkeypatch.setattr("rededge_nb.web.server._CHECK_INTERVAL", 0.01)
    camera.detected()
    with WebServer(redis_url, port=0, token=TOKEN) as server, watching(server.port) as stream:
        stream.jpeg()

        def gone() -> bool:
            noisy(camera)
            return "rededge_web_viewers" not in ask(server.port, "/metrics").body.decode()

        wait_for(gone, timeout=60, what="the server to give up the viewer")


def test_a_snapshot_has_the_boxes(port: int, camera: Camera) -> None:
    camera.detected(90)
    answer = ask(port, "/snapshot.jpg?camera=0")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    image = decode(answer.body)
    assert image is not None
    assert has_box(image)
    assert ask(port, "/snapshot.jpg", "HEAD").body == b""


def test_a_snapshot_of_a_camera_without_frames_says_so(port: int) -> None:
    answer = ask(port, "/snapshot.jpg?camera=elsewhere")
    assert answer.status == 404
    image = decode(answer.body)
    assert image is not None
    assert image.shape == WAITING


def test_the_number_of_channels_is_limited(port: int, camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.web.hub.MAX_CHANNELS", 1)
    with watching(port) as stream, watching(port):
        stream.jpeg()
        answer = ask(port, "/video?camera=1")
        assert (answer.status, answer.headers["Content-Type"]) == (503, "application/json; charset=utf-8")
        monkeypatch.setattr("rededge_nb.web.hub.MAX_VIEWERS", 2)
        assert ask(port, "/video?camera=0").status == 503


def test_jupyter_s_proxy_gets_no_mjpeg(port: int) -> None:
    assert ask(port, "/video", X_ProxyContextPath="/rededge-video").status == 501


def test_the_server_ends_while_it_is_watched(redis_url: str, camera: Camera) -> None:
    camera.detected()
    with WebServer(redis_url, port=0, token=TOKEN) as server:
        stream = Mjpeg(server.port)
        stream.jpeg()
    assert stream.socket.recv(1 << 20) == b""
    stream.close()
    assert not _feeds()
    server.close()


def noisy(camera: Camera) -> None:
    """A large frame with detections, which no compression makes small."""
    rng = np.random.default_rng(camera.count)
    image = rng.integers(0, 255, (720, 960, 3), np.uint8)
    fields: Any = {"count": camera.count, "image": rendering.encode_jpeg(image, quality=95)}
    camera.detect(camera.client.xadd("camera:0", fields, maxlen=5).decode())


def _feeds() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rededge web 0")]


def test_a_silent_camera_is_gray(port: int, camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    camera.detected()
    with watching(port) as stream:
        wait_for(lambda: has_box(stream.picture()), timeout=60, what="an image in colour")
        monkeypatch.setattr(follow, "SILENT_AFTER", 0.0)
        [gray] = wait_for(lambda: [image] if not has_box(image := stream.picture()) else None, timeout=60, what="gray")
    assert gray.max(axis=2).astype(int).min() < 70, "darker, too"
