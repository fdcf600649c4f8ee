"""What a capture did, and keeping count of it."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class CaptureReport:
    """What a capture did.

    Attributes:
        frames: Frames added to the stream.
        skipped: Frames left out because the capture was late or the server full, not those left out for a lower `fps`.
        seconds: How long it took.
        bytes: Encoded size of all frames.
        first_id: Entry id of the first frame, None without frames.
        last_id: Entry id of the last.
    """

    camera: str
    source: str
    frames: int
    skipped: int
    seconds: float
    bytes: int
    first_id: str | None
    last_id: str | None

    @property
    def fps(self) -> float:
        """Frames per second over the whole capture."""
        return self.frames / self.seconds if self.seconds else 0.0

    def __repr__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return (
            f"<CaptureReport camera {self.camera}: {self.frames} frames{skipped} in {self.seconds:.1f} s "
            f"({self.fps:.1f} fps, {self.bytes / 1e6:.1f} MB) from {self.source}>"
        )


class Tally:
    """What a capture has done so far; written by one thread, read by others."""

    def __init__(self, camera: str, source: str) -> None:
        self._camera = camera
        self._source = source
        self._started = time.monotonic()
        self._ended: float | None = None
        self.frames = 0
        self.problem: str | None = None
        self._skipped = 0
        self._bytes = 0
        self._first_id: str | None = None
        self._last_id: str | None = None

    def start(self) -> None:
        """Note that the first frame is about to be taken."""
        self._started = time.monotonic()

    def end(self) -> None:
        """Note that there will be no more."""
        self._ended = time.monotonic()

    def add(self, entry_id: str, size: int) -> None:
        """Count a frame of `size` bytes."""
        self.frames += 1
        self._bytes += size
        self._first_id = self._first_id or entry_id
        self._last_id = entry_id

    def note_problem(self, problem: str | None) -> None:
        """Note what keeps it from going on, or that nothing does."""
        self.problem = problem

    def skip(self, count: int) -> None:
        """Count frames that were left out because they were late, or the server full."""
        self._skipped += count

    def report(self) -> CaptureReport:
        """What was done up to now."""
        return CaptureReport(
            camera=self._camera,
            source=self._source,
            frames=self.frames,
            skipped=self._skipped,
            seconds=(self._ended or time.monotonic()) - self._started,
            bytes=self._bytes,
            first_id=self._first_id,
            last_id=self._last_id,
        )
