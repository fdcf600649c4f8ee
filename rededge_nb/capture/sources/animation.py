"""Animated WebP images, which FFmpeg cannot decode: OpenCV decodes them, a few frames at a time."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import cv2
import numpy as np

from rededge_nb.capture.sources.problems import Problems
from rededge_nb.capture.sources.recorded import PendingFrame, Reader, RecordedSource
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import SourceError
from rededge_nb.images import Image, checked_size_wh

_DEFAULT_MS = 100
"""How long a frame is shown whose duration is 0, as browsers do."""
_MOST_BYTES = 128 * 1024 * 1024
"""Memory for frames that are decoded at once: before them all earlier ones have to be decoded again."""


def open_animation(path: Path, data: bytes, *, fps: float | None, loop: bool, shape: Shape) -> RecordedSource:
    """An animated WebP image.

    Raises:
        SourceError: it cannot be decoded, or is too large.
    """
    describe, problems = f"animated image {path}", Problems()
    reader = AnimationReader(data, describe)
    source = RecordedSource(reader, describe=describe, problems=problems, fps=fps, loop=loop, shape=shape)
    source.look_ahead()
    return source


class AnimationReader(Reader):
    """The frames of an animated image."""

    def __init__(self, data: bytes, describe: str) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self._describe = describe
        self.size_wh = checked_size_wh(data, describe)
        width, height = self.size_wh
        self._at_once = max(1, _MOST_BYTES // (4 * width * height))
        self._decoded: deque[tuple[Image, int]] = deque()
        self._next = 0
        self._position_ms = 0
        self._decode_more()
        shown_ms = [each for _, each in self._decoded]
        if not shown_ms:
            raise SourceError(f"the {describe} cannot be decoded: it is damaged or incomplete")
        self.native_fps = 1000 * len(shown_ms) / sum(shown_ms)
        if len(shown_ms) < self._at_once:
            self.frame_count, self.duration = len(shown_ms), sum(shown_ms) / 1000

    def next(self, not_before: float) -> PendingFrame | None:  # noqa: ARG002  every frame is decoded anyway
        """As `Reader.next`."""
        if not self._decoded and not self._decode_more():
            return None
        image, shown_ms = self._decoded.popleft()
        position = self._position_ms / 1000
        self._position_ms += shown_ms
        return PendingFrame(position, lambda: image)

    def rewind(self) -> None:
        """As `Reader.rewind`."""
        self._decoded.clear()
        self._next = self._position_ms = 0

    def _decode_more(self) -> bool:
        """Decode the next frames; False if there are none."""
        try:
            _, animation = cv2.imdecodeanimation(self._data, self._next, self._at_once)
        except cv2.error:
            return False
        self._next += len(animation.frames)
        for image, shown_ms in zip(animation.frames, animation.durations, strict=False):
            pixels = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR) if image.shape[2] == 4 else image
            self._decoded.append((pixels, int(shown_ms) or _DEFAULT_MS))
        return bool(self._decoded)
