"""How many people were seen for the first time, by camera."""

from __future__ import annotations

from datetime import datetime

import redis

from rededge_nb import schema
from rededge_nb.reading.series import samples_with_labels

_EVERYTHING_MS = 1000 * 365 * 24 * 60 * schema.MINUTE_MS


def seen_since(client: redis.Redis, start_ms: int, now_ms: int, *, camera: str | None = None) -> dict[str, int]:
    """People who were seen for the first time since then, by camera; cameras that have no sample are missing.

    What is later than the present does not count, such as a recording whose times lie in the future.

    Args:
        client: Connected to the server.
        start_ms: Milliseconds since the epoch; the minute that it is in is counted as a whole.
        now_ms: The server's time.
        camera: Only this camera.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    name = schema.compaction_name("sum", schema.SUM_MINUTES[0], series=schema.SEEN)
    start_ms -= start_ms % schema.MINUTE_MS
    return _sums(client, name, start_ms, camera, now_ms + schema.CLOCK_SLACK_MS)


def seen_between(client: redis.Redis, start_ms: int, end_ms: int, *, camera: str) -> int | None:
    """People who were seen for the first time between two times, as those of a recording; None without samples.

    Args:
        client: Connected to the server.
        start_ms: Milliseconds since the epoch; the second that it is in is counted as a whole.
        end_ms: Milliseconds since the epoch, included.
        camera: Camera id.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    return _sums(client, schema.SEEN, start_ms // 1000 * 1000, camera, end_ms).get(camera)


def different_since(client: redis.Redis, start_ms: int, now_ms: int, *, camera: str) -> int | None:
    """The estimate of how many different people they were; None if the gear does not make it (its setting `different`).

    Args:
        client: Connected to the server.
        start_ms: Milliseconds since the epoch; at most a day ago, because the samples are kept so long.
        now_ms: The server's time.
        camera: Camera id.

    Raises:
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    end_ms = now_ms + schema.CLOCK_SLACK_MS
    return _sums(client, schema.DIFFERENT, start_ms // 1000 * 1000, camera, end_ms).get(camera)


def _sums(client: redis.Redis, name: str, start_ms: int, camera: str | None, end_ms: int) -> dict[str, int]:
    chosen = ["FILTER", f"__name__={name}", *([] if camera is None else [f"camera={camera}"])]
    found = samples_with_labels(client, start_ms, end_ms, "AGGREGATION", "sum", _EVERYTHING_MS, *chosen)
    return {labels["camera"]: round(sum(value for _, value in points)) for _, labels, points in found if points}


def midnight_ms(now_ms: int) -> int:
    """When the day began, in the time zone of this process."""
    now = datetime.fromtimestamp(now_ms / 1000).astimezone()
    return round(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
