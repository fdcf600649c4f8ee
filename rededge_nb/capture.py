"""From a frame source into a camera's stream: at the pace of life, or as fast as the gear answers."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypedDict, Unpack, get_args

import redis

from rededge_nb import pacing, schema, streams
from rededge_nb.errors import ConfigurationError, WaitTimeoutError
from rededge_nb.producer import Answers, Producer
from rededge_nb.sources import Picture, Source, open_source

Pace = Literal["realtime", "asap"]
Progress = Callable[[int, int | None], None]
"""Called with how many frames are done and how many there will be, if that is known."""

DEFAULT_QUALITY = 90
DEFAULT_MAX_AGE = 60.0
"""Seconds that a frame is kept."""
DEFAULT_MAX_BYTES = 64 * 1024 * 1024
"""Size of a camera's stream."""
DEFAULT_WINDOW = 4
"""Frames that an `asap` capture has under way at once."""
DEFAULT_STALL_TIMEOUT = 60.0
"""Seconds without any answer after which an `asap` capture gives up."""

_EXIT_TIMEOUT = 5.0


@dataclass(frozen=True)
class CaptureReport:
    """What a capture did.

    Attributes:
        frames: Frames added to the stream.
        skipped: Frames left out because the capture was late, not those left out for a lower `fps`.
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


class CaptureOptions(TypedDict, total=False):
    """The options of `capture` that `start_capture` takes too."""

    camera: object
    fps: float | None
    seconds: float | None
    frames: int | None
    loop: bool
    pace: Pace
    quality: int
    max_age: float
    max_bytes: int
    window: int
    stall_timeout: float
    progress: Progress | None


def capture(
    client: redis.Redis,
    source: str | int | Path | Source,
    *,
    camera: object = "0",
    fps: float | None = None,
    seconds: float | None = None,
    frames: int | None = None,
    loop: bool = False,
    pace: Pace = "realtime",
    quality: int = DEFAULT_QUALITY,
    max_age: float = DEFAULT_MAX_AGE,
    max_bytes: int = DEFAULT_MAX_BYTES,
    window: int = DEFAULT_WINDOW,
    stall_timeout: float = DEFAULT_STALL_TIMEOUT,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> CaptureReport:
    """Add the frames of a source to the stream `camera:<id>`.

    Args:
        client: Tells where the server is; the capture makes a connection of its own.
        source: Whatever `open_source` takes, or an open source, which stays open and keeps its `fps` and `loop`.
        camera: Camera id.
        fps: Rate wanted, if not the source's own; see `open_source`. An `asap` capture takes every frame.
        seconds: End after so many seconds of the source.
        frames: End after so many frames.
        loop: Start again at the end of a file or folder.
        pace: `realtime` plays a source at its own speed and skips frames when late; `asap` takes every frame
            and never has more than `window` under way that the gear has not answered, in detections or errors.
        quality: JPEG quality, 1 to 100.
        max_age: Seconds after which a frame leaves the stream.
        max_bytes: Size of the stream above which its oldest frames leave it.
        window: Frames under way at once with `asap`.
        stall_timeout: Seconds to wait for the gear with `asap`.
        progress: Called after each frame that was added, or answered with `asap`.
        stop: Ends the capture soon after it is set; frames under way are not waited for.

    Raises:
        SourceError: the source cannot be opened or read.
        ServerUnavailableError: the server went away.
        WaitTimeoutError: with `asap`, no gear answered for `stall_timeout` seconds.
        ConfigurationError: an option is out of range.
    """
    options = _Options(
        schema.camera_id(camera), seconds, frames, pace, quality, max_age, max_bytes, window, stall_timeout
    )
    with nullcontext(source) if isinstance(source, Source) else open_source(source, fps=fps, loop=loop) as opened:
        return _run(client, opened, options, _Tally(options.camera, opened.describe), progress, stop)


def start_capture(client: redis.Redis, source: str | int | Path, **options: Unpack[CaptureOptions]) -> Capture:
    """Begin a capture in the background; takes what `capture` takes, except `stop`.

    Raises:
        SourceError: the source cannot be opened.
        ConfigurationError: an option is out of range.
    """
    return Capture(client, source, **options)


class Capture:
    """A capture in the background: see `start_capture`. Leaving its `with` block, or the interpreter, stops it."""

    def __init__(self, client: redis.Redis, source: str | int | Path, **options: Unpack[CaptureOptions]) -> None:
        chosen = {name: value for name, value in options.items() if name not in ("fps", "loop", "progress")}
        self._options = _Options(**{**chosen, "camera": schema.camera_id(options.get("camera", "0"))})  # type: ignore[arg-type]
        self._source = open_source(source, fps=options.get("fps"), loop=options.get("loop", False))
        self._tally = _Tally(self._options.camera, self._source.describe)
        self._progress = options.get("progress")
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, args=(client,), name="rededge capture", daemon=True)
        atexit.register(self._leave)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether frames are still being added."""
        return self._thread.is_alive()

    @property
    def report(self) -> CaptureReport:
        """What was done so far."""
        return self._tally.report()

    @property
    def error(self) -> Exception | None:
        """What ended the capture, if it was an error; `wait` and `stop` raise it."""
        return self._error

    def wait(self, timeout: float | None = None) -> CaptureReport:
        """Wait until the capture has ended.

        Raises:
            WaitTimeoutError: it still runs after `timeout` seconds, or the gear did not answer.
            RedEdgeError: whatever else ended it, see `capture`.
        """
        self._thread.join(timeout)
        if self.running:
            raise WaitTimeoutError(f"{self!r} has not ended after {timeout:g} s: give it longer, or stop() it")
        if self._error is not None:
            raise self._error
        return self.report

    def stop(self) -> CaptureReport:
        """End the capture and wait until it has; does nothing but report when it has ended already.

        Raises:
            RedEdgeError: the capture had ended with this error.
        """
        self._stop.set()
        return self.wait()

    def close(self) -> None:
        """End the capture, whatever became of it."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.close()

    def __repr__(self) -> str:
        state = "running" if self.running else f"failed: {self._error}" if self._error else "ended"
        report = self.report
        return f"<Capture camera {report.camera}, {state}: {report.frames} frames at {report.fps:.1f} fps>"

    def _work(self, client: redis.Redis) -> None:
        try:
            with self._source:
                _run(client, self._source, self._options, self._tally, self._progress, self._stop)
        except Exception as error:  # noqa: BLE001  kept for wait() and stop(), which raise it
            self._error = error
        finally:
            atexit.unregister(self._leave)

    def _leave(self) -> None:
        self._stop.set()
        self._thread.join(_EXIT_TIMEOUT)


@dataclass(frozen=True)
class _Options:
    camera: str
    seconds: float | None = None
    frames: int | None = None
    pace: Pace = "realtime"
    quality: int = DEFAULT_QUALITY
    max_age: float = DEFAULT_MAX_AGE
    max_bytes: int = DEFAULT_MAX_BYTES
    window: int = DEFAULT_WINDOW
    stall_timeout: float = DEFAULT_STALL_TIMEOUT

    def __post_init__(self) -> None:
        if self.pace not in get_args(Pace):
            raise ConfigurationError(f"pace is {self.pace!r}: take {' or '.join(map(repr, get_args(Pace)))}")
        if not 1 <= self.quality <= 100:
            raise ConfigurationError(f"quality is {self.quality!r}: take 1 to 100")
        for name in ("seconds", "frames", "max_age", "max_bytes", "window", "stall_timeout"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} is {value!r}: take a number above 0")


class _Tally:
    """What a capture has done so far; written by one thread, read by others."""

    def __init__(self, camera: str, source: str) -> None:
        self._camera = camera
        self._source = source
        self._started = time.monotonic()
        self._ended: float | None = None
        self.frames = 0
        self._skipped = 0
        self._bytes = 0
        self._first_id: str | None = None
        self._last_id: str | None = None

    def start(self) -> None:
        self._started = time.monotonic()

    def end(self) -> None:
        self._ended = time.monotonic()

    def add(self, entry_id: str, size: int) -> None:
        self.frames += 1
        self._bytes += size
        self._first_id = self._first_id or entry_id
        self._last_id = entry_id

    def skip(self, count: int) -> None:
        self._skipped += count

    def report(self) -> CaptureReport:
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


def _run(
    client: redis.Redis,
    source: Source,
    options: _Options,
    tally: _Tally,
    progress: Progress | None,
    stop: threading.Event | None,
) -> CaptureReport:
    asap = options.pace == "asap"
    stop = stop or threading.Event()
    total = _frames_expected(source, options)
    with streams.own_connection(client) as own:
        producer = Producer(
            own,
            options.camera,
            quality=options.quality,
            max_age=options.max_age,
            max_bytes=options.max_bytes,
            keep=asap,
        )
        answers = Answers(own, options.camera, stall_timeout=options.stall_timeout) if asap else None

        def tell() -> None:
            if progress is not None:
                progress(tally.frames - (len(answers.waiting) if answers else 0), total)

        def wait_until_waiting(at_most: int) -> None:
            while answers and len(answers.waiting) > at_most and not stop.is_set():
                if answers.receive():
                    tell()

        tally.start()
        try:
            for picture in islice(_pictures(source, options, tally, stop), options.frames):
                wait_until_waiting(at_most=options.window - 1)
                if stop.is_set():
                    break
                entry_id, size = producer.send(picture, not_answered=answers.waiting if answers else [])
                tally.add(entry_id, size)
                if answers:
                    answers.expect(entry_id)
                else:
                    tell()
            wait_until_waiting(at_most=0)
        finally:
            tally.end()
    return tally.report()


def _pictures(source: Source, options: _Options, tally: _Tally, stop: threading.Event) -> Iterator[Picture]:
    if source.live:
        return pacing.as_they_come(source, seconds=options.seconds, stop=stop)
    if options.pace == "realtime":
        return pacing.in_time(source, seconds=options.seconds, stop=stop, on_skip=tally.skip)
    return islice(source, pacing.frames_in(source, options.seconds))


def _frames_expected(source: Source, options: _Options) -> int | None:
    bounds = [options.frames]
    if not source.live:
        bounds.append(pacing.frames_in(source, options.seconds, realtime=options.pace == "realtime"))
        if not source.loop:
            bounds.append(pacing.frames_of(source, realtime=options.pace == "realtime"))
    return min((bound for bound in bounds if bound is not None), default=None)
