"""Sources that have a beginning and a timeline of their own: video files, images in files, drawn scenes.

A `Reader` finds the frames and says when each is due; `RecordedSource` chooses among them and loads only those that
are wanted. So a frame that is passed over costs neither a colour conversion nor the reading of a file.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from rededge_nb.capture.sources.base import Captured, Source, now_ms
from rededge_nb.capture.sources.problems import BadImageError, Problems
from rededge_nb.capture.sources.rate_limit import RateLimit
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import SourceError
from rededge_nb.images import ImageOrJpeg, size_of

_EPSILON = 1e-6
"""Seconds by which positions may differ that should be equal."""
_HASHED = 256 * 1024
"""Bytes at the start and at the end of a file by which it is known again."""
_ALMOST_ALL = 0.9
"""Part of its length that a source has to reach, to be taken for complete."""


@dataclass(frozen=True)
class PendingFrame:
    """A frame that was found and is not loaded yet.

    Attributes:
        position: Seconds from the start of the source.
        load: Gives the image; raises BadImageError.
    """

    position: float
    load: Callable[[], ImageOrJpeg]


class Reader:
    """What a kind of recorded source has to do.

    Attributes:
        native_fps: Average rate.
        frame_count: Number of frames; None where unknown.
        duration: Seconds, as the header says; None where it does not.
        created: When the recording began, if it tells.
    """

    native_fps: float = 0.0
    frame_count: int | None = None
    duration: float | None = None
    created: datetime | None = None

    def next(self, not_before: float) -> PendingFrame | None:
        """The next frame, or None at the end. Frames before a position may be left out: nobody wants them."""
        raise NotImplementedError

    def measure_duration(self) -> float | None:
        """Seconds from the first frame to the end of the last one; None where there is no such thing."""
        return self.duration

    def content_id(self) -> str:
        """Tells a recording from others, whatever its file is called; empty for what was not recorded."""
        return ""

    def rewind(self) -> None:
        """Start again from the first frame."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what is held. May be called twice."""


class RecordedSource(Source):
    """A source with a timeline.

    Attributes:
        loop: Whether it starts again at its end; positions go on then.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        describe: str,
        problems: Problems,
        fps: float | None = None,
        loop: bool = False,
        shape: Shape | None = None,
    ) -> None:
        super().__init__(describe=describe, fps=fps, shape=shape, problems=problems)
        self.loop = loop
        self._reader = reader
        self._found: deque[PendingFrame] = deque()
        slower = fps is not None and fps < reader.native_fps
        self._limit = RateLimit(fps if slower else None)
        self._round_began = 0.0
        self._position = 0.0
        self._nothing_found = self._nothing_usable = True
        self._first_size_wh = (0, 0)

    @property
    def native_fps(self) -> float:
        """Average rate of the recording."""
        return self._reader.native_fps

    @property
    def frame_count(self) -> int | None:
        """Frames from first to last; None where unknown."""
        return self._reader.frame_count

    def measure_duration(self) -> float | None:
        """Seconds from the first frame to the end of the last one; None in a loop, and for what was not recorded."""
        return None if self.loop else self._reader.measure_duration()

    @property
    def created(self) -> datetime | None:
        """When the recording began, if it tells."""
        return self._reader.created

    def content_id(self) -> str:
        """Tells a recording from others, whatever its file is called; empty for what was not recorded."""
        return self._reader.content_id()

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the first frame as it is handed on."""
        return self._shape.fitted(self._first_size_wh)

    @property
    def interval(self) -> float:
        """Seconds between two frames as they are handed on, on average."""
        return 1 / min(self.native_fps, self._asked_fps or self.native_fps)

    def look_ahead(self) -> None:
        """Load the first image, so that a source without any is refused before anything else is done.

        Raises:
            SourceError: there is no image that can be read.
        """
        while self._find(1):
            try:
                image = self._found[0].load()
            except BadImageError as error:
                self.problems.skip(str(error))
                self._found.popleft()
                continue
            self._found[0] = replace(self._found[0], load=partial(_same, image))
            self._first_size_wh = size_of(image)
            return

    def read(self) -> Captured | None:
        """As `Source.read`."""
        while self._find(1):
            pending = self._found.popleft()
            try:
                image = self._shape.apply(pending.load())
            except BadImageError as error:
                self.problems.skip(str(error))
                continue
            self._nothing_usable = False
            return Captured(image, now_ms(), pending.position)
        return None

    def skip_to(self, position: float) -> int:
        """Pass over frames whose successor is due at a position, too. Returns how many these were."""
        passed = 0
        while self._find(2) and self._found[1].position <= position + _EPSILON:
            self._found.popleft()
            self._nothing_usable = False
            passed += 1
        return passed

    def start_after(self, position: float) -> None:
        """Leave out the frames up to a position, as they were delivered before."""
        self._found.clear()
        self._limit.start_after(position)

    def close(self) -> None:
        """Release the file."""
        self._reader.close()

    def _find(self, count: int) -> bool:
        """Look ahead as far as `count` frames; False if there are not so many."""
        while len(self._found) < count:
            found = self._next()
            if found is None:
                return False
            self._found.append(found)
        return True

    def _next(self) -> PendingFrame | None:
        """The next frame that is wanted."""
        while True:
            found = self._reader.next(self._limit.not_before - self._round_began)
            if found is None:
                if not self._start_over():
                    return None
                continue
            self._nothing_found = False
            self._position = self._round_began + found.position
            if self._limit.wants(self._position):
                return replace(found, position=self._position)

    def _start_over(self) -> bool:
        if self._nothing_found or (self._nothing_usable and self.problems.skipped and not self._found):
            reason = f": {self.problems.reason}" if self.problems.reason else ""
            raise SourceError(f"{self.describe} has no image that can be read{reason}")
        length, reached = self._reader.duration, self._position - self._round_began + self.interval
        if length is not None and reached < _ALMOST_ALL * length:
            self.problems.remark(
                f"{self.describe} ended after {reached:.1f} of {length:.1f} seconds: it is damaged or incomplete"
            )
        if self.loop:
            self._reader.rewind()
            self._round_began = self._position + 1 / self.native_fps
            self._nothing_found = self._nothing_usable = True
        return self.loop


def content_id_of(path: Path) -> str:
    """A hash of a file's size, its first bytes and its last ones; empty if it cannot be read any more."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            content = hashlib.sha256(b"%d %s" % (size, file.read(_HASHED)))
            file.seek(max(0, size - _HASHED))
            content.update(file.read(_HASHED))
    except OSError:
        return ""
    return content.hexdigest()[:32]


def _same(image: ImageOrJpeg) -> ImageOrJpeg:
    return image
