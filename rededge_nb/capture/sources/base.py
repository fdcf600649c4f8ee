"""What every kind of source has in common."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from rededge_nb.capture.sources.shape import Shape
from rededge_nb.capture.values import check_fps
from rededge_nb.errors import SourceError
from rededge_nb.images import Image, ImageOrJpeg, decode_image

logger = logging.getLogger(__name__)


class Captured(NamedTuple):
    """An image, or a JPEG as the source delivers it, and when it was captured or received.

    Attributes:
        image: Pixels, or JPEG bytes.
        ts_ms: Milliseconds since the epoch.
    """

    image: ImageOrJpeg
    ts_ms: int


def now_ms() -> int:
    """The time as it is written beside pictures."""
    return time.time_ns() // 1_000_000


class Reader:
    """What a kind of source has to do; those that are not cameras need only `read` and `rewind`."""

    problem: str | None = None
    """Why no pictures come, while that is so."""
    missed = 0
    """Pictures that came and were lost because nobody took them."""
    size_wh: tuple[int, int] = (0, 0)
    """Width and height of the first picture, once that is known."""

    def read(self) -> Captured | None:
        """The next picture, or None at the end."""
        raise NotImplementedError

    def ready(self, timeout: float) -> bool:  # noqa: ARG002
        """Wait until `read` has something to say, `timeout` seconds at most; whether it has."""
        return True

    def skip(self) -> bool:
        """Pass over the next picture as cheaply as possible; False at the end."""
        return self.read() is not None

    def rewind(self) -> None:
        """Start again from the first picture."""

    def close(self) -> None:
        """Release what is held. May be called twice."""


class Source:
    """Pictures, one after the other; a context manager and an iterator.

    Attributes:
        describe: What it is, for people; without credentials.
        fps: Frames per second asked for, or else the native rate; None where a camera does not tell.
        native_fps: The rate at which it was recorded or delivers; None where unknown.
        frame_count: Pictures from first to last, looping not counted; None where unknown.
        live: Whether pictures come when they happen, so that waiting loses them.
        loop: Whether it starts again at its end.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        describe: str,
        native_fps: float | None,
        fps: float | None = None,
        frame_count: int | None = None,
        live: bool = False,
        loop: bool = False,
        shape: Shape | None = None,
    ) -> None:
        check_fps(fps)
        self.describe = describe
        self.native_fps = native_fps
        self.fps = fps or native_fps
        self.frame_count = frame_count
        self.live = live
        self.loop = loop and not live
        self._reader = reader
        self._shape = shape or Shape()
        self._read_this_round = 0

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the first picture as it is handed on; (0, 0) before a camera's first."""
        return self._shape.fitted(self._reader.size_wh)

    @property
    def problem(self) -> str | None:
        """Why a camera sends no pictures at the moment, and when it is tried again; None when all is well."""
        return self._reader.problem

    @property
    def missed(self) -> int:
        """Pictures of a camera that were lost because nobody took them in time."""
        return self._reader.missed

    def ready(self, timeout: float) -> bool:
        """Wait for a camera's next picture, `timeout` seconds at most; whether `read` will return at once."""
        return self._reader.ready(timeout)

    def read(self) -> Captured | None:
        """The next frame, or None at the end, which looping sources and cameras do not have.

        Raises:
            SourceError: the image cannot be read.
        """
        captured = self._reader.read()
        if captured is None and self._start_over():
            captured = self._reader.read()
        if captured is None:
            return None
        self._read_this_round += 1
        return Captured(self._shape.apply(captured.image), captured.ts_ms)

    def read_image(self, number: int = 0) -> Image:
        """The image of the frame `number` frames further on, counted from 0, or of the last one before the end.

        Raises:
            SourceError: there is no frame, or it cannot be read.
        """
        captured = self.read()
        for _ in range(number):
            following = self.read()
            if following is None:
                break
            captured = following
        if captured is None:
            raise SourceError(f"{self.describe} has no frame")
        return decode_image(captured.image, f"a frame of {self.describe}")

    def skip(self, count: int) -> int:
        """Pass over pictures without decoding them; returns how many there were, `count` at most."""
        for skipped in range(count):
            if not self._reader.skip() and not (self._start_over() and self._reader.skip()):
                return skipped
            self._read_this_round += 1
        return count

    def close(self) -> None:
        """Release the file, device or connection."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[ImageOrJpeg]:
        while (captured := self.read()) is not None:
            yield captured.image

    def __repr__(self) -> str:
        width, height = self.size_wh
        size = f"{width}x{height}" if width else "not connected yet"
        rate = f", {self.fps:g} fps" if self.fps else ""
        count = f", {self.frame_count} frames" if self.frame_count is not None else ""
        return f"<Source {self.describe}: {size}{rate}{count}>"

    def _start_over(self) -> bool:
        if self.live:
            return False
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
