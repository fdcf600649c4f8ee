"""What every kind of source has in common: frames, one after the other, and what went wrong with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from rededge_nb.capture.sources.problems import Problems
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.capture.values import check_fps
from rededge_nb.errors import SourceError
from rededge_nb.images import Image, ImageOrJpeg, decode_image


class Captured(NamedTuple):
    """One frame.

    Attributes:
        image: Pixels, or JPEG bytes where the source delivers them.
        ts_ms: When it was captured or received, in milliseconds since the epoch.
        position: Seconds from the start of a recorded source; 0 for cameras.
        read_ms: When it was read, if `ts_ms` is a time of the recording.
    """

    image: ImageOrJpeg
    ts_ms: int
    position: float = 0.0
    read_ms: int = 0


class Source:
    """Frames, one after the other; a context manager and an iterator. `RecordedSource` and `LiveSource` are the kinds.

    Attributes:
        describe: What it is, in words; without credentials.
        fps: Frames per second asked for, or else the source's own rate; None where a camera does not tell.
        live: Whether frames come when they happen, so that waiting loses them.
        problems: What went wrong so far.
    """

    live = False

    def __init__(self, *, describe: str, fps: float | None, shape: Shape | None, problems: Problems) -> None:
        check_fps(fps)
        self.describe = describe
        self.problems = problems
        self._asked_fps = fps
        self._shape = shape or Shape()

    @property
    def native_fps(self) -> float | None:
        """The rate at which it was recorded or delivers; None where unknown."""
        return None

    @property
    def fps(self) -> float | None:
        """Frames per second asked for, or else the source's own rate; None where a camera does not tell."""
        return self._asked_fps or self.native_fps

    @property
    def frame_count(self) -> int | None:
        """Frames from first to last, looping not counted; None where unknown."""
        return None

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the first frame as it is handed on; (0, 0) before a camera's first."""
        raise NotImplementedError

    @property
    def problem(self) -> str | None:
        """Why a camera sends no frames at the moment, and when it is tried again; None when all is well."""
        return None

    @property
    def missed(self) -> int:
        """Frames of a camera that were lost because nobody took them in time."""
        return 0

    def read(self) -> Captured | None:
        """The next frame, or None at the end, which looping sources and cameras do not have.

        Images that cannot be read are left out, and counted in `problems`.

        Raises:
            SourceError: the source as a whole cannot be read.
        """
        raise NotImplementedError

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

    def close(self) -> None:
        """Release the file, device or connection. May be called twice."""
        raise NotImplementedError

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


def now_ms() -> int:
    """The time as frames carry it."""
    return time.time_ns() // 1_000_000
