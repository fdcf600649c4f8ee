"""When the model saw too few frames of a camera to follow people, so that figures which depend on that are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.analytics.counted import Counted
from rededge_nb.analytics.pace import why_unreliable
from rededge_nb.reading.series import samples_with_labels

_BUCKET_MS = 10_000
_BUCKETS_MOST = 1000


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

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {"first_ms": self.first_ms, "last_ms": self.last_ms, "frames_per_second": round(self.fps, 2)}


def too_few_frames(
    client: redis.Redis, start_ms: int, end_ms: int | None = None, *, camera: str | None = None
) -> dict[str, TooFewFrames]:
    """By camera when people could not be followed; cameras with enough frames are missing.

    Args:
        client: Connected to the server.
        start_ms: First time in milliseconds since the epoch; what is older than a day has been given up by Redis.
        end_ms: Last time; default: no limit.
        camera: Only this camera.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    start_ms = max(0, start_ms)
    span_ms = schema.RAW_RETENTION_MS if end_ms is None else end_ms - start_ms
    bucket_ms = max(_BUCKET_MS, span_ms // _BUCKETS_MOST)
    words = ["ALIGN", start_ms, "AGGREGATION", "min", bucket_ms, "FILTER", f"__name__={schema.TOO_FEW_FRAMES}"]
    words += [] if camera is None else [f"camera={camera}"]
    found = samples_with_labels(client, start_ms, "+" if end_ms is None else end_ms, *words)
    return {
        labels["camera"]: TooFewFrames(points[0][0], points[-1][0] + bucket_ms, min(value for _, value in points))
        for _, labels, points in found
        if points
    }
