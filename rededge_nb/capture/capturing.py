"""The loop of a capture: from an open source into a camera's stream, for as long as the lease on the camera is held."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.pace import LEAST_FPS
from rededge_nb.capture import pacing
from rededge_nb.capture.answers import Refusals
from rededge_nb.capture.delivery import Delivery
from rededge_nb.capture.feeding import REPLACE_TIMEOUT, feeding
from rededge_nb.capture.options import Progress, Settings
from rededge_nb.capture.recording_time import RecordingTime, Replacement, recording_time
from rededge_nb.capture.report import Tally
from rededge_nb.capture.sources import Captured, LiveSource, RecordedSource, Source, open_source
from rededge_nb.connection import shard_of
from rededge_nb.edge.client import blocking_client
from rededge_nb.errors import ServerUnavailableError, SourceError
from rededge_nb.reading.captures import current_capture, stop_capture

_LAST_ANSWERS = 5.0
"""Seconds that a `realtime` capture waits at most at its end for the last frames, so that refusals are counted."""
_POLL = 0.05


@dataclass(frozen=True)
class Resume:
    """Where a capture goes on that failed before.

    Attributes:
        position: The last position of the source that was delivered.
        times: The times of the recording, if it has such.
    """

    position: float
    times: RecordingTime | None


class Ending(threading.Event):
    """Set when a capture shall end: by itself, or with an event of the caller's, which it leaves alone."""

    def __init__(self, asked: threading.Event | None) -> None:
        super().__init__()
        self._asked = asked

    def is_set(self) -> bool:
        """Whether the capture shall end."""
        return super().is_set() or (self._asked is not None and self._asked.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the capture shall end, `timeout` seconds at most; whether it shall."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            if self._asked is None:
                super().wait(left)
            else:
                self._asked.wait(_POLL if left is None else min(_POLL, left))
        return True


def open_for_capture(
    client: redis.Redis, source: str | int | Path, options: Settings, stop: threading.Event | None
) -> Source:
    """Open a source. A webcam that the capture to be replaced uses is freed first.

    Raises:
        SourceError: it cannot be opened.
    """
    try:
        return open_source(source, stop=stop, **options.opening)
    except SourceError:
        current = current_capture(client, options.camera) if options.replace else None
        if current is None or current.source != f"webcam {source}":
            raise
        stop_capture(client, options.camera, "ended, because another capture of this webcam has replaced it")
        deadline = time.monotonic() + REPLACE_TIMEOUT
        while current_capture(client, options.camera) is not None and time.monotonic() < deadline:
            time.sleep(_POLL)
        return open_source(source, stop=stop, **options.opening)


def run_capture(
    client: redis.Redis,
    source: Source,
    options: Settings,
    tally: Tally,
    *,
    progress: Progress | None,
    stop: threading.Event | None,
    resume: Resume | None = None,
) -> None:
    """Add the frames of a source to the camera's stream, until it ends.

    Args:
        client: Tells where the server is.
        source: An open source; it stays open.
        options: Those of the capture.
        tally: Counts what is done.
        progress: Called after each frame.
        stop: Ends the capture soon after it is set.
        resume: Where to go on.
    """
    ending = Ending(stop)

    def end(reason: str) -> None:
        tally.ended_by = reason
        ending.set()

    with (
        shard_of(client, options.camera) as there,
        blocking_client(there) as own,
        feeding(own, source, options, tally, ending, end),
    ):
        if resume is not None and isinstance(source, RecordedSource) and not source.loop:
            source.start_after(resume.position)
            tally.times = resume.times
        else:
            tally.times = recording_time(own, source, options)
        replacement = None if tally.times is None else Replacement(own, options.camera, tally.times)
        tally.refusals = Refusals(own, options.camera, tally.capture)
        delivery = Delivery(
            own,
            options,
            capture=tally.capture,
            own_times=tally.times is not None,
            make_room=(lambda _: None) if replacement is None else replacement.make_room,
            stop=ending,
            on_problem=tally.note_problem,
        )
        _note_few_frames(source, options)
        tally.start()
        try:
            _deliver(source, options, tally, delivery, ending, progress)
        finally:
            tally.end()
            if replacement is not None and replacement.note:
                source.problems.remark(replacement.note)
            # a server that is away cannot tell; what ended the capture is raised anyway
            with suppress(redis.RedisError, ServerUnavailableError):
                if options.pace == "realtime" and not ending.is_set():
                    _wait_for_last_answers(own, options.camera, tally)
                tally.update_refusals(own)


def _note_few_frames(source: Source, options: Settings) -> None:
    """Say before the first frame that people cannot be followed, as far as the rate is known then."""
    # as fast as possible, a recording has its own times and never more frames than it has
    rates = [source.fps, source.native_fps if options.pace == "asap" else None]
    rate = min((each for each in rates if each), default=LEAST_FPS)
    if rate < LEAST_FPS:
        source.problems.remark(
            f"the rate is {rate:.3g} fps, and people can be followed from {LEAST_FPS} fps on: people seen, crossings "
            "and stays will not be reliable, only the people in each frame"
        )


def _deliver(
    source: Source,
    options: Settings,
    tally: Tally,
    delivery: Delivery,
    ending: threading.Event,
    progress: Progress | None,
) -> None:
    realtime = options.pace == "realtime"
    total = pacing.frames_expected(source, seconds=options.seconds, frames=options.frames, realtime=realtime)

    def report_progress() -> None:
        if progress is not None:
            progress(tally.frames - delivery.pending, total)

    def wait_for_answers(at_most: int) -> None:
        while delivery.pending > at_most and not ending.is_set():
            if delivery.receive():
                report_progress()

    for captured in islice(_frames(source, options, tally, ending), options.frames):
        wait_for_answers(at_most=options.window - 1)
        if ending.is_set():
            break
        sent = delivery.send(captured)
        tally.position = captured.position
        if sent is None:
            tally.skip(1)
            continue
        tally.add(*sent, captured.ts_ms)
        tally.last_count = delivery.last_count
        if realtime:
            report_progress()
    wait_for_answers(at_most=0)


def _frames(source: Source, options: Settings, tally: Tally, ending: threading.Event) -> Iterator[Captured]:
    if isinstance(source, LiveSource):
        return pacing.live_camera(source, seconds=options.seconds, stop=ending, on_skip=tally.skip)
    if not isinstance(source, RecordedSource):
        raise TypeError(f"{source!r} is neither live nor recorded")
    if options.pace == "realtime":
        return pacing.realtime_file(source, seconds=options.seconds, stop=ending, on_skip=tally.skip)
    frames = pacing.every_frame(source, seconds=options.seconds)
    return frames if tally.times is None else tally.times.apply(frames)


def _wait_for_last_answers(client: redis.Redis, camera: str, tally: Tally) -> None:
    """Give the gear a moment for the last frame, so that its refusal is counted."""
    last_id = tally.report().last_id
    deadline = time.monotonic() + _LAST_ANSWERS
    while last_id is not None and time.monotonic() < deadline:
        try:
            groups = client.xinfo_groups(schema.frames_key(camera))
        except redis.RedisError:
            return
        group = next((each for each in groups if each["name"] == schema.GEAR_GROUP.encode()), None)
        if group is None:
            return
        delivered = streams.id_order(group["last-delivered-id"].decode())
        if delivered >= streams.id_order(last_id) and not group["pending"]:
            return
        time.sleep(_POLL)
