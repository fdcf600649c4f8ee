"""Figures of a stretch of processing: what went in, what came out, how long it took."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import redis

from rededge_nb import schema
from rededge_nb.edge.client import server_errors
from rededge_nb.reading.series import Series, read_many

_COUNT_UNREAD = """
local unread, last = 0, ARGV[1]
repeat
  local entries = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 16)
  unread = unread + #entries
  last = #entries > 0 and entries[#entries][1] or last
until #entries == 0
return unread
"""
"""How many entries of a stream come after an id. Counted in the server, a few at a time: the entries are images."""


@dataclass(frozen=True)
class Marker:
    """The moment from which on `summarize` counts.

    Attributes:
        time_ms: The server's time, milliseconds since the epoch.
        frames_added: Frames ever added to the camera's stream by then.
        errors_added: Frames that had failed by then.
    """

    camera: str
    time_ms: int
    frames_added: int
    errors_added: int


@dataclass(frozen=True)
class Statistics:
    """Median and 95th percentile, in milliseconds; NaN where nothing was measured."""

    median: float
    p95: float


@dataclass(frozen=True)
class Summary:
    """What became of the frames since a marker.

    Attributes:
        frames_in: Frames added to the stream.
        processed: Frames with a sample in the series `people`.
        dropped: Frames left out because the gear could not keep up, or that left the stream before it took them.
        failed: Frames that could not be processed.
        pending: Frames that wait to be processed.
        people_mean: Mean over the frames processed; NaN without any, as are minimum and maximum.
        steps_ms: By step, in pipeline order, and `total`.
        latency_ms: From capture to the detections being in Redis.
        seconds: From the capture of the first frame that was processed to the detections of the last.
        fps: Frames processed per second in that time.
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
    steps_ms: dict[str, Statistics]
    latency_ms: Statistics
    seconds: float
    fps: float

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it, NaN as None."""
        figures = {
            "camera": self.camera,
            "frames": {
                "in": self.frames_in,
                "processed": self.processed,
                "dropped": self.dropped,
                "failed": self.failed,
                "pending": self.pending,
            },
            "people": {"mean": self.people_mean, "min": self.people_min, "max": self.people_max},
            "ms_per_step": {step: asdict(figures) for step, figures in self.steps_ms.items()},
            "latency_ms": asdict(self.latency_ms),
            "frames_per_second": self.fps,
            "processing_seconds": self.seconds,
        }
        return cast(dict[str, Any], _without_nan(figures))

    def __repr__(self) -> str:
        return (
            f"<Summary camera {self.camera}: {self.frames_in} frames in, {self.processed} processed, "
            f"{self.dropped} dropped, {self.failed} failed, {self.pending} pending; "
            f"people {self.people_mean:.2f} ({self.people_min:g} to {self.people_max:g}); "
            f"latency {self.latency_ms.median:.0f} ms, p95 {self.latency_ms.p95:.0f} ms; {self.fps:.1f} fps>"
        )


def start_marker(client: redis.Redis, camera: object) -> Marker:
    """Note where a camera's streams stand now."""
    with server_errors(client):
        seconds, microseconds = client.time()
    return Marker(
        camera=schema.camera_id(camera),
        time_ms=seconds * 1000 + microseconds // 1000,
        frames_added=_added(client, schema.frames_key(camera)),
        errors_added=_added(client, schema.errors_key(camera)),
    )


def summarize(client: redis.Redis, camera: object, marker: Marker) -> Summary:
    """Figures of a camera since `marker`, which must be one of the same camera.

    Raises:
        NoDataError: the camera has no series.
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    # In this order a frame that is processed meanwhile cannot pass for a dropped one.
    frames_in = _added(client, schema.frames_key(camera)) - marker.frames_added
    pending = _pending(client, schema.frames_key(camera))
    failed = _added(client, schema.errors_key(camera)) - marker.errors_added
    steps = {step: schema.step_series(step) for step in (*schema.STEPS, "total")}
    names = [schema.PEOPLE, schema.LATENCY, *steps.values()]
    series = read_many(client, camera, names, start_ms=marker.time_ms)
    people = series[schema.PEOPLE]
    seconds = _seconds(people, series[schema.LATENCY])
    return Summary(
        camera=schema.camera_id(camera),
        frames_in=frames_in,
        processed=len(people),
        dropped=max(0, frames_in - len(people) - failed - pending),
        failed=failed,
        pending=pending,
        people_mean=float(people.values.mean()) if len(people) else math.nan,
        people_min=float(people.values.min()) if len(people) else math.nan,
        people_max=float(people.values.max()) if len(people) else math.nan,
        steps_ms={step: _statistics(series[name]) for step, name in steps.items()},
        latency_ms=_statistics(series[schema.LATENCY]),
        seconds=seconds,
        fps=len(people) / seconds if seconds else 0.0,
    )


def _added(client: redis.Redis, key: str) -> int:
    with server_errors(client):
        if not client.exists(key):
            return 0
        return int(client.xinfo_stream(key)["entries-added"])


def _pending(client: redis.Redis, key: str) -> int:
    """Frames that the gear has not been given, and those it was given and has not acknowledged."""
    with server_errors(client):
        if not client.exists(key):
            return 0
        groups = cast(Iterable[dict[str, Any]], client.xinfo_groups(key))
        group = next((each for each in groups if each["name"] in (schema.GEAR_GROUP, schema.GEAR_GROUP.encode())), None)
        if group is None:
            return 0
        # Not the group's own lag: that counts, for ever, frames that were trimmed before anyone read them.
        unread: Any = client.eval(_COUNT_UNREAD, 1, key, group["last-delivered-id"])
        return int(unread) + int(group["pending"])


def _seconds(people: Series, latency: Series) -> float:
    if not len(people):
        return 0.0
    last = float(people.timestamps_ms[-1]) + (latency.latest if len(latency) else 0.0)
    return (last - float(people.timestamps_ms[0])) / 1000


def _statistics(series: Series) -> Statistics:
    if not len(series):
        return Statistics(math.nan, math.nan)
    median, p95 = np.percentile(series.values, [50, 95])
    return Statistics(float(median), float(p95))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
