"""The rows of an export, some thousand at a time, so that the memory does not grow with the time that is exported.

Each function yields parts of a table, as arrays by column, with the share of the work that is done then. There is at
least one part, which may have no rows, so that an export always has its columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema, streams
from rededge_nb.errors import NoDataError
from rededge_nb.history.by_period import history_table
from rededge_nb.history.counts import read_counts
from rededge_nb.history.periods import Period, period_edges
from rededge_nb.reading.series import call
from rededge_nb.reading.tracks import Track, parse_track, people_in_view

Part = tuple[dict[str, NDArray[Any]], float]
"""Arrays of the same length by column, and the share that is done, 0 to 1."""

_PERIODS = 5000
_SAMPLES = 20_000
_TRACKS = 500
_COMPACTION = re.compile(r".*:[a-z]+:\d+m")


def count_rows(
    client: redis.Redis, camera: object, start_ms: int, end_ms: int, period: Period, zone: ZoneInfo
) -> Iterator[Part]:
    """A row for each period, with the columns of `by_period.read_history`."""
    edges = period_edges(start_ms, end_ms, period, zone)
    for first in range(0, len(edges) - 1, _PERIODS):
        part = history_table(read_counts(client, camera, edges[first : first + _PERIODS + 1]), zone, "")
        yield {name: part[name] for name in part.columns}, min(1.0, (first + _PERIODS) / (len(edges) - 1))


def sample_rows(
    client: redis.Redis, camera: object, start_ms: int, end_ms: int, names: Sequence[str] = ()
) -> Iterator[Part]:
    """A row for each sample: `series`, the key without that of the camera; `time`; and `value`.

    Args:
        client: Connected to the server.
        camera: Camera id.
        start_ms: First time.
        end_ms: Time after the last one.
        names: Series such as `people` or `line:door:forward`; default: all that are not compactions.

    Raises:
        NoDataError: there is no such series.
    """
    prefix = schema.series_key(camera, "")
    existing = {
        _text(key).removeprefix(prefix) for key in call(client, "TS.QUERYINDEX", f"camera={schema.camera_id(camera)}")
    }
    chosen = list(names) or sorted(name for name in existing if not _COMPACTION.fullmatch(name))
    if missing := [name for name in chosen if name not in existing]:
        raise NoDataError(f"camera {camera} has no series {', '.join(missing)}; it has {', '.join(sorted(existing))}")
    yield _sample_part("", []), 0.0
    for number, name in enumerate(chosen):
        at = start_ms
        while samples := call(client, "TS.RANGE", prefix + name, at, end_ms - 1, "COUNT", _SAMPLES):
            at = int(samples[-1][0]) + 1
            yield _sample_part(name, samples), (number + (at - start_ms) / (end_ms - start_ms)) / len(chosen)


def track_rows(client: redis.Redis, camera: object, start_ms: int, end_ms: int) -> Iterator[Part]:
    """A row for each point of each path: `track`, `time`, `x` and `y` from 0 to 1 of the frame's width and height.

    The people are those who were in view at any time from start to end, each with the whole path.
    """
    name, key = schema.camera_id(camera), schema.tracks_key(camera)
    at, total, done = "-", max(1, client.xlen(key)), 0
    # the newest first: whoever leaves while this reads is in the stream then, and not lost between the two
    in_view = list(people_in_view(client, name))
    left: set[int] = set()
    while page := streams.entries(client, key, start=at, count=_TRACKS):
        tracks = [parse_track(name, entry) for entry in page]
        left |= {each.id for each in tracks}
        done += len(page)
        yield _track_part(tracks, start_ms, end_ms), min(1.0, done / total)
        at = f"({page[-1][0]}"
    yield _track_part([each for each in in_view if each.id not in left], start_ms, end_ms), 1.0


def _sample_part(name: str, samples: Sequence[Any]) -> dict[str, NDArray[Any]]:
    return {
        "series": np.full(len(samples), name, object),
        "time": np.array([int(at) for at, _ in samples], np.int64).astype("datetime64[ms]"),
        "value": np.array([float(value) for _, value in samples], np.float64),
    }


def _track_part(tracks: Sequence[Track], start_ms: int, end_ms: int) -> dict[str, NDArray[Any]]:
    chosen = [each for each in tracks if each.last_ms >= start_ms and each.first_ms < end_ms]
    paths = np.concatenate([np.empty((0, 2)), *(each.path for each in chosen)])
    times = [np.empty(0, np.int64), *(each.times_ms for each in chosen)]
    return {
        "track": np.repeat(np.array([each.id for each in chosen], np.int64), [len(each.path) for each in chosen]),
        "time": np.concatenate(times).astype("datetime64[ms]"),
        "x": paths[:, 0],
        "y": paths[:, 1],
    }


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
