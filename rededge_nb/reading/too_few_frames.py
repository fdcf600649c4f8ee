"""When the model saw too few frames of a camera to follow people, so that figures which depend on that are wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.analytics.counted import Counted
from rededge_nb.analytics.pace import why_unreliable
from rededge_nb.reading.series import newest_times, samples_with_labels

UNRELIABLE = "not reliable: too few frames"
"""What titles and images say where there is no room for more."""

_BUCKET_MS = 10_000
_BUCKETS_MOST = 1000
_MINUTES = schema.compaction_name("min", 1, series=schema.TOO_FEW_FRAMES)
"""The series that outlasts the single samples."""


@dataclass(frozen=True)
class TooFewFrames:
    """A time in which people moved, and were not followed reliably.

    Attributes:
        first_ms: When that was first so, in milliseconds since the epoch, to a few seconds.
        last_ms: When it was last so.
        fps: Frames a second that the model saw at the worst.
    """

    first_ms: int
    last_ms: int
    fps: float

    def reason(self, counted: Counted) -> str:
        """What is wrong and why, in one sentence without a full stop."""
        return why_unreliable(self.fps, counted)

    @property
    def words(self) -> str:
        """The same in short."""
        return f"not reliable: the model saw {self.fps:.1f} frames a second, too few"

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {"first_ms": self.first_ms, "last_ms": self.last_ms, "frames_per_second": round(self.fps, 2)}


def too_few_frames(
    client: redis.Redis, start_ms: int, end_ms: int | None = None, *, camera: str | None = None
) -> dict[str, TooFewFrames]:
    """By camera when people could not be followed; cameras with enough frames are missing.

    Args:
        client: Connected to the server.
        start_ms: First time in milliseconds since the epoch. Where Redis has given up the single samples, after a day,
            the minutes of the first and of the last time are taken as a whole.
        end_ms: Last time; default: no limit.
        camera: Only this camera.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    span_ms = schema.RAW_RETENTION_MS if end_ms is None else end_ms - start_ms
    found = too_few_times(client, start_ms, end_ms, camera=camera, least_ms=span_ms // _BUCKETS_MOST)
    return {name: whole for name, times in found.items() if (whole := together(times)) is not None}


def too_few_times(
    client: redis.Redis, start_ms: int, end_ms: int | None = None, *, camera: str | None = None, least_ms: int = 0
) -> dict[str, list[TooFewFrames]]:
    """The same in parts of ten seconds, or of a minute where the single samples are gone, in order.

    Other arguments and errors are those of `too_few_frames`.

    Args:
        client: Connected to the server.
        start_ms: First time in milliseconds since the epoch.
        end_ms: Last time; default: no limit.
        camera: Only this camera.
        least_ms: Parts are about as long as this, if that is longer.
    """
    start_ms = max(0, start_ms)
    found = _parts(client, schema.TOO_FEW_FRAMES, start_ms, end_ms, camera, _length(least_ms, _BUCKET_MS))
    minutes_from = start_ms - start_ms % schema.MINUTE_MS
    minutes = _parts(client, _MINUTES, minutes_from, end_ms, camera, _length(least_ms, schema.MINUTE_MS))
    newest_ms = newest_times(client, f"__name__={schema.TOO_FEW_FRAMES}") if minutes else {}
    for name, parts in minutes.items():
        key = schema.series_key(name, schema.TOO_FEW_FRAMES)
        samples_from = newest_ms[key] - schema.RAW_RETENTION_MS if key in newest_ms else parts[-1].last_ms
        older = [each for each in parts if each.first_ms < samples_from] if start_ms < samples_from else []
        if older:
            found[name] = [*older, *found.get(name, [])]
    return found


def together(times: Iterable[TooFewFrames]) -> TooFewFrames | None:
    """One time from the first to the last of some, with the worst rate; None if there are none."""
    parts = list(times)
    if not parts:
        return None
    first, last = min(each.first_ms for each in parts), max(each.last_ms for each in parts)
    return TooFewFrames(first, last, min(each.fps for each in parts))


def doubt(times: Iterable[TooFewFrames | None]) -> str:
    """What the title of something says if there was such a time for a part of it; else empty."""
    return f" ({UNRELIABLE})" if any(times) else ""


def _parts(
    client: redis.Redis, series: str, start_ms: int, end_ms: int | None, camera: str | None, bucket_ms: int
) -> dict[str, list[TooFewFrames]]:
    """The parts that one series knows."""
    words = ["ALIGN", start_ms, "AGGREGATION", "min", bucket_ms, "FILTER", f"__name__={series}"]
    words += [] if camera is None else [f"camera={camera}"]
    found = samples_with_labels(client, start_ms, "+" if end_ms is None else end_ms, *words)
    return {
        labels["camera"]: [TooFewFrames(at_ms, at_ms + bucket_ms, value) for at_ms, value in points]
        for _, labels, points in found
        if points
    }


def _length(least_ms: int, unit_ms: int) -> int:
    """A multiple of a unit that is about as long as `least_ms`."""
    return unit_ms * max(1, least_ms // unit_ms)
