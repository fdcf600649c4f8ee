"""Cameras at this machine, through OpenCV."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import cv2

from rededge_nb.analytics.jpeg import JPEG_START, find_jpeg_end
from rededge_nb.capture.sources.base import Captured, now_ms
from rededge_nb.capture.sources.problems import Problems
from rededge_nb.capture.sources.rate_limit import JITTER, RateLimit
from rededge_nb.capture.sources.receiver import LiveSource, Receiver
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.capture.values import HIGHEST_CREDIBLE_FPS
from rededge_nb.errors import SourceError
from rededge_nb.images import ImageOrJpeg

_MJPG = cv2.VideoWriter.fourcc(*"MJPG")
_BACKEND = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
_log_level_lock = threading.Lock()
_quiet_depth = 0
_log_level_before = 0


def open_webcam(
    device: int | str,
    *,
    fps: float | None,
    shape: Shape,
    mjpeg: bool,
    wait: bool,
    stop: threading.Event | None,
) -> LiveSource:
    """A webcam by its index or its device file.

    Raises:
        SourceError: it is not there, or in use.
    """
    describe, problems = f"webcam {device}", Problems()
    connection = WebcamConnection(device, fps=fps, size_wh=shape.size_wh, mjpeg=mjpeg, problems=problems)
    receiver = Receiver(connection, describe)
    source = LiveSource(receiver, describe=describe, problems=problems, fps=fps, shape=shape)
    if not wait:
        receiver.wait_for_first(stop)
    return source


class WebcamConnection:
    """The frames of a webcam."""

    def __init__(
        self,
        device: int | str,
        *,
        fps: float | None,
        size_wh: tuple[int, int] | None,
        mjpeg: bool,
        problems: Problems,
    ) -> None:
        self.native_fps: float | None = None
        self._device = device
        self._fps = fps
        self._size_wh = size_wh
        self._mjpeg = mjpeg
        self._problems = problems

    def frames(self) -> Generator[Captured]:
        """As `Connection.frames`."""
        with _quiet():
            capture = cv2.VideoCapture(self._device, _BACKEND)
        try:
            if not capture.isOpened():
                raise SourceError(
                    f"there is no webcam {self._device}, or it is in use: see which there are (Linux: ls /dev/video*), "
                    "or take a video file or a folder of images"
                )
            self._ask(capture)
            self.native_fps = _native_fps(capture)
            limit = RateLimit(self._fps, JITTER)
            while capture.grab():
                ts_ms = now_ms()
                if not limit.wants(time.monotonic()):
                    continue
                ok, frame = capture.retrieve()
                if not ok or frame is None or not frame.size:
                    break
                image = self._image(frame)
                if image is not None:
                    yield Captured(image, ts_ms)
            raise SourceError(
                f"webcam {self._device} delivers no more frames: was it unplugged, or is another program using it?"
            )
        finally:
            capture.release()

    def close(self) -> None:
        """Nothing more can be done: OpenCV gives a silent camera up by itself, after ten seconds."""

    def _image(self, frame: Any) -> ImageOrJpeg | None:
        """An image, or the JPEG that OpenCV delivers as a row of bytes; None for one that is damaged."""
        if frame.ndim == 3:
            return frame  # type: ignore[no-any-return]
        data: bytes = frame.tobytes()
        end = find_jpeg_end(data)
        if end is None:
            self._problems.skip(f"an image of webcam {self._device} is damaged or no JPEG ({len(data)} bytes)")
            return None
        return data[:end]

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
            if not ok or first is None or not first.tobytes().startswith(JPEG_START):
                capture.set(cv2.CAP_PROP_CONVERT_RGB, 1)


def _native_fps(capture: cv2.VideoCapture) -> float | None:
    """The rate that a webcam tells, if it can be believed."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0 < fps <= HIGHEST_CREDIBLE_FPS else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from printing that a webcam is missing; ours is the SourceError."""
    global _quiet_depth, _log_level_before
    with _log_level_lock:
        if _quiet_depth == 0:
            _log_level_before = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _quiet_depth += 1
    try:
        yield
    finally:
        with _log_level_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                cv2.utils.logging.setLogLevel(_log_level_before)
