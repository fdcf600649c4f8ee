"""What a capture did, and keeping count of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import redis

from rededge_nb.capture.answers import Refusals
from rededge_nb.capture.recording_time import RecordingTime
from rededge_nb.capture.sources import Source

_RATE_WINDOW = 5.0
"""Seconds over which the rate of a running capture is measured."""


@dataclass(frozen=True)
class CaptureReport:
    """What a capture did.

    Attributes:
        camera: Camera id.
        source: What was captured, in words; without credentials.
        frames: Frames added to the stream.
        skipped: Frames left out because they were late, the server full, or their images damaged; not those left out
            for a lower `fps`.
        seconds: How long it took.
        bytes: Encoded size of all frames.
        first_id: Entry id of the first frame, None without frames.
        last_id: Entry id of the last.
        capture: Id of the capture, which its frames carry; empty if it has not begun.
        refused: Frames that the gear could not process; with `realtime` those that were known at the end.
        problems: What went wrong, a sentence for each; empty when all went well.
    """

    camera: str
    source: str
    frames: int
    skipped: int
    seconds: float
    bytes: int
    first_id: str | None
    last_id: str | None
    capture: str = ""
    refused: int = 0
    problems: tuple[str, ...] = ()

    @property
    def fps(self) -> float:
        """Frames per second over the whole capture."""
        return self.frames / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        counts = ["1 frame" if self.frames == 1 else f"{self.frames} frames"]
        counts += [f"{self.skipped} skipped"] if self.skipped else []
        counts += [f"{self.refused} refused by the gear"] if self.refused else []
        return (
            f"camera {self.camera}: {', '.join(counts)} in {self.seconds:.1f} s "
            f"({self.fps:.1f} fps, {self.bytes / 1e6:.1f} MB) from {self.source}"
        )

    def __repr__(self) -> str:
        return f"<CaptureReport {self}>"


class Tally:
    """What a capture has done so far; written by one thread, read by others."""

    def __init__(self, camera: str, source: Source) -> None:
        self.capture = ""
        self.settled = threading.Event()
        """Set when it is known whether the capture feeds its camera."""
        self.frames = 0
        self.last_count = 0
        self.first_ms = self.last_ms = 0
        self.problem: str | None = None
        self.position = 0.0
        """Position of the last frame that was delivered or left out."""
        self.times: RecordingTime | None = None
        self.refusals: Refusals | None = None
        self.ended_by = ""
        """Why it was ended from outside."""
        self._camera = camera
        self._source = source
        self._started = time.monotonic()
        self._ended: float | None = None
        self._skipped = 0
        self._bytes = 0
        self._first_id: str | None = None
        self._last_id: str | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def start(self) -> None:
        """Note that the first frame is about to be read."""
        self._started = time.monotonic()

    def end(self) -> None:
        """Note that there will be no more."""
        self._ended = time.monotonic()

    def add(self, entry_id: str, size: int, ts_ms: int) -> None:
        """Count a frame of `size` bytes that was taken at `ts_ms`."""
        self.first_ms, self.last_ms = self.first_ms or ts_ms, ts_ms
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

    def update_refusals(self, client: redis.Redis) -> None:
        """Count the frames that the gear has refused meanwhile."""
        if self.refusals is not None:
            self.refusals.update(client, self._first_id)

    def recent_fps(self) -> float:
        """Frames per second of late. To be asked about once a second."""
        now = time.monotonic()
        self._recent.append((now, self.frames))
        while len(self._recent) > 2 and now - self._recent[0][0] > _RATE_WINDOW:
            self._recent.popleft()
        since, before = self._recent[0]
        return (self.frames - before) / (now - since) if now > since else 0.0

    def report(self) -> CaptureReport:
        """What was done up to now."""
        refusals = self.refusals
        problems = [*self._source.problems.sentences(), *(refusals.sentences() if refusals else [])]
        return CaptureReport(
            camera=self._camera,
            source=self._source.describe,
            frames=self.frames,
            skipped=self._skipped + self._source.problems.skipped,
            seconds=(self._ended or time.monotonic()) - self._started,
            bytes=self._bytes,
            first_id=self._first_id,
            last_id=self._last_id,
            capture=self.capture,
            refused=refusals.count if refusals else 0,
            problems=(*problems, *([self.ended_by] if self.ended_by else [])),
        )
