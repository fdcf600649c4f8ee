"""When the pictures of a source are captured: files at their own speed, cameras as they come."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

from rededge_nb.capture.sources import Captured, Source

_POLL = 0.1
"""Seconds after which a wait for a camera looks whether it shall end."""


def realtime_file(
    source: Source, *, seconds: float | None, stop: threading.Event, on_skip: Callable[[int], None]
) -> Iterator[Captured]:
    """Pictures of a file or folder when they are due; those not wanted, or too late, are passed over.

    Args:
        source: One that has a rate.
        seconds: How much of it.
        stop: Ends the waiting.
        on_skip: Told how many frames were left out for being late.
    """
    fps = source.fps or 0.0
    step = max(1.0, (source.native_fps or fps) / fps)
    slots = math.inf if seconds is None else max(1, round(seconds * fps))
    started = time.monotonic()
    slot = position = 0
    while slot < slots and not stop.wait(max(0.0, started + slot / fps - time.monotonic())):
        late = max(0, int((time.monotonic() - started) * fps) - slot)
        slot += late
        unwanted = int(slot * step + 1e-6) - position
        passed = source.skip(unwanted)
        captured = source.read() if passed == unwanted and slot < slots else None
        if late:
            on_skip(late if captured is not None else min(late, passed))
        if captured is None:
            return
        yield captured
        position += unwanted + 1
        slot += 1


def live_camera(
    source: Source, *, seconds: float | None, stop: threading.Event, on_skip: Callable[[int], None]
) -> Iterator[Captured]:
    """Pictures of a camera, which sets the pace; fewer, where fewer are asked for than it delivers.

    Args:
        source: A camera.
        seconds: For how long.
        stop: Ends the waiting.
        on_skip: Told how many frames came and were lost because nobody took them in time.
    """
    slower = source.fps is not None and (source.native_fps is None or source.fps < source.native_fps)
    interval = 1 / source.fps if source.fps and slower else 0.0
    started = due = time.monotonic()
    missed = 0
    while not stop.is_set() and (seconds is None or time.monotonic() - started < seconds):
        if not source.ready(_POLL):
            continue
        # A camera keeps the pictures that nobody takes: passing over them keeps the next one fresh.
        if time.monotonic() < due:
            if not source.skip(1):
                return
            continue
        captured = source.read()
        if source.missed > missed:
            on_skip(source.missed - missed)
            missed = source.missed
        if captured is None:
            return
        yield captured
        due = max(due + interval, time.monotonic())


def frames_in(source: Source, seconds: float | None, *, realtime: bool = False) -> int | None:
    """How many pictures `seconds` of a source are: all of them, or those that `realtime` takes."""
    fps = source.fps if realtime else source.native_fps
    return max(1, round(seconds * fps)) if seconds and fps else None


def frames_of(source: Source, *, realtime: bool = False) -> int | None:
    """How many pictures a source has, or `realtime` takes of it, from first to last."""
    if source.frame_count is None or not realtime or not source.fps or not source.native_fps:
        return source.frame_count
    return math.ceil(source.frame_count * min(1.0, source.fps / source.native_fps))
