"""Pictures in files: one, a folder of them, or those that fit a pattern."""

from __future__ import annotations

import glob
import re
from pathlib import Path

import cv2
import numpy as np

from rededge_nb.capture.sources.base import Captured, Reader, Source, now_ms
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import SourceError
from rededge_nb.images import (
    IMAGE_SUFFIXES,
    JPEG_SUFFIXES,
    MAX_IMAGE_FILE_BYTES,
    Image,
    ImageOrJpeg,
    check_size,
    image_size_wh,
    is_jpeg,
)

DEFAULT_FPS = 10.0
"""Rate of pictures, which have none of their own."""

_KINDS = ", ".join(sorted(IMAGE_SUFFIXES))


def open_folder(folder: Path, *, fps: float | None, loop: bool, shape: Shape) -> Source:
    """The pictures of a folder, those in folders below left out.

    Raises:
        SourceError: it has none, or the first cannot be read.
    """
    paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise SourceError(f"the folder {folder} has no pictures: put {_KINDS} files there")
    return open_pictures(paths, f"folder {folder}", fps=fps, loop=loop, shape=shape)


def open_pattern(pattern: Path, *, fps: float | None, loop: bool, shape: Shape) -> Source:
    """The pictures whose paths fit a pattern with `*`, `?`, `[…]` or `**`.

    Raises:
        SourceError: none does, or the first cannot be read.
    """
    found = [Path(name) for name in glob.iglob(str(pattern), recursive=True)]  # noqa: PTH207  takes absolute ones
    paths = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not paths:
        raise SourceError(
            f"no picture fits {pattern} (seen from {Path.cwd()}; {len(found)} other files do): "
            f"take a pattern that finds {_KINDS} files"
        )
    return open_pictures(paths, f"pictures {pattern}", fps=fps, loop=loop, shape=shape)


def open_pictures(paths: list[Path], describe: str, *, fps: float | None, loop: bool, shape: Shape) -> Source:
    """Pictures in the order of the numbers in their names: `shot9.jpg` before `shot10.jpg`."""
    ordered = sorted(paths, key=natural_order)
    height, width = _read_image(ordered[0]).shape[:2]
    return Source(
        _Pictures(ordered, (width, height)),
        describe=describe,
        native_fps=fps or DEFAULT_FPS,
        fps=fps,
        frame_count=len(ordered),
        loop=loop,
        shape=shape,
    )


def natural_order(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that takes digits in a path as numbers."""
    words = re.split(r"(\d+)", str(path.with_suffix("")))
    return [(1, int(word), "") if word.isdecimal() else (0, 0, word) for word in words if word], path.suffix


class _Pictures(Reader):
    def __init__(self, paths: list[Path], size_wh: tuple[int, int]) -> None:
        self._paths = paths
        self._next = 0
        self.size_wh = size_wh

    def read(self) -> Captured | None:
        if self._next >= len(self._paths):
            return None
        path = self._paths[self._next]
        self._next += 1
        ts_ms = now_ms()
        picture: ImageOrJpeg = _read_jpeg(path) if path.suffix.lower() in JPEG_SUFFIXES else _read_image(path)
        return Captured(picture, ts_ms)

    def skip(self) -> bool:
        self._next += 1
        return self._next <= len(self._paths)

    def rewind(self) -> None:
        self._next = 0


def _read_jpeg(path: Path) -> bytes:
    data = _read_bytes(path)
    if not is_jpeg(data):
        raise _undecodable(path)
    return data


def _read_image(path: Path) -> Image:
    data = _read_bytes(path)
    image: Image | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise _undecodable(path)
    return image


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_IMAGE_FILE_BYTES:
            raise SourceError(
                f"the picture {path} has {path.stat().st_size >> 20} MiB, more than the {MAX_IMAGE_FILE_BYTES >> 20} "
                "that are allowed: save it smaller, or as JPEG"
            )
        data = path.read_bytes()
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"cannot read the picture {path}: {error.strerror}") from error
    size_wh = image_size_wh(data)
    if size_wh is None:
        raise _undecodable(path)
    check_size(size_wh, f"the picture {path}")
    return data


def _undecodable(path: Path) -> SourceError:
    return SourceError(
        f"{path} is not a {path.suffix[1:]} picture, or is damaged: mend it or take it out of the folder"
    )
