"""Video files, and what OpenCV needs to open one thing or another."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from rededge_nb import settings
from rededge_nb.capture.sources.base import Captured, Reader, Source, now_ms
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.capture.values import HIGHEST_CREDIBLE_FPS
from rededge_nb.errors import SourceError
from rededge_nb.images import IMAGE_SUFFIXES, ImageOrJpeg, check_size, is_jpeg

logger = logging.getLogger(__name__)

FALLBACK_FPS = 25.0
"""Rate of a video file that does not tell its own."""

_MJPG = cv2.VideoWriter.fourcc(*"MJPG")
_RAW = -1.0
_quiet_lock = threading.Lock()
_quiet_depth = 0
_level_before = 0


def open_video(path: Path, *, fps: float | None, loop: bool, shape: Shape) -> Source:
    """A video file.

    Raises:
        SourceError: it is none that OpenCV can read.
    """
    reader = _Video(path)
    if not reader.size_wh[0]:
        reader.close()
        raise SourceError(
            f"{path} cannot be opened as a video: take a video file, a folder of pictures "
            f"({', '.join(sorted(IMAGE_SUFFIXES))}) or the index of a webcam"
        )
    check_size(reader.size_wh, f"the video {path}")
    if reader.native_fps is None:
        logger.warning("%s does not tell its frames per second; taking %g", path, FALLBACK_FPS)
    return Source(
        reader,
        describe=f"video {path}",
        native_fps=reader.native_fps or FALLBACK_FPS,
        fps=fps,
        frame_count=reader.frame_count,
        loop=loop,
        shape=shape,
    )


class _Video(Reader):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture = _open_file(path)
        self.size_wh = size_wh(self._capture)
        self.native_fps = native_fps(self._capture)
        self.frame_count = frame_count(self._capture)

    def read(self) -> Captured | None:
        return take(self._capture)

    def skip(self) -> bool:
        return bool(self._capture.grab())

    def rewind(self) -> None:
        # Seeking is not exact in every container; opening again always is.
        self._capture.release()
        self._capture = _open_file(self._path)

    def close(self) -> None:
        self._capture.release()


def open_capture(target: str | int, backend: int = cv2.CAP_ANY, options: dict[int, int] | None = None) -> Any:
    """An OpenCV capture, open or not, without OpenCV's own words about it.

    Where it is a stream of JPEG pictures these come as they are, see `take`.
    """
    settings.silence_ffmpeg()
    with quiet():
        capture = cv2.VideoCapture(target, backend, [number for pair in (options or {}).items() for number in pair])
        if capture.isOpened() and backend != cv2.CAP_V4L2 and int(value_of(capture, cv2.CAP_PROP_FOURCC) or 0) == _MJPG:
            capture.set(cv2.CAP_PROP_FORMAT, _RAW)
    return capture


def take(capture: Any) -> Captured | None:
    """The next picture of a capture, a JPEG where it delivers such; None if there is none.

    It is dated before it is decoded.
    """
    if not capture.grab():
        return None
    ts_ms = now_ms()
    ok, image = capture.retrieve()
    return Captured(as_picture(image), ts_ms) if ok and image is not None and image.size else None


def as_picture(image: Any) -> ImageOrJpeg:
    """An image, or the JPEG that OpenCV delivers as a row of bytes.

    Raises:
        SourceError: it is a row of other bytes.
    """
    if image.ndim == 3:
        return image  # type: ignore[no-any-return]
    data: bytes = image.tobytes()
    if not is_jpeg(data):
        raise SourceError("a picture is neither an image nor a JPEG, though the source says that it sends JPEG")
    return data


def value_of(capture: Any, what: int) -> float | None:
    """A property of a capture, None if it is no number."""
    value = float(capture.get(what))
    return value if math.isfinite(value) else None


def size_wh(capture: Any) -> tuple[int, int]:
    """Width and height of a capture, zeros if it is not open."""
    width, height = (value_of(capture, what) or 0 for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return max(0, int(width)), max(0, int(height))


def native_fps(capture: Any) -> float | None:
    """The rate that a capture tells, if it can be believed."""
    fps = value_of(capture, cv2.CAP_PROP_FPS)
    return fps if fps and 0 < fps <= HIGHEST_CREDIBLE_FPS else None


def frame_count(capture: Any) -> int | None:
    """How many pictures a capture says it has."""
    count = value_of(capture, cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if count and count > 0 else None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV from printing its own view of what is missing; ours is the SourceError."""
    global _quiet_depth, _level_before
    with _quiet_lock:
        if _quiet_depth == 0:
            _level_before = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                cv2.utils.logging.setLogLevel(_level_before)


def _open_file(path: Path) -> Any:
    return open_capture(str(path))
