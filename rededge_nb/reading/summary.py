"""Figures of captures: how many frames were added, what became of them, how long it took."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self, cast

import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.counted import PEOPLE, Counted
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import NoDataError, SceneError
from rededge_nb.reading.captures import CaptureRecord, find_captures
from rededge_nb.reading.counted import counted_in, counted_now
from rededge_nb.reading.scenes import read_crossings, read_zones
from rededge_nb.reading.series import Series, read_many
from rededge_nb.reading.too_few_frames import TooFewFrames, too_few_frames
from rededge_nb.streams import Entry

_PAGE = 16
"""Entries of a stream that are fetched at once to count them; they are images."""


@dataclass(frozen=True)
class Statistics:
    """Median and 95th percentile, in milliseconds; NaN where nothing was measured."""

    median: float
    p95: float


@dataclass(frozen=True)
class Summary:
    """What became of the frames of one or more captures.

    Attributes:
        frames_in: Frames added to the stream.
        processed: Frames in which people were counted.
        dropped: Frames left out because the gear could not keep up, or that left the stream before it took them.
        failed: Frames that could not be processed.
        pending: Frames that wait to be processed.
        people_mean: Mean number of what is counted over the frames processed; NaN without any, as are minimum and
            maximum, and if the counted class has changed meanwhile.
        people_seen: People (or what is counted) who were in view, each once, however long (docs/counting.md has more);
            None if the gear does not track, the first detections have left their stream, or the class has changed.
        steps_ms: By step, in pipeline order, and `total`.
        latency_ms: From capture to the detections being in Redis.
        seconds: From when the first frame that was processed was added, to the detections of the last.
        fps: Frames processed per second in that time.
        lines: By line of the scene the crossings in the time of these frames, by name of the direction.
        zones: By zone the mean and the maximum of the people in it, the stays that ended and their median in seconds.
        too_few_frames: When the model saw too few frames to follow people, so that people seen, crossings and stays are
            not reliable; None if that was never so.
        counted: What was counted: people, or objects of another class.
    """

    camera: str
    frames_in: int
    processed: int
    dropped: int
    failed: int
    pending: int
    people_mean: float
    people_min: float
    people_max: float
    people_seen: int | None
    steps_ms: dict[str, Statistics]
    latency_ms: Statistics
    seconds: float
    fps: float
    lines: dict[str, dict[str, int]] = field(default_factory=dict)
    zones: dict[str, dict[str, float]] = field(default_factory=dict)
    too_few_frames: TooFewFrames | None = None
    counted: Counted = PEOPLE

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it, NaN as None."""
        few = self.too_few_frames
        figures = {
            "camera": self.camera,
            "frames": {
                "in": self.frames_in,
                "processed": self.processed,
                "dropped": self.dropped,
                "failed": self.failed,
                "pending": self.pending,
            },
            **self.counted.fields,
            self.counted.series: {
                "mean": self.people_mean,
                "min": self.people_min,
                "max": self.people_max,
                "seen": self.people_seen,
            },
            "ms_per_step": {step: asdict(figures) for step, figures in self.steps_ms.items()},
            "latency_ms": asdict(self.latency_ms),
            "frames_per_second": self.fps,
            "processing_seconds": self.seconds,
            "lines": self.lines,
            "zones": self.zones,
            "too_few_frames": None if few is None else few.as_dict() | {"reason": few.reason(self.counted)},
        }
        return cast(dict[str, Any], _without_nan(figures))

    def __repr__(self) -> str:
        return (
            f"<Summary camera {self.camera}: {self.frames_in} frames in, {self.processed} processed, "
            f"{self.dropped} dropped, {self.failed} failed, {self.pending} pending; "
            f"{self.counted.plural} {self.people_mean:.2f} ({self.people_min:g} to {self.people_max:g})"
            f"{'' if self.people_seen is None else f', {self.people_seen} seen'}; "
            f"{'' if self.too_few_frames is None else f'NOT RELIABLE: {self.too_few_frames.reason(self.counted)}; '}"
            f"latency {self.latency_ms.median:.0f} ms, p95 {self.latency_ms.p95:.0f} ms; {self.fps:.1f} fps>"
        )


