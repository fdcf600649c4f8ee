from __future__ import annotations

import cv2
import numpy as np
import redis

from rededge_nb.capture.run import start_capture
from rededge_nb.capture.sources import open_source
from tests.rtsp_server import RtspServer, rtsp_server
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

BRIGHTNESSES = (40, 90, 140)
PICTURES = [cv2.imencode(".jpg", np.full((480, 640, 3), each, np.uint8))[1].tobytes() for each in BRIGHTNESSES]


def test_jpeg_over_rtsp_is_handed_on_without_decoding() -> None:
    with rtsp_server(PICTURES) as server, open_source(server.url) as source:
        assert source.size_wh == (640, 480)
        assert source.live
        pictures = [source.read().image for _ in range(6)]
    assert all(isinstance(each, bytes) for each in pictures)
    found = {round(cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR).mean()) for each in pictures}
    assert found <= set(BRIGHTNESSES)


def test_a_capture_goes_on_when_a_killed_camera_is_back(bare_client: redis.Redis) -> None:
    first = RtspServer(PICTURES)
    with start_capture(bare_client, first.url) as capture:
        wait_for(lambda: capture.report.frames > 3, what="frames")
        first.kill()
        wait_for(lambda: capture.problem, what="the problem")
        before = capture.report.frames
        with rtsp_server(PICTURES, port=first.port):
            wait_for(lambda: capture.report.frames > before + 3, timeout=30, what="frames")
            assert capture.problem is None
