"""Images in files: one, a folder of them, or those that a pattern finds."""

from __future__ import annotations

import glob
import re
from collections import Counter
from functools import partial
from pathlib import Path

from rededge_nb.analytics.jpeg import JPEG_START, find_jpeg_end
from rededge_nb.capture.sources.animation import AnimationReader, open_animation
from rededge_nb.capture.sources.problems import BadImageError, Problems
from rededge_nb.capture.sources.recorded import PendingFrame, Reader, RecordedSource
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.capture.sources.video import VideoReader, open_video
from rededge_nb.errors import SourceError
from rededge_nb.image_headers import image_kind, is_animated
from rededge_nb.images import IMAGE_SUFFIXES, MAX_IMAGE_FILE_BYTES, ImageOrJpeg, checked_size_wh, decode_image

DEFAULT_FPS = 10.0
"""Rate of images, which have none of their own."""

_SUFFIXES = ", ".join(sorted(IMAGE_SUFFIXES))
_NEEDS_SUFFIX = frozenset({"BMP", "PNM"})
"""Kinds whose first bytes other files have, too."""
_HEADER_BYTES = 64 * 1024


def is_image_file(path: Path) -> bool:
    """Whether a file is an image, by its name or by its first bytes."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            data = file.read(MAX_IMAGE_FILE_BYTES)
    except OSError:
        return False
    kind = image_kind(data)
    if kind == "JPEG":  # a file of many is a video
        end = find_jpeg_end(data)
        return end is None or not data[end:].lstrip(b"\0").startswith(JPEG_START)
    return kind is not None and kind not in _NEEDS_SUFFIX


def open_image_file(path: Path, *, fps: float | None, loop: bool, shape: Shape) -> RecordedSource:
    """One image file; an animated one has the timeline of its frames.

    Raises:
        SourceError: it cannot be read.
    """
    header = _read(path, _HEADER_BYTES)
    if is_animated(header):
        if image_kind(header) == "WebP":
            return open_animation(path, _read(path), fps=fps, loop=loop, shape=shape)
        return open_video(path, fps=fps, loop=loop, shape=shape)
    return _open_images([path], f"image {path}", Problems(), fps=fps, loop=loop, shape=shape)


def open_folder(folder: Path, *, fps: float | None, loop: bool, shape: Shape) -> RecordedSource:
    """The images of a folder; those in folders below it are left out, as hidden files are.

    Raises:
        SourceError: it has none that can be read.
    """
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    images, problems = _choose_images(files, f"in the folder {folder}")
    if not images:
        raise SourceError(
            f"the folder {folder} has no images that can be read ({len(files)} other files): put {_SUFFIXES} files "
            "there"
        )
    return _open_images(images, f"folder {folder}", problems, fps=fps, loop=loop, shape=shape)


def open_pattern(pattern: Path, *, fps: float | None, loop: bool, shape: Shape) -> RecordedSource:
    """The images whose paths fit a pattern with `*`, `?`, `[…]` or `**`.

    Raises:
        SourceError: none does, or none can be read.
    """
    found = [Path(name) for name in glob.iglob(_escape_folders(pattern), recursive=True)]  # noqa: PTH207  takes absolute ones
    files = [path for path in found if path.is_file()]
    images, problems = _choose_images(files, f"among {pattern}")
    if not images:
        raise SourceError(
            f"no image fits {pattern} (seen from {Path.cwd()}; {len(files)} other files do): "
            f"take a pattern that finds {_SUFFIXES} files"
        )
    return _open_images(images, f"images {pattern}", problems, fps=fps, loop=loop, shape=shape)


def natural_order(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that takes digits in a path as numbers: `shot9.jpg` comes before `shot10.jpg`."""
    words = re.split(r"(\d+)", str(path.with_suffix("")))
    return [(1, int(word), "") if word.isdecimal() else (0, 0, word) for word in words if word], path.suffix


def _choose_images(files: list[Path], where: str) -> tuple[list[Path], Problems]:
    """The images among some files, in order; one sentence says which others were left out."""
    problems = Problems()
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    others = Counter(path.suffix.lower() or "without a suffix" for path in files)
    others -= Counter(path.suffix.lower() for path in images)
    if images and others:
        count = sum(others.values())
        kinds = ", ".join(f"{number} {suffix}" for suffix, number in sorted(others.items()))
        problems.remark(
            f"{count} {'file is' if count == 1 else 'files are'} left out {where}, because only {_SUFFIXES} files are "
            f"read: {kinds}"
        )
    return sorted(images, key=natural_order), problems