def summarize(client: redis.Redis, camera: object, captures: Iterable[str]) -> Summary:
    """Figures of the frames that some captures added, and of no others.

    Args:
        client: Connected to the server.
        camera: Camera id.
        captures: Ids of captures of this camera, as in `CaptureReport.capture`.

    Raises:
        NoDataError: there is no such capture, or the camera has no series.
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    ids = list(captures)
    records = find_captures(client, camera, ids=ids)
    if not records:
        raise NoDataError(f"camera {camera} has no capture {', '.join(ids) or 'at all'}: start one, and give its id")
    # In this order a frame that is processed meanwhile cannot pass for a dropped one.
    frames_in = sum(record.frames for record in records)
    pending = pending_frames(client, camera)
    refused = {_ref(entry) for entry in _entries_of(client, schema.errors_key(camera), records)}
    failed = max(len(refused), sum(record.refused for record in records))  # the oldest leave the stream
    found = [_Processed.read(entry) for entry in _entries_of(client, schema.detections_key(camera), records)]
    counted = list({each.ref: each for each in found}.values())  # one whose worker died may be there twice
    steps = {step: schema.step_series(step) for step in (*schema.STEPS, "total")}
    kinds = {each.counted for each in counted}
    what = max(counted, key=lambda each: each.stored_ms).counted if counted else counted_now(client)
    names = [what.series] if client.exists(schema.series_key(camera, what.series)) else [schema.PEOPLE]
    names += [schema.LATENCY, *steps.values()]
    without_entry = _time_without_entries(client, camera, counted, records)
    series = _series_at(client, camera, names, [each.ts_ms for each in counted], without_entry)
    begun = _begin(records)
    if without_entry:
        values = series[names[0]].values
        processed, started_ms = len(values), streams.time_ms(begun)
    else:
        values = np.array([each.people for each in counted], np.float64)
        processed, started_ms = len(counted), min((each.added_ms for each in counted), default=0)
    if len(kinds) > 1:  # a mean of people and cars says nothing
        values = np.full(processed, math.nan)
    seconds = (max(each.stored_ms for each in counted) - started_ms) / 1000 if counted else 0.0
    pending = min(pending, max(0, frames_in - processed - failed))
    times_ms = [each.ts_ms for each in counted]
    lines, zones = _scene_counts(client, camera, times_ms)
    few = too_few_frames(client, min(times_ms), max(times_ms), camera=schema.camera_id(camera)) if times_ms else {}
    return Summary(
        camera=schema.camera_id(camera),
        frames_in=frames_in,
        processed=processed,
        dropped=max(0, frames_in - processed - failed - pending),
        failed=failed,
        pending=pending,
        people_mean=float(values.mean()) if processed else math.nan,
        people_min=float(values.min()) if processed else math.nan,
        people_max=float(values.max()) if processed else math.nan,
        people_seen=None if without_entry or len(kinds) > 1 else _people_seen(counted),
        steps_ms={step: _statistics(series[name]) for step, name in steps.items()},
        latency_ms=_statistics(series[schema.LATENCY]),
        seconds=seconds,
        fps=processed / seconds if seconds else 0.0,
        lines=lines,
        zones=zones,
        too_few_frames=few.get(schema.camera_id(camera)),
        counted=what,
    )


def pending_frames(client: redis.Redis, camera: object) -> int:
    """Frames of a camera that the gear has not read, and those that it has read and not acknowledged."""
    key = schema.frames_key(camera)
    with server_errors(client):
        if not client.exists(key):
            return 0
        groups = cast(Iterable[dict[str, Any]], client.xinfo_groups(key))
        group = next((each for each in groups if each["name"] in (schema.GEAR_GROUP, schema.GEAR_GROUP.encode())), None)
        if group is None:
            return 0
        return _count_unread(client, key, group["last-delivered-id"].decode()) + int(group["pending"])


@dataclass(frozen=True)
class _Processed:
    """What a detection entry says about its frame."""

    ref: str
    ts_ms: int
    counted: Counted
    people: int
    tracks: tuple[int, ...] | None
    added_ms: int
    stored_ms: int

    @classmethod
    def read(cls, entry: Entry) -> Self:
        entry_id, fields = entry
        ref, stored_ms = _ref(entry), streams.time_ms(entry_id)
        added_ms = streams.time_ms(ref) if streams.is_id(ref) else stored_ms
        counted = counted_in(fields)
        return cls(
            ref=ref,
            ts_ms=streams.number(fields, schema.TS, added_ms),
            counted=counted,
            people=streams.number(fields, counted.series, 0),
            tracks=_ids(fields.get(schema.TRACKS.encode())),
            added_ms=added_ms,
            stored_ms=stored_ms,
        )


def _ids(text: bytes | None) -> tuple[int, ...] | None:
    """The ids of tracks in a detection entry; None if it has none, or none that can be read."""
    try:
        return tuple(map(int, json.loads(text or b"")))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def _people_seen(counted: list[_Processed]) -> int | None:
    ids = [each.tracks for each in counted]
    return None if None in ids or not ids else len({each for frame in ids if frame is not None for each in frame})


def _ref(entry: Entry) -> str:
    """Entry id of the frame that an answer of the gear belongs to."""
    return entry[1].get(schema.REF.encode(), b"").decode(errors="replace")


def _begin(records: list[CaptureRecord]) -> str:
    """Entry id of the first frame of some captures; empty if they have none."""
    return min((record.first_id for record in records if record.first_id), key=streams.id_order, default="")


def _entries_of(client: redis.Redis, key: str, records: list[CaptureRecord]) -> Iterator[Entry]:
    """The entries of a stream that belong to frames of some captures, a page at a time."""
    begun = _begin(records)
    at = begun.split("-")[0] if begun else "+"
    while page := streams.entries(client, key, start=at, count=1000):
        yield from (entry for entry in page if any(_is_of(entry, record) for record in records))
        at = f"({page[-1][0]}"


def _is_of(entry: Entry, record: CaptureRecord) -> bool:
    capture = entry[1].get(schema.CAPTURE.encode())
    if capture is not None:
        return capture.decode(errors="replace") == record.capture
    # a gear of the user's may not copy the id of the capture
    ref = _ref(entry)
    if not (streams.is_id(ref) and record.first_id and record.last_id):
        return False
    return streams.id_order(record.first_id) <= streams.id_order(ref) <= streams.id_order(record.last_id)


def _time_without_entries(
    client: redis.Redis, camera: object, counted: list[_Processed], records: list[CaptureRecord]
) -> range:
    """The milliseconds at the start of some captures whose detections have left their stream; mostly none.

    The stream keeps the newest 100,000 detections. The series keep their samples longer.
    """
    begun = _begin(records)
    key = schema.detections_key(camera)
    with server_errors(client):
        if not begun or not client.exists(key):
            return range(0)
        stream = client.xinfo_stream(key)
    first = stream["first-entry"]
    starts_before = first and streams.time_ms(first[0].decode()) < streams.time_ms(begun)
    if starts_before or stream["entries-added"] == stream["length"]:
        return range(0)
    started_ms = min(record.first_ms for record in records if record.first_id)
    return range(started_ms, min((each.ts_ms for each in counted), default=started_ms))


def _count_unread(client: redis.Redis, key: str, after: str) -> int:
    """How many entries of a stream come after an id.

    Frames are numbered, so that two of them tell. Not the consumer group's own lag: that counts, for ever, frames that
    were trimmed before anyone read them.
    """
    newest = streams.entries(client, key, count=1, newest_first=True)
    if not newest or streams.id_order(newest[0][0]) <= streams.id_order(after):
        return 0
    last_read = streams.entries(client, key, start=after, end=after)
    numbers = [streams.number(fields, schema.COUNT, 0) for _, fields in (*last_read, *newest)]
    if len(numbers) == 2 and numbers[0] and 0 < numbers[1] - numbers[0] <= client.xlen(key):
        return numbers[1] - numbers[0]
    count = 0
    while page := streams.entries(client, key, start=f"({after}", count=_PAGE):
        count += len(page)
        after = page[-1][0]
    return count


def _series_at(
    client: redis.Redis, camera: object, names: list[str], times_ms: list[int], whole: range
) -> dict[str, Series]:
    """Series with their samples at some times, and all those of a range, and no others."""
    every = [*times_ms, *([whole.start] if whole else [])]
    if not every:
        return read_many(client, camera, names, start_ms=0, end_ms=0)
    found = read_many(client, camera, names, start_ms=min(every), end_ms=max(every))
    chosen = {}
    for name, series in found.items():
        at = series.timestamps_ms
        own = np.isin(at, times_ms) | ((at >= whole.start) & (at < whole.stop))
        chosen[name] = replace(series, timestamps_ms=at[own], values=series.values[own])
    return chosen


def _scene_counts(
    client: redis.Redis, camera: object, times_ms: list[int]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """What was counted at lines and in zones from the first to the last of these times; nothing without a scene."""
    if not times_ms:
        return {}, {}
    span = {"start_ms": min(times_ms) - min(times_ms) % 1000, "end_ms": max(times_ms)}
    try:
        crossings, zones = read_crossings(client, camera, **span), read_zones(client, camera, **span)
    except SceneError:
        return {}, {}
    return {
        each.line: dict(zip((each.forward_name, each.backward_name), each.counts, strict=True)) for each in crossings
    }, {
        each.zone: {
            "people_mean": float(each.people.values.mean()) if len(each.people) else math.nan,
            "people_max": float(each.people.values.max()) if len(each.people) else math.nan,
            "stays": float(len(each.dwell)),
            "stay_median_s": _statistics(each.dwell).median,
        }
        for each in zones
    }


def _statistics(series: Series) -> Statistics:
    if not len(series):
        return Statistics(math.nan, math.nan)
    median, p95 = np.percentile(series.values, [50, 95])
    return Statistics(float(median), float(p95))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
