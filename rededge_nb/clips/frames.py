"""Which frames belong to a clip, and which boxes belong to them.

A camera's frames stay in its stream for a minute by default, or less if they are large. So the frames before the event
are read at once, and those after it as they arrive. The frames of a recording that is processed as fast as possible
carry the times of the recording, and the same recording may be in the stream twice; so frames are searched from the
event's own frame outwards, as long as their times follow one another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis

from rededge_nb import schema, streams
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import GearError, NoDataError, SourceError
from rededge_nb.reading.detections import Detections, parse_detections
from rededge_nb.reading.frames import Frame, parse_frame
from rededge_nb.reading.trails import TRAIL_ENTRIES, Trail, trails_before

IDLE_MS = 5_000
"""A clip ends if no frame has arrived for so many milliseconds."""
DETECTIONS_MS = 2_000
"""The gear's answer to a frame is awaited for so long, by the time since the frame was added."""
NEAR_MS = 1_000
"""A frame that the gear left out is left out of a clip with boxes, too, if another one so near has boxes."""

_BATCH = 32
_POLL = 0.1


@dataclass(frozen=True)
class Moment:
    """What a clip is about.

    Attributes:
        ts_ms: Time, milliseconds since the epoch.
        ref: Entry id of the frame of that time; empty if it is not known.
        camera: Camera of the event; empty if it is not known.
    """

    ts_ms: int
    ref: str = ""
    camera: str = ""


def frames_around(client: redis.Redis, camera: str, moment: Moment, *, before: float, after: float) -> Iterator[Frame]:
    """The frames from `before` seconds before a moment until `after` seconds after it, in their order.

    It waits for frames that are yet to come, as long as frames arrive.

    Raises:
        NoDataError: the frame of the moment, or all of them, are not in the stream (any more).
    """
    start_ms, end_ms = moment.ts_ms - round(1000 * before), moment.ts_ms + round(1000 * after)
    past = _frames_until(client, camera, moment, start_ms, end_ms)
    if not past:
        raise NoDataError(_nothing_left(client, camera, moment))
    last = past[-1]
    yield from past
    key = schema.frames_key(camera)
    while True:
        entries = streams.entries(client, key, start=f"({last.entry_id}", count=_BATCH)
        for entry in entries:
            with contextlib.suppress(SourceError):  # an entry without image
                frame = parse_frame(camera, entry)
                if not last.ts_ms <= frame.ts_ms <= end_ms:
                    return
                last = frame
                yield frame
        if not entries:
            if last.ts_ms >= end_ms or _now_ms(client) - streams.time_ms(streams.last_id(client, key)) > IDLE_MS:
                return
            time.sleep(_POLL)


def _frames_until(client: redis.Redis, camera: str, moment: Moment, start_ms: int, end_ms: int) -> list[Frame]:
    """The frames that are there already: until the moment's own one, or else until the end of the clip."""
    key = schema.frames_key(camera)
    found: list[Frame] = []
    end = moment.ref or "+"
    while True:
        entries = streams.entries(client, key, start="-", end=end, count=_BATCH, newest_first=True)
        for entry in entries:
            try:
                frame = parse_frame(camera, entry)
            except SourceError:
                continue
            if moment.ref and not found and frame.entry_id != moment.ref:
                return []
            inside = start_ms <= frame.ts_ms <= end_ms or frame.entry_id == moment.ref
            if found and not (inside and frame.ts_ms <= found[-1].ts_ms):
                return found[::-1]
            if inside:
                found.append(frame)
            # neither the time of the frame nor that of its arrival can become later from here on
            elif frame.ts_ms < start_ms and streams.time_ms(frame.entry_id) < start_ms:
                return []
        if len(entries) < _BATCH:
            return found[::-1]
        end = f"({entries[-1][0]}"


def _nothing_left(client: redis.Redis, camera: str, moment: Moment) -> str:
    key = schema.frames_key(camera)
    oldest = streams.entries(client, key, count=1)
    if not oldest:
        there = f"{key} has no frames at all"
    else:
        fields = oldest[0][1]
        oldest_ms = streams.number(fields, schema.TS, streams.time_ms(oldest[0][0]))
        there = f"the oldest frame in {key} is of {_clock(oldest_ms)}"
    what = f"frame {moment.ref}, " if moment.ref else ""
    return (
        f"camera {camera} has no frames of {what}{_clock(moment.ts_ms)} (any more): {there}; frames stay for a minute, "
        "or as `rededge capture --max-age --max-bytes` says; a rule with `clip: true` saves a clip before they leave"
    )


def _clock(ts_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ts_ms / 1000))


def _now_ms(client: redis.Redis) -> int:
    with server_errors(client):
        seconds, microseconds = client.time()
    return seconds * 1000 + microseconds // 1000


class DetectionFinder:
    """Finds the detections of frames that are asked for in their order."""

    def __init__(self, client: redis.Redis, camera: str) -> None:
        self._client = client
        self._camera = camera
        self._key = schema.detections_key(camera)
        self._start = ""
        self._newest = ""
        self._found: dict[str, Detections] = {}
        self._times: list[int] = []

    def of(self, frame: Frame) -> tuple[Detections, list[Trail]] | None:
        """The detections of a frame with the trail of each box; None if the gear left the frame out.

        It waits for the gear as long as it may still answer.
        """
        if not self._start:
            self._begin(frame)
        while not self._newest or streams.id_order(self._newest) < streams.id_order(frame.entry_id):
            if self._read():
                continue
            if _now_ms(self._client) - streams.time_ms(frame.entry_id) > DETECTIONS_MS:
                break
            time.sleep(_POLL / 2)
        found = self._found.pop(frame.entry_id, None)
        if found is None:
            return None
        self._trails.add(found)
        return found, self._trails.of(found)

    def near(self, frame: Frame) -> bool:
        """Whether the gear has answered to another frame of about the same time."""
        return any(abs(ts - frame.ts_ms) < NEAR_MS for ts in self._times)

    def _begin(self, frame: Frame) -> None:
        """Detections are written after their frame; those before are for the trails."""
        self._start = frame.entry_id
        before = streams.entries(
            self._client, self._key, end=f"({frame.entry_id}", count=TRAIL_ENTRIES, newest_first=True
        )
        self._trails = trails_before(self._camera, before)

    def _read(self) -> bool:
        entries = streams.entries(self._client, self._key, start=self._start, count=1000)
        for entry in entries:
            self._start = f"({entry[0]}"
            with contextlib.suppress(GearError):  # whoever shows that frame live reports it
                found = parse_detections(self._camera, entry)
                self._newest = max(self._newest or found.ref, found.ref, key=streams.id_order)
                self._found.setdefault(found.ref, found)
                self._times.append(found.ts_ms)
        return bool(entries)
