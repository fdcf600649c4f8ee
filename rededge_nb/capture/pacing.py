"""When the frames of a source are captured: recordings at their own speed, cameras when they deliver."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

from rededge_nb.capture.sources import Captured, LiveSource, RecordedSource, Source
from rededge_nb.capture.sources.base import now_ms
from rededge_nb.capture.sources.playback import PlaybackClock

_POLL = 0.1
"""Seconds after which a wait for a camera looks whether it shall end."""
_EPSILON = 1e-6


def realtime_file(
    source: RecordedSource, *, seconds: float | None, stop: threading.Event, on_skip: Callable[[int], None]
) -> Iterator[Captured]:
    """Frames of a recording when they are due; those that are too late are passed over.

    Args:
        source: A recording. With a higher rate than its own it plays faster.
        seconds: For how long.
        stop: Ends the waiting.
        on_skip: Called with the number of frames that were left out for being late.
    """
    speed = max(1.0, (source.fps or source.native_fps) / source.native_fps)
    clock = PlaybackClock(source.interval, speed)
    end = math.inf if seconds is None else seconds * speed - _EPSILON
    while not stop.is_set():
        late = source.skip_to(min(clock.position(), end))
        if late:
            on_skip(late)
        captured = source.read()
        if captured is None or captured.position >= end:
            return
        if stop.wait(max(0.0, clock.due(captured.position) - time.monotonic())):
            return
        yield captured._replace(ts_ms=now_ms())


def every_frame(source: RecordedSource, *, seconds: float | None) -> Iterator[Captured]:
    """All frames of a recording, as fast as they can be read; those of its first seconds."""
    end = math.inf if seconds is None else seconds - _EPSILON
    while (captured := source.read()) is not None and captured.position < end:
        yield captured


def live_camera(
    source: LiveSource, *, seconds: float | None, stop: threading.Event, on_skip: Callable[[int], None]
) -> Iterator[Captured]:
    """Frames of a camera, which sets the pace.

    Args:
        source: A camera.
        seconds: For how long.
        stop: Ends the waiting.
        on_skip: Called with the number of frames that came and were lost because nobody read them in time.
    """
    started = time.monotonic()
    missed = 0
    while not stop.is_set() and (seconds is None or time.monotonic() - started < seconds):
        if not source.ready(_POLL):
            continue
        captured = source.read()
        if source.missed > missed:
            on_skip(source.missed - missed)
            missed = source.missed
        if captured is None:
            return
        yield captured


def frames_expected(source: Source, *, seconds: float | None, frames: int | None, realtime: bool) -> int | None:
    """How many frames will be captured; None where that is not known."""
    bounds = [frames]
    if isinstance(source, RecordedSource):
        fps = source.fps or source.native_fps
        rate = fps if realtime else min(fps, source.native_fps)
        if seconds is not None:
            bounds.append(max(1, round(seconds * rate)))
        if source.frame_count is not None and not source.loop:
            bounds.append(math.ceil(source.frame_count * min(1.0, fps / source.native_fps)))
    return min((bound for bound in bounds if bound is not None), default=None)