def _escape_folders(pattern: Path) -> str:
    """The pattern with those folders taken as they are that exist under this very name, brackets included."""
    known = Path(pattern.anchor)
    parts = list(pattern.parts[1:] if pattern.anchor else pattern.parts)
    while len(parts) > 1 and (known / parts[0]).is_dir():
        known /= parts.pop(0)
    return str(Path(glob.escape(str(known)), *parts))


def _open_images(
    paths: list[Path], describe: str, problems: Problems, *, fps: float | None, loop: bool, shape: Shape
) -> RecordedSource:
    reader = ImageReader(paths, fps or DEFAULT_FPS, problems)
    source = RecordedSource(reader, describe=describe, problems=problems, fps=fps, loop=loop, shape=shape)
    source.look_ahead()
    return source


class ImageReader(Reader):
    """The images of files, at a rate of one's own choice; an animated image is as many frames as it has."""

    def __init__(self, paths: list[Path], fps: float, problems: Problems) -> None:
        self._paths = paths
        self._problems = problems
        self._next_path = self._next_frame = 0
        self._animation: Reader | None = None
        self.native_fps = fps
        self.frame_count = len(paths)

    def next(self, not_before: float) -> PendingFrame | None:  # noqa: ARG002  loading is what costs
        """As `Reader.next`."""
        while True:
            if self._animation is not None:
                found = self._animation.next(0.0)
                if found is not None:
                    return PendingFrame(self._advance(), found.load)
                self._animation.close()
                self._animation = None
            if self._next_path >= len(self._paths):
                return None
            path = self._paths[self._next_path]
            self._next_path += 1
            try:
                self._animation = _animation_in(path, self._problems)
            except SourceError as error:
                self._problems.skip(str(error))
                continue
            if self._animation is None:
                return PendingFrame(self._advance(), partial(_load, path))

    def rewind(self) -> None:
        """As `Reader.rewind`."""
        self.close()
        self._next_path = self._next_frame = 0

    def close(self) -> None:
        """Close an animated image."""
        if self._animation is not None:
            self._animation.close()
            self._animation = None

    def _advance(self) -> float:
        """The position of the next frame."""
        position = self._next_frame / self.native_fps
        self._next_frame += 1
        return position


def _animation_in(path: Path, problems: Problems) -> Reader | None:
    """The frames of an animated image; None for any other."""
    if path.suffix.lower() not in (".gif", ".png", ".apng", ".webp", ".avif"):
        return None
    header = _read(path, _HEADER_BYTES)
    if not is_animated(header):
        return None
    if image_kind(header) == "WebP":
        return AnimationReader(_read(path), f"animated image {path}")
    return VideoReader(path, problems)


def _load(path: Path) -> ImageOrJpeg:
    """The image of a file, a JPEG as it is, without what may follow it.

    Raises:
        BadImageError: it cannot be read.
    """
    try:
        data = _read(path)
        if image_kind(data) != "JPEG":
            return decode_image(data, f"the image {path}")
        checked_size_wh(data, f"the image {path}")
    except SourceError as error:
        raise BadImageError(str(error)) from error
    end = find_jpeg_end(data)
    if end is None:
        raise BadImageError(f"the JPEG {path} is damaged or incomplete ({len(data)} bytes)")
    return data[:end]


def _read(path: Path, most: int | None = None) -> bytes:
    """The content of a file, or its first bytes."""
    try:
        size = path.stat().st_size
        if most is None and size > MAX_IMAGE_FILE_BYTES:
            raise SourceError(
                f"the image {path} has {size >> 20} MiB, more than the {MAX_IMAGE_FILE_BYTES >> 20} that are allowed: "
                "save it smaller, or as JPEG"
            )
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"cannot read the image {path}: {error.strerror}") from error
    if not data:
        raise SourceError(f"the image {path} is empty")
    if image_kind(data) == "HEIC":
        raise SourceError(f"{path} is an HEIC image, which cannot be decoded here: save it as JPEG")
    return data
