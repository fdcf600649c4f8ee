"""Where frames come from: video files, webcams, folders of pictures.

Each kind is a `Reader` and a function that opens it; `open_source` chooses by what it is given.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.errors import ConfigurationError, SourceError

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]
"""Pixels: shape (height, width, 3), blue first."""
Picture = Image | bytes
"""An image, or one that is already encoded as JPEG."""

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
PICTURE_SUFFIXES = JPEG_SUFFIXES | {".png", ".bmp", ".webp"}
DEFAULT_PICTURE_FPS = 10.0
"""Rate of a folder of pictures, which has none of its own."""
FALLBACK_VIDEO_FPS = 25.0
"""Rate of a video file that does not tell its own."""

_JPEG_START = b"\xff\xd8"
_HIGHEST_CREDIBLE_FPS = 1000.0


class Reader(Protocol):
    """What a kind of source has to do."""

    def read(self) -> Picture | None:
        """The next picture, or None at the end."""

    def skip(self) -> bool:
        """Pass over the next picture as cheaply as possible; False at the end."""

    def rewind(self) -> None:
        """Start again from the first picture."""

    def close(self) -> None:
        """Release what is held. May be called twice."""


class Source:
    """Pictures, one after the other; a context manager and an iterator.

    Attributes:
        describe: What it is, for people.
        fps: Frames per second asked for, or else the native rate; None where a camera does not tell.
        native_fps: The rate at which it was recorded or delivers; None where unknown.
        frame_count: Pictures from first to last, looping not counted; None where unknown.
        size_wh: Width and height of the first picture.
        live: Whether pictures come when they happen, so that waiting loses them.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        describe: str,
        size_wh: tuple[int, int],
        native_fps: float | None,
        fps: float | None = None,
        frame_count: int | None = None,
        live: bool = False,
        loop: bool = False,
    ) -> None:
        if fps is not None and not 0 < fps <= _HIGHEST_CREDIBLE_FPS:
            raise ConfigurationError(f"fps is {fps!r}: take a number above 0, up to {_HIGHEST_CREDIBLE_FPS:g}")
        self.describe = describe
        self.size_wh = size_wh
        self.native_fps = native_fps
        self.fps = fps or native_fps
        self.frame_count = frame_count
        self.live = live
        self.loop = loop and not live
        self._reader = reader
        self._read_this_round = 0

    def read(self) -> Picture | None:
        """The next picture, or None at the end, which a looping source does not have.

        Raises:
            SourceError: the picture cannot be read.
        """
        picture = self._reader.read()
        if picture is None and self._start_over():
            picture = self._reader.read()
        self._read_this_round += picture is not None
        return picture

    def skip(self, count: int) -> int:
        """Pass over pictures without decoding them; returns how many there were, `count` at most."""
        for skipped in range(count):
            if not self._reader.skip() and not (self._start_over() and self._reader.skip()):
                return skipped
            self._read_this_round += 1
        return count

    def close(self) -> None:
        """Release the file or device."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Picture]:
        while (picture := self.read()) is not None:
            yield picture

    def __repr__(self) -> str:
        width, height = self.size_wh
        rate = f", {self.fps:g} fps" if self.fps else ""
        count = f", {self.frame_count} frames" if self.frame_count is not None else ""
        return f"<Source {self.describe}: {width}x{height}{rate}{count}>"

    def _start_over(self) -> bool:
        if self._read_this_round == 0:
            raise SourceError(f"{self.describe} has no picture that can be read: is it complete, and a video?")
        if self.frame_count and self._read_this_round < 0.9 * self.frame_count:
            logger.warning(
                "%s ended after %d of %d frames: it may be damaged",
                self.describe,
                self._read_this_round,
                self.frame_count,
            )
        if self.loop:
            self._reader.rewind()
            self._read_this_round = 0
        return self.loop


def open_source(source: str | int | Path, *, fps: float | None = None, loop: bool = False) -> Source:
    """Open a video file, a webcam (by its index), a folder of pictures (sorted by name), or one picture.

    Pictures that are JPEG already are handed on as they are, without decoding.

    Args:
        source: Path, or index of a webcam as number or digits.
        fps: Rate wanted. Below a video's own rate frames are left out; above it the video plays faster.
        loop: Start again at the end. Webcams have no end.

    Raises:
        SourceError: there is no such file or camera, or it holds no picture.
        ConfigurationError: `fps` is not a usable number.
    """
    if isinstance(source, int) or re.fullmatch(r"\d+", str(source)):
        return _open_webcam(int(str(source)), fps)
    path = Path(source).expanduser()
    if path.is_dir():
        paths = sorted(each for each in path.iterdir() if each.suffix.lower() in PICTURE_SUFFIXES)
        if not paths:
            raise SourceError(f"the folder {path} has no pictures: put {_list(PICTURE_SUFFIXES)} files there")
        return _open_pictures(paths, f"folder {path}", fps, loop)
    if not path.is_file():
        raise SourceError(f"no such source: {path} is neither a file nor a folder (seen from {Path.cwd()})")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return _open_pictures([path], f"picture {path}", fps, loop)
    return _open_video(path, fps, loop)


def _open_video(path: Path, fps: float | None, loop: bool) -> Source:
    reader = _Video(str(path))
    if not reader.capture.isOpened() or not reader.size_wh[0]:
        reader.close()
        raise SourceError(
            f"{path} cannot be opened as a video: take a video file, a folder of pictures ({_list(PICTURE_SUFFIXES)}) "
            "or the index of a webcam"
        )
    count = reader.get(cv2.CAP_PROP_FRAME_COUNT)
    native_fps = reader.native_fps
    if native_fps is None:
        logger.warning("%s does not tell its frames per second; taking %g", path, FALLBACK_VIDEO_FPS)
    return Source(
        reader,
        describe=f"video {path}",
        size_wh=reader.size_wh,
        native_fps=native_fps or FALLBACK_VIDEO_FPS,
        fps=fps,
        frame_count=int(count) if count and count > 0 else None,
        loop=loop,
    )


def _open_webcam(index: int, fps: float | None) -> Source:
    reader = _Webcam(index)
    if not reader.capture.isOpened():
        reader.close()
        raise SourceError(
            f"there is no webcam {index}, or it is in use: see which there are (Linux: ls /dev/video*), "
            "or take a video file or a folder of pictures"
        )
    reader.capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if fps:
        reader.capture.set(cv2.CAP_PROP_FPS, fps)
    return Source(
        reader, describe=f"webcam {index}", size_wh=reader.size_wh, native_fps=reader.native_fps, fps=fps, live=True
    )


def _open_pictures(paths: list[Path], describe: str, fps: float | None, loop: bool) -> Source:
    height, width = _read_image(paths[0]).shape[:2]
    return Source(
        _Pictures(paths),
        describe=describe,
        size_wh=(width, height),
        native_fps=fps or DEFAULT_PICTURE_FPS,
        fps=fps,
        frame_count=len(paths),
        loop=loop,
    )


class _Video:
    """A file, or anything else that OpenCV opens."""

    def __init__(self, target: str | int) -> None:
        self._target = target
        self.capture = _quietly_opened(target)

    def read(self) -> Picture | None:
        ok, image = self.capture.read()
        return image if ok else None

    def skip(self) -> bool:
        return bool(self.capture.grab())

    def rewind(self) -> None:
        # Seeking is not exact in every container; opening again always is.
        self.capture.release()
        self.capture = _quietly_opened(self._target)

    def close(self) -> None:
        self.capture.release()

    def get(self, what: int) -> float | None:
        value = float(self.capture.get(what))
        return value if math.isfinite(value) else None

    @property
    def size_wh(self) -> tuple[int, int]:
        return int(self.get(cv2.CAP_PROP_FRAME_WIDTH) or 0), int(self.get(cv2.CAP_PROP_FRAME_HEIGHT) or 0)

    @property
    def native_fps(self) -> float | None:
        fps = self.get(cv2.CAP_PROP_FPS)
        return fps if fps and 0 < fps <= _HIGHEST_CREDIBLE_FPS else None


class _Webcam(_Video):
    """A camera has no end: where one comes, it was unplugged."""

    def read(self) -> Picture | None:
        picture = super().read()
        if picture is None:
            raise self._lost()
        return picture

    def skip(self) -> bool:
        if not super().skip():
            raise self._lost()
        return True

    def _lost(self) -> SourceError:
        return SourceError(f"webcam {self._target} delivers no more pictures: was it unplugged, or taken by a program?")


class _Pictures:
    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._next = 0

    def read(self) -> Picture | None:
        if self._next >= len(self._paths):
            return None
        path = self._paths[self._next]
        self._next += 1
        return _read_jpeg(path) if path.suffix.lower() in JPEG_SUFFIXES else _read_image(path)

    def skip(self) -> bool:
        self._next += 1
        return self._next <= len(self._paths)

    def rewind(self) -> None:
        self._next = 0

    def close(self) -> None:
        """Nothing is held."""


def _read_jpeg(path: Path) -> bytes:
    data = _read_bytes(path)
    if not data.startswith(_JPEG_START):
        raise _undecodable(path)
    return data


def _read_image(path: Path) -> Image:
    data = np.frombuffer(_read_bytes(path), np.uint8)
    image: Image | None = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise _undecodable(path)
    return image


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read the picture {path}: {error.strerror}") from error


def _undecodable(path: Path) -> SourceError:
    return SourceError(
        f"{path} is not a {path.suffix[1:]} picture, or is damaged: mend it or take it out of the folder"
    )


def _quietly_opened(target: str | int) -> Any:
    with _quiet():
        return cv2.VideoCapture(target)


@contextmanager
def _quiet() -> Iterator[None]:
    # OpenCV prints its own view of a missing camera; ours is the SourceError.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _list(suffixes: frozenset[str]) -> str:
    return ", ".join(sorted(suffixes))
