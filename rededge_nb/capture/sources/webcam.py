"""Cameras at this machine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator

import cv2

from rededge_nb.capture.sources import video
from rededge_nb.capture.sources.base import Captured, Source
from rededge_nb.capture.sources.receiver import Receiver
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import SourceError
from rededge_nb.images import is_jpeg

_MJPG = cv2.VideoWriter.fourcc(*"MJPG")
_BACKEND = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY


def open_webcam(
    device: int | str,
    *,
    fps: float | None,
    shape: Shape,
    mjpeg: bool,
    wait: bool,
    stop: threading.Event | None,
) -> Source:
    """A webcam by its index or its device file.

    Raises:
        SourceError: it is not there, or in use.
    """
    describe = f"webcam {device}"
    receiver = Receiver(_Webcam(device, fps=fps, size_wh=shape.size_wh, mjpeg=mjpeg), describe)
    if not wait:
        receiver.wait_for_first(stop)
    return Source(receiver, describe=describe, native_fps=receiver.native_fps, fps=fps, live=True, shape=shape)


class _Webcam:
    def __init__(self, device: int | str, *, fps: float | None, size_wh: tuple[int, int] | None, mjpeg: bool) -> None:
        self.native_fps: float | None = None
        self._device = device
        self._fps = fps
        self._size_wh = size_wh
        self._mjpeg = mjpeg

    def pictures(self) -> Generator[Captured]:
        capture = video.open_capture(self._device, _BACKEND)
        try:
            if not capture.isOpened():
                raise SourceError(
                    f"there is no webcam {self._device}, or it is in use: see which there are (Linux: ls /dev/video*), "
                    "or take a video file or a folder of pictures"
                )
            self._ask(capture)
            self.native_fps = video.native_fps(capture)
            while (captured := video.take(capture)) is not None:
                yield captured
            raise SourceError(
                f"webcam {self._device} delivers no more pictures: was it unplugged, or is another program using it?"
            )
        finally:
            capture.release()

    def close(self) -> None:
        """Nothing more can be done: OpenCV gives a silent camera up by itself, after ten seconds."""

    def _ask(self, capture: cv2.VideoCapture) -> None:
        """Tell the camera what is wanted; it does what it can."""
        # The format comes first, because the sizes and rates that a camera offers depend on it.
        if self._mjpeg:
            capture.set(cv2.CAP_PROP_FOURCC, _MJPG)
        if self._size_wh:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size_wh[1])
        if self._fps:
            capture.set(cv2.CAP_PROP_FPS, self._fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if self._mjpeg and int(capture.get(cv2.CAP_PROP_FOURCC)) == _MJPG:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            # Some drivers say yes and deliver something else.
            ok, first = capture.read()
            if not ok or first is None or not is_jpeg(first.tobytes()[:2]):
                capture.set(cv2.CAP_PROP_CONVERT_RGB, 1)
