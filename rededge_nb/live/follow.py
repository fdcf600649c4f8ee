"""Which picture of a camera to show next: the newest that has its detections, or else the newest there is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.errors import GearError, NoDataError
from rededge_nb.reading import frames
from rededge_nb.reading.detections import Detections, parse_detections
from rededge_nb.reading.frames import Frame

RAW_AFTER = 2.0
"""Seconds without detections after which frames are shown without."""

SILENT_AFTER = 3.0
"""Seconds without frames or detections after which that is said."""

_LABEL = "person"
_RAW_INTERVAL_MS = 33
_RAW_IDLE_INTERVAL_MS = 200
_NONE = "0-0"


@dataclass(frozen=True)
class Picture:
    """A frame with what was found in it, or None where no gear answers.

    Attributes:
        live: Whether it has just come, and was not lying there already.
    """

    frame: Frame
    detections: Detections | None
    live: bool

    def described(self) -> dict[str, Any]:
        """What player.js is told about it, besides the JPEG; fit for JSON."""
        frame, found = self.frame, self.detections
        content: dict[str, Any] = {
            "kind": "frame",
            "camera": frame.camera,
            "ref": frame.entry_id,
            "number": frame.frame_index,
            "ts": frame.ts_ms,
            "live": self.live,
        }
        if found is not None:
            content |= {
                "boxes": np.nan_to_num(found.xyxy).tolist(),
                "confidence": [round(float(value), 3) if np.isfinite(value) else None for value in found.confidence],
                "names": [_LABEL] * len(found) if found.tracks is None else [f"#{track}" for track in found.tracks],
                "tracked": found.tracks is not None,
                "people": found.people,
            }
        return content


class Follower:
    """Follows one camera. All its reads are made by the caller's thread, on the client that is passed.

    Attributes:
        dropped: Frames with detections that were passed over, because newer ones came or they left their stream.
        problem: What is wrong with the newest detections, empty where nothing is.
    """

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self.dropped = 0
        self.problem = ""
        self._after: dict[str, str] = {}
        self._next: Detections | None = None
        self._next_live = False
        self._shown_ref = _NONE
        self._shown_frame = _NONE
        self._there_before = _NONE
        self._frame_at: float | None = None
        self._detection_at: float | None = None
        self._began = False

    @property
    def frame_age(self) -> float | None:
        """Seconds since the newest frame came; None if there never was one."""
        return None if self._frame_at is None else time.monotonic() - self._frame_at

    @property
    def detection_age(self) -> float | None:
        """Seconds since the newest detections came; None if there never were any."""
        return None if self._detection_at is None else time.monotonic() - self._detection_at

    @property
    def notice(self) -> str:
        """What is wrong, in a sentence; empty if nothing is."""
        return about_silence(self.frame_age, self.detection_age) or self.problem

    @property
    def waiting(self) -> bool:
        """Whether there are detections whose frame was not taken yet."""
        return self._next is not None

    def restart(self) -> None:
        """Pass over what came in the meantime, and take the newest picture again even if it was taken before."""
        self._began = False

    def read(self, client: redis.Redis, *, block_ms: int) -> None:
        """Wait for new detections, `block_ms` at most."""
        if not self._began:
            self._begin(client)
            return
        if self._raw:
            idle = self.frame_age is None or self.frame_age > RAW_AFTER
            block_ms = min(block_ms, _RAW_IDLE_INTERVAL_MS if idle else _RAW_INTERVAL_MS)
        for _, entry in streams.new_entries(client, self._after, block_ms=block_ms):
            self._note(entry, live=True)
            self._frame_at = self._detection_at = time.monotonic()

    def take(self, client: redis.Redis) -> Picture | None:
        """The newest picture that was not taken yet; only this transfers a frame."""
        if self._next is not None:
            detections, self._next = self._next, None
            try:
                frame = frames.read_frame(client, self.camera, detections.ref)
            except NoDataError:
                self.dropped += 1
                return None
            self._shown_ref = frame.entry_id
            self._shown_frame = max(self._shown_frame, frame.entry_id, key=streams.id_order)
            return Picture(frame, detections, self._next_live)
        return self._take_raw(client) if self._raw else None

    @property
    def _raw(self) -> bool:
        return self.detection_age is None or self.detection_age > RAW_AFTER

    def _begin(self, client: redis.Redis) -> None:
        detections, images = schema.detections_key(self.camera), schema.frames_key(self.camera)
        self._next, self._shown_ref, self._shown_frame, self.problem = None, _NONE, _NONE, ""
        self._there_before = streams.last_id(client, images)
        self._frame_at = self._age(client, self._there_before)
        newest = streams.entries(client, detections, count=1, newest_first=True)
        self._detection_at = self._age(client, newest[0][0] if newest else _NONE)
        self._after = {detections: newest[0][0] if newest else _NONE}
        for entry in newest:
            self._note(entry, live=not self._raw)
        self._began = True

    def _age(self, client: redis.Redis, entry_id: str) -> float | None:
        """When an entry came, told by the server's clock that its id has, as a time of our own."""
        if entry_id == _NONE:
            return None
        seconds, microseconds = client.time()
        return time.monotonic() - max(0.0, seconds + microseconds / 1e6 - streams.time_ms(entry_id) / 1000)

    def _note(self, entry: streams.Entry, *, live: bool) -> None:
        try:
            found = parse_detections(self.camera, entry)
        except GearError as error:
            self.problem = str(error)
            return
        self.problem = ""
        newest = self._next.ref if self._next is not None else self._shown_ref
        if streams.id_order(found.ref) <= streams.id_order(newest):
            # a worker that took over from a dead one answers some frames again
            self.dropped += 1
            return
        self.dropped += self._next is not None
        self._next, self._next_live = found, live

    def _take_raw(self, client: redis.Redis) -> Picture | None:
        # an exclusive start, so that a frame that was shown already is not transferred again
        newer = f"({self._shown_frame}"
        found = streams.entries(client, schema.frames_key(self.camera), start=newer, count=1, newest_first=True)
        if not found:
            return None
        self._shown_frame = found[0][0]
        live = streams.id_order(self._shown_frame) > streams.id_order(self._there_before)
        if live:
            self._frame_at = time.monotonic()
        return Picture(frames.parse_frame(self.camera, found[0]), None, live)


def about_silence(frame_age: float | None, detection_age: float | None) -> str:
    """That frames or detections do not come, in a sentence; empty if they do.

    Args:
        frame_age: Seconds since the newest frame came; None if there never was one.
        detection_age: The same for detections.
    """
    if frame_age is None:
        return "no frame yet: is the capture running?"
    if frame_age >= SILENT_AFTER:
        return f"no frame for {_duration(frame_age)}: is the capture running?"
    if detection_age is None:
        return "frames come, but no detections yet: is the gear registered?"
    if detection_age >= SILENT_AFTER:
        return f"frames come, but no detections for {_duration(detection_age)}: is the gear registered?"
    return ""


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h" if seconds < 48 * 3600 else f"{int(seconds // 86400)} days"
