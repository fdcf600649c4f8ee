"""How many people were seen for the first time, by camera."""

from __future__ import annotations

from datetime import datetime

import redis

from rededge_nb import schema
from rededge_nb.reading.series import samples_with_labels

_EVERYTHING_MS = 1000 * 365 * 24 * 60 * schema.MINUTE_MS


def seen_since(client: redis.Redis, start_ms: int, *, camera: str | None = None) -> dict[str, int]:
    """People who were seen for the first time since then, by camera; cameras that have no sample are missing.

    Args:
        client: Connected to the server.
        start_ms: Milliseconds since the epoch; the minute that it is in is counted as a whole.
        camera: Only this camera.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    name = schema.compaction_name("sum", schema.SUM_MINUTES[0], series=schema.SEEN)
    start_ms -= start_ms % schema.MINUTE_MS
    words = (
        "AGGREGATION",
        "sum",
        _EVERYTHING_MS,
        "FILTER",
        f"__name__={name}",
        *([f"camera={camera}"] if camera is not None else []),
    )
    found = samples_with_labels(client, start_ms, "+", *words)
    return {labels["camera"]: round(sum(value for _, value in points)) for _, labels, points in found if points}


def midnight_ms(now_ms: int) -> int:
    """When the day began, in the time zone of this process."""
    now = datetime.fromtimestamp(now_ms / 1000).astimezone()
    return round(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
