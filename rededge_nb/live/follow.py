"""Which frame of a camera a live view shows next.

A live view must show boxes on the frame in which they were found, never on a later one. The gear answers some time
after the frame was added, so a follower waits for detections and reads the frame that they refer to. If the gear does
not answer for a while, live video without boxes is better than none, so it falls back to the newest frame.

Reading is lazy: new detections are small and are read as they arrive, but only `next_frame` transfers an image, and
only the newest one. A viewer that is slow therefore skips frames, and is never behind.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.display.colors import track_color
from rededge_nb.errors import GearError, NoDataError
from rededge_nb.reading import frames
from rededge_nb.reading.captures import newest_capture
from rededge_nb.reading.detections import Detections, parse_detections
from rededge_nb.reading.frames import Frame
from rededge_nb.reading.recordings import RecordingPositions
from rededge_nb.reading.trails import TRAIL_ENTRIES, Trail, Trails, trails_before

NO_DETECTIONS_AFTER = 2.0
"""Seconds without detections after which frames are shown without them."""

SILENT_AFTER = 3.0
"""Seconds without frames or detections after which the viewer shows a notice."""

_CAPTURES_INTERVAL = 2.0
"""Seconds between two looks whether the capture of a silent camera has ended."""
_FRAMES_ONLY_INTERVAL_MS = 33
_IDLE_INTERVAL_MS = 200
_NO_ID = "0-0"


@dataclass(frozen=True)
class FrameWithDetections:
    """A frame and what was found in it.

    Attributes:
        detections: None where no gear answers.
        live: Whether it arrived while it was watched; False for a frame that was in the stream before.
        trails: Where the person in each box has walked.
        position_s: Where in its recording the frame is, in seconds; None if it has the time of the clock.
    """

    frame: Frame
    detections: Detections | None
    live: bool
    trails: tuple[Trail, ...] = ()
    position_s: float | None = None

    def as_message(self) -> dict[str, Any]:
        """What player.js needs to know about it besides the JPEG, as JSON can hold it."""
        frame, found = self.frame, self.detections
        content: dict[str, Any] = {
            "kind": "frame",
            "camera": frame.camera,
            "ref": frame.entry_id,
            "number": frame.frame_index,
            "ts": frame.ts_ms,
            "live": self.live,
        }
        if self.position_s is not None:
            content |= {"position": self.position_s, "read": frame.read_ms}
        if found is not None:
            content |= {
                "boxes": np.nan_to_num(found.xyxy).tolist(),
                "confidence": [round(float(value), 3) if np.isfinite(value) else None for value in found.confidence],
                "names": [found.counted.singular] * len(found),
                "tracked": found.tracks is not None,
                "people": found.people,
                "amount": found.counted.amount(found.people),
                "lines": found.lines,
                "zones": found.zones,
            }
            if found.tracks is not None:
                content |= {
                    "names": [f"#{track}" for track in found.tracks],
                    "colors": [track_color(int(track)) for track in found.tracks],
                    "trails": [np.rint(np.nan_to_num(trail)).astype(int).ravel().tolist() for trail in self.trails],
                    "since": None if found.since_ms is None else found.since_ms.tolist(),
                }
        return content


class Follower:
    """Follows one camera. It has no thread: all reads happen in the caller's, with the client that is passed.

    Attributes:
        dropped: Frames with detections that were skipped, because newer ones arrived or they left their stream.
        problem: What is wrong with the newest detections; empty if nothing is.
    """

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self.dropped = 0
        self.problem = ""
        self._after: dict[str, str] = {}
        self._next: Detections | None = None
        self._next_live = False
        self._trails = Trails()
        self._positions = RecordingPositions(camera)
        self._last_ref = _NO_ID
        self._last_frame = _NO_ID
        self._newest_at_start = _NO_ID
        self._frame_at: float | None = None
        self._detection_at: float | None = None
        self._capture_ended = False
        self._captures_read_at = 0.0
        self._started = False

    @property
    def frame_age(self) -> float | None:
        """Seconds since the newest frame arrived; None if there never was one."""
        return None if self._frame_at is None else time.monotonic() - self._frame_at

    @property
    def detection_age(self) -> float | None:
        """Seconds since the newest detections arrived; None if there never were any."""
        return None if self._detection_at is None else time.monotonic() - self._detection_at

    @property
    def silent(self) -> bool:
        """Whether frames have stopped to arrive, so that the last one does not show the present."""
        return self.frame_age is not None and self.frame_age >= SILENT_AFTER

    @property
    def notice(self) -> str:
        """What is wrong, in a sentence; empty if nothing is."""
        return silence_notice(self.frame_age, self.detection_age, ended=self._capture_ended) or self.problem

    @property
    def has_next(self) -> bool:
        """Whether detections have arrived whose frame `next_frame` has not returned yet."""
        return self._next is not None

    def restart(self) -> None:
        """Skip everything that arrived in the meantime, and return the newest frame once more."""
        self._started = False

    def read(self, client: redis.Redis, *, block_ms: int) -> None:
        """Wait for new detections, for at most `block_ms`."""
        if not self._started:
            self._start(client)
            return
        if self._frames_only:
            idle = self.frame_age is None or self.frame_age > NO_DETECTIONS_AFTER
            block_ms = min(block_ms, _IDLE_INTERVAL_MS if idle else _FRAMES_ONLY_INTERVAL_MS)
        for _, entry in streams.new_entries(client, self._after, block_ms=block_ms):
            self._receive(entry, live=True)
            self._frame_at = self._detection_at = time.monotonic()
        if self.silent and time.monotonic() - self._captures_read_at > _CAPTURES_INTERVAL:
            self._captures_read_at = time.monotonic()
            newest = newest_capture(client, self.camera)
            self._capture_ended = newest is not None and not newest.running

    def next_frame(self, client: redis.Redis) -> FrameWithDetections | None:
        """The newest frame that was not returned yet; None if there is none."""
        if self._next is None:
            return self._frame_without_detections(client) if self._frames_only else None
        detections, self._next = self._next, None
        try:
            frame = frames.read_frame(client, self.camera, detections.ref)
        except NoDataError:
            self.dropped += 1
            return None
        self._last_ref = frame.entry_id
        self._last_frame = max(self._last_frame, frame.entry_id, key=streams.id_order)
        trails = tuple(self._trails.of(detections))
        return FrameWithDetections(frame, detections, self._next_live, trails, self._position_s(client, frame))

    @property
    def _frames_only(self) -> bool:
        return self.detection_age is None or self.detection_age > NO_DETECTIONS_AFTER

    def _start(self, client: redis.Redis) -> None:
        """Take the newest detections there are as the first ones to show."""
        detections_key, frames_key = schema.detections_key(self.camera), schema.frames_key(self.camera)
        self._next, self._last_ref, self._last_frame, self.problem = None, _NO_ID, _NO_ID, ""
        self._newest_at_start = streams.last_id(client, frames_key)
        self._frame_at = self._arrival_time(client, self._newest_at_start)
        recent = streams.entries(client, detections_key, count=TRAIL_ENTRIES, newest_first=True)
        newest_id = recent[0][0] if recent else _NO_ID
        self._detection_at = self._arrival_time(client, newest_id)
        self._after = {detections_key: newest_id}
        self._trails = trails_before(self.camera, recent[1:])
        for entry in recent[:1]:
            self._receive(entry, live=not self._frames_only)
        self._started = True

    def _arrival_time(self, client: redis.Redis, entry_id: str) -> float | None:
        """When an entry was added, on this process's monotonic clock; its id has the time of the server's clock."""
        if entry_id == _NO_ID:
            return None
        seconds, microseconds = client.time()
        return time.monotonic() - max(0.0, seconds + microseconds / 1e6 - streams.time_ms(entry_id) / 1000)

    def _receive(self, entry: streams.Entry, *, live: bool) -> None:
        try:
            found = parse_detections(self.camera, entry)
        except GearError as error:
            self.problem = str(error)
            return
        self.problem = ""
        self._trails.add(found)
        newest = self._next.ref if self._next is not None else self._last_ref
        if streams.id_order(found.ref) <= streams.id_order(newest):
            # a worker that takes over from a dead one processes some frames again
            self.dropped += 1
            return
        self.dropped += self._next is not None
        self._next, self._next_live = found, live

    def _frame_without_detections(self, client: redis.Redis) -> FrameWithDetections | None:
        # "(" excludes the id itself, so that a frame that was returned already is not transferred again
        start = f"({self._last_frame}"
        found = streams.entries(client, schema.frames_key(self.camera), start=start, count=1, newest_first=True)
        if not found:
            return None
        self._last_frame = found[0][0]
        live = streams.id_order(self._last_frame) > streams.id_order(self._newest_at_start)
        if live:
            self._frame_at = time.monotonic()
        frame = frames.frame_of(client, self.camera, found[0])
        return FrameWithDetections(frame, None, live, position_s=self._position_s(client, frame))

    def _position_s(self, client: redis.Redis, frame: Frame) -> float | None:
        return self._positions.position_s(client, frame.capture, frame.ts_ms, frame.read_ms)


def silence_notice(frame_age: float | None, detection_age: float | None, *, ended: bool = False) -> str:
    """A sentence that says that frames or detections do not arrive; empty if they do.

    Args:
        frame_age: Seconds since the newest frame arrived; None if there never was one.
        detection_age: The same for detections.
        ended: Whether the last capture has ended, as that of a recording does.
    """
    if frame_age is None:
        return "no frame yet: is the capture running?"
    if frame_age >= SILENT_AFTER:
        why = "the capture has ended" if ended else "is the capture running?"
        return f"no frame for {_duration(frame_age)}: {why}"
    if detection_age is None:
        return "frames arrive, but no detections yet: is the gear registered, and not paused?"
    if detection_age >= SILENT_AFTER:
        return (
            f"frames arrive, but no detections for {_duration(detection_age)}: is the gear registered, and not paused?"
        )
    return ""


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h" if seconds < 48 * 3600 else f"{int(seconds // 86400)} days"
