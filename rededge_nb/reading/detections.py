"""Read the detections that the gear wrote for a camera's frames."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema, streams
from rededge_nb.analytics.counted import PEOPLE, Counted
from rededge_nb.edge.client import blocking_client
from rededge_nb.errors import ConfigurationError, GearError, NoDataError
from rededge_nb.reading.counted import counted_in
from rededge_nb.reading.frames import Frame, read_frame
from rededge_nb.reading.scenes import counts_of
from rededge_nb.streams import Entry

_END_OF_NUMBERS = 2**62
"""Track ids and times are smaller than this. Any other value, such as null, becomes 0."""

_MAX_CANDIDATES = 64
"""How many of the newest detections are tried to find one whose frame is still in its stream."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections in one frame, one row per box.

    Attributes:
        camera: Camera id.
        ref: Entry id of the frame.
        entry_id: Entry id of the detections.
        ts_ms: Capture time, milliseconds since the epoch; without one, the time of the frame's entry.
        xyxy: Boxes, float32 of shape (n, 4): left, top, right, bottom in pixels of the frame.
        confidence: float32 of shape (n,), 0 to 1; 0 for a person who is not seen for a moment, and whose box is where
            the person is expected; NaN if the gear gave none.
        people: Number of people, or objects of another class, that the gear counted.
        model: Key of the model; empty if the gear gave none.
        ms: Milliseconds from reading the frame until its boxes were known; NaN if the gear gave none.
        tracks: Track ids, int64 of shape (n,); None if the gear does not track.
        capture: Id of the capture that added the frame; empty if the frame has none.
        read_ms: When the frame was read from its recording; None where `ts_ms` is the time of its capture.
        since_ms: When each person was first seen, int64 of shape (n,), milliseconds since the epoch; None as `tracks`.
        counted: What the boxes are of.
        lines: By line of the camera's scene the crossings since it was made: forward and backward.
        zones: By zone the people in it, the longest stay of those in seconds, entries and exits since it was made.
    """

    camera: str
    ref: str
    entry_id: str
    ts_ms: int
    xyxy: NDArray[np.float32] = field(repr=False)
    confidence: NDArray[np.float32] = field(repr=False)
    people: int
    model: str
    ms: float
    tracks: NDArray[np.int64] | None = field(default=None, repr=False)
    capture: str = ""
    read_ms: int | None = None
    since_ms: NDArray[np.int64] | None = field(default=None, repr=False)
    counted: Counted = PEOPLE
    lines: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    zones: dict[str, tuple[int, float, int, int]] = field(default_factory=dict, repr=False)

    @property
    def latency_ms(self) -> int:
        """Milliseconds from the capture of the frame until its detections were in Redis."""
        return streams.time_ms(self.entry_id) - (self.ts_ms if self.read_ms is None else self.read_ms)

    @property
    def time(self) -> np.datetime64:
        """Capture time, UTC."""
        return np.datetime64(self.ts_ms, "ms")

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.xyxy)

    def __repr__(self) -> str:
        amount = self.counted.amount(self.people)
        return f"<Detections of frame {self.ref}, camera {self.camera}: {amount}, latency {self.latency_ms} ms>"


def read_detections(
    client: redis.Redis, camera: object, *, start: str = "-", end: str = "+", count: int | None = None
) -> list[Detections]:
    """Return the detections with entry ids from `start` to `end`, oldest first. (Not ids of frames.)

    Raises:
        GearError: an entry is malformed.
    """
    found = streams.entries(client, schema.detections_key(camera), start=start, end=end, count=count)
    return [parse_detections(schema.camera_id(camera), entry) for entry in found]


def read_latest_detections(client: redis.Redis, camera: object) -> Detections | None:
    """Return the newest detections of a camera, whether or not their frame is still there; None if there are none.

    Raises:
        GearError: the entry is malformed.
    """
    newest = streams.entries(client, schema.detections_key(camera), count=1, newest_first=True)
    return parse_detections(schema.camera_id(camera), newest[0]) if newest else None


def latest_detected_frame(client: redis.Redis, camera: object) -> tuple[Frame, Detections]:
    """Return the newest processed frame that is still in its stream, with its detections.

    Raises:
        NoDataError: there is no such frame.
        GearError: an entry is malformed.
    """
    key = schema.detections_key(camera)
    name = schema.camera_id(camera)
    newest = streams.entries(client, key, count=_MAX_CANDIDATES, newest_first=True)
    if not newest:
        raise _nothing_detected(camera)
    candidates = [parse_detections(name, entry) for entry in newest]
    for detections in sorted(candidates, key=lambda each: streams.id_order(each.ref), reverse=True):
        try:
            return read_frame(client, camera, detections.ref), detections
        except NoDataError:
            continue
    raise NoDataError(
        f"none of the newest {len(candidates)} frames in {key} is still in {schema.frames_key(camera)}: "
        f"start a capture (`rededge capture SOURCE --camera {name}`)"
    )


def follow_detections(
    client: redis.Redis, camera: object, *, seconds: float | None = None, frames: int | None = None
) -> Iterator[Detections]:
    """Yield new detections as they arrive, for `seconds` or for a number of `frames`, whichever ends first.

    Raises:
        ConfigurationError: neither `seconds` nor `frames` is given.
        GearError: an entry is malformed.
        ServerUnavailableError: the connection was lost.
    """
    if seconds is None and frames is None:
        raise ConfigurationError("without a limit this would never end: give seconds or frames")
    key = schema.detections_key(camera)
    return _follow(client, schema.camera_id(camera), {key: streams.last_id(client, key)}, seconds, frames)


def _follow(
    client: redis.Redis, camera: str, after: dict[str, str], seconds: float | None, frames: int | None
) -> Iterator[Detections]:
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    left = math.inf if frames is None else frames
    with blocking_client(client) as own:
        while left > 0 and (remaining := deadline - time.monotonic()) > 0:
            block_ms = round(min(streams.BLOCK_MS, remaining * 1000))
            for _, entry in streams.new_entries(own, after, block_ms=block_ms):
                if left <= 0:
                    return
                left -= 1
                yield parse_detections(camera, entry)


def parse_detections(camera: str, entry: Entry) -> Detections:
    """Parse an entry of the camera's detection stream.

    Raises:
        GearError: the entry is malformed.
    """
    entry_id, fields = entry
    ref = fields.get(schema.REF.encode(), b"").decode(errors="replace")
    if not streams.is_id(ref):
        raise _malformed(camera, entry_id, f"{schema.REF} is {ref!r}, not the entry id of a frame")
    boxes = _floats(camera, entry_id, fields, schema.BOXES)
    if boxes is None:
        raise _malformed(camera, entry_id, f"it has no {schema.BOXES}")
    if boxes.size % 4:
        raise _malformed(camera, entry_id, f"{schema.BOXES} has {boxes.size} numbers, but each box has four")
    xyxy = boxes.reshape(-1, 4)
    confidence = _floats(camera, entry_id, fields, schema.CONFIDENCE)
    if confidence is None:
        confidence = np.full(len(xyxy), np.nan, np.float32)
    if len(confidence) != len(xyxy):
        raise _malformed(camera, entry_id, f"{schema.CONFIDENCE} has {len(confidence)} numbers for {len(xyxy)} boxes")
    whole = {name: _whole(camera, entry_id, fields, name, len(xyxy)) for name in (schema.TRACKS, schema.SINCE)}
    lines, zones = counts_of(fields)
    counted = counted_in(fields)
    return Detections(
        camera=camera,
        ref=ref,
        entry_id=entry_id,
        ts_ms=streams.number(fields, schema.TS, streams.time_ms(ref)),
        xyxy=xyxy,
        confidence=confidence,
        people=streams.number(fields, counted.series, len(xyxy)),
        model=fields.get(schema.MODEL.encode(), b"").decode(errors="replace"),
        ms=_milliseconds(fields.get(schema.MS.encode())),
        capture=fields.get(schema.CAPTURE.encode(), b"").decode(errors="replace"),
        read_ms=streams.number(fields, schema.CAPTURED, 0) or None,
        tracks=whole[schema.TRACKS],
        since_ms=whole[schema.SINCE],
        counted=counted,
        lines=lines,
        zones=zones,
    )


def _whole(camera: str, entry_id: str, fields: dict[bytes, bytes], name: str, boxes: int) -> NDArray[np.int64] | None:
    """One whole number for each box."""
    values = _numbers(camera, entry_id, fields, name, np.float64)
    if values is None:
        return None
    if len(values) != boxes:
        raise _malformed(camera, entry_id, f"{name} has {len(values)} numbers for {boxes} boxes")
    return np.where(np.abs(values) < _END_OF_NUMBERS, values, 0).astype(np.int64)


def _floats(camera: str, entry_id: str, fields: dict[bytes, bytes], name: str) -> NDArray[np.float32] | None:
    return _numbers(camera, entry_id, fields, name, np.float32)


def _numbers(camera: str, entry_id: str, fields: dict[bytes, bytes], name: str, dtype: Any) -> NDArray[Any] | None:
    text = fields.get(name.encode())
    if text is None:
        return None
    try:
        with np.errstate(over="ignore"):  # too large numbers become infinite
            values = np.array(json.loads(text), dtype)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _malformed(camera, entry_id, f"{name} is {text[:60]!r}, not a JSON list of numbers") from error
    if values.ndim != 1:
        raise _malformed(camera, entry_id, f"{name} is {text[:60]!r}, not a flat JSON list of numbers")
    return values


def _milliseconds(text: bytes | None) -> float:
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan


def _malformed(camera: str, entry_id: str, what: str) -> GearError:
    return GearError(
        f"entry {entry_id} of {schema.detections_key(camera)} is malformed: {what}; check the gear that wrote it "
        "(`rededge gears list`)"
    )


def _nothing_detected(camera: object) -> NoDataError:
    return NoDataError(
        f"{schema.detections_key(camera)} is empty: check that the gear is registered (`rededge gears list`, "
        f"`rededge init`), and start a capture (`rededge capture SOURCE --camera {camera}`)"
    )
