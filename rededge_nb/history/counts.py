"""Counts of a camera by period, from single samples while Redis keeps them, and from compactions after that.

Redis keeps samples of single frames for a day, and compactions of a minute for 90 days. A period that begins before the
oldest sample is answered by the compactions of one minute. Sums are the same; a mean of people is then the mean of the
minutes' means, so a minute with few frames counts as much as one with many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema
from rededge_nb.analytics.counted import PEOPLE, Counted
from rededge_nb.analytics.scene import Scene
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.history.periods import equal_runs
from rededge_nb.reading.counted import counted_now
from rededge_nb.reading.scenes import read_scene
from rededge_nb.reading.series import call, samples_with_labels, series_info

Floats = NDArray[np.float64]

SAMPLES = "samples"
"""In the column `source`: from the samples of single frames and seconds."""
MINUTES = "1-minute compactions"
"""In the column `source`: from the compactions of one minute."""
EXPIRED = "expired"
"""In the column `source`: older than what Redis keeps, so all figures are missing."""

_MINUTE_MS = schema.MINUTE_MS


@dataclass(frozen=True)
class _Figure:
    """A column: how it is computed from samples, and how from compactions of a minute."""

    column: str
    series: str
    aggregation: str
    compaction: str
    of_minutes: str


_OTHER_FIGURES = (
    _Figure("seen", schema.SEEN, "sum", "sum", "sum"),
    _Figure(schema.TOO_FEW_FRAMES, schema.TOO_FEW_FRAMES, "min", "min", "min"),
    _Figure("forward", "line_forward", "sum", "sum", "sum"),
    _Figure("backward", "line_backward", "sum", "sum", "sum"),
    _Figure("people_mean", "zone_people", "avg", "avg", "avg"),
    _Figure("people_max", "zone_people", "max", "max", "max"),
    _Figure("stays", "zone_dwell", "count", "count", "sum"),
    _Figure("stay_sum_s", "zone_dwell", "sum", "sum", "sum"),
    _Figure("stay_max_s", "zone_dwell", "max", "max", "max"),
)
_COUNTS = ("seen", "forward", "backward", "stays")
"""Where frames were processed and these have no sample, nothing happened: 0."""


@dataclass(frozen=True)
class Counts:
    """What was counted in each of some periods.

    Attributes:
        edges_ms: int64 of shape (n + 1,): where the periods begin, and where the last one ends.
        figures: float64 of shape (n,) by name of the column; NaN where nothing is known.
        sources: `SAMPLES`, `MINUTES` or `EXPIRED`, one for each period.
        scene: The lines and zones that were drawn when this was read.
        counted: What the model counted when this was read. What was counted of another class before is left out.
    """

    edges_ms: NDArray[np.int64]
    figures: dict[str, Floats]
    sources: NDArray[Any]
    scene: Scene
    counted: Counted = PEOPLE


def read_counts(client: redis.Redis, camera: object, edges_ms: NDArray[np.int64]) -> Counts:
    """Read what was counted between each two edges.

    Args:
        client: Connected to the server.
        camera: Camera id.
        edges_ms: Where periods begin and end, in milliseconds since the epoch. Where only compactions are left, the
            first and the last edge are moved outwards to whole minutes.

    Raises:
        NoDataError: the camera has no series.
        ConfigurationError: a period has parts of minutes, and only compactions are left of it.
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    counted = counted_now(client)
    figures_wanted = _figures(counted)
    samples_from, minutes_from = _oldest_ms(client, camera, counted)
    edges, from_samples = _fit_to_minutes(edges_ms, samples_from, camera)
    scene = read_scene(client, camera)
    columns = list(_column_names(scene, counted))
    figures = {column: np.full(len(edges) - 1, np.nan) for column in columns}
    existing: dict[bool, set[str]] = {False: set(), True: set()}
    for minutes, first, last in ((True, 0, from_samples), (False, from_samples, len(edges) - 1)):
        for start, end in equal_runs(edges[first : last + 1]) if last > first else ():
            run = edges[first + start : first + end + 1]
            for column, at, values in _read_run(client, camera, run, minutes, figures_wanted):
                existing[minutes].add(column)
                if column in figures:
                    figures[column][first + start + at] = values
    sources = np.array([MINUTES] * from_samples + [SAMPLES] * (len(edges) - 1 - from_samples), object)
    sources[edges[1:] <= minutes_from] = EXPIRED
    _fill_zeros(figures, existing, from_samples, counted)
    return Counts(edges, _with_mean_stays(figures), sources, scene, counted)


def _figures(counted: Counted) -> tuple[_Figure, ...]:
    name = counted.series
    each_frame = ((f"{name}_{suffix}", way) for suffix, way in (("mean", "avg"), ("min", "min"), ("max", "max")))
    return (*(_Figure(column, name, way, way, way) for column, way in each_frame), *_OTHER_FIGURES)


def _oldest_ms(client: redis.Redis, camera: object, counted: Counted) -> tuple[int, int]:
    """From when on Redis has samples, and from when on compactions of a minute."""
    found = []
    for key in (
        schema.series_key(camera, counted.series),
        schema.compaction_key(camera, "avg", 1, series=counted.series),
    ):
        with server_errors(client):
            if not client.exists(key):
                raise _no_series(camera, key, counted)
        info = series_info(client, key)
        retention_ms = int(info["retentionTime"])
        found.append(max(0, int(info["lastTimestamp"]) - retention_ms) if retention_ms else 0)
    return found[0], found[1]


def _no_series(camera: object, key: str, counted: Counted) -> NoDataError:
    if counted.is_people:
        return NoDataError(f"camera {camera} has no series {key}: create them with `rededge init --camera {camera}`")
    return NoDataError(
        f"camera {camera} has no series {key}: the model in use counts {counted.plural}, and no frame was processed "
        "with it yet"
    )


def _fit_to_minutes(edges: NDArray[np.int64], samples_from: int, camera: object) -> tuple[NDArray[np.int64], int]:
    """The edges that can be answered, and the index of the first period that samples answer."""
    first = int(np.searchsorted(edges, samples_from))
    if first == 0:
        return edges, 0
    fitted = edges.copy()
    fitted[0] -= fitted[0] % _MINUTE_MS
    if first >= len(edges) - 1:
        fitted[-1] += -fitted[-1] % _MINUTE_MS
        first = len(edges) - 1
    if (fitted[: first + 1] % _MINUTE_MS).any():
        raise ConfigurationError(
            f"camera {camera} has no samples of single frames from before "
            f"{np.datetime64(samples_from, 'ms')} UTC any more, only minutes: ask for periods of whole minutes"
        )
    return fitted, first


def _read_run(
    client: redis.Redis, camera: object, edges: NDArray[np.int64], minutes: bool, figures: tuple[_Figure, ...]
) -> Iterator[tuple[str, NDArray[np.int64], Floats]]:
    """The columns of some periods of the same length: name, index of each period with a value, and the values."""
    start, end, length = int(edges[0]), int(edges[-1]), int(edges[1] - edges[0])
    for aggregation in dict.fromkeys(each.of_minutes if minutes else each.aggregation for each in figures):
        chosen = {
            (f"{each.series}_{each.compaction}_1m" if minutes else each.series): each
            for each in figures
            if (each.of_minutes if minutes else each.aggregation) == aggregation
        }
        words = ("ALIGN", start, "AGGREGATION", aggregation, length)
        names = f"__name__=({','.join(chosen)})"
        filters = ("FILTER", f"camera={schema.camera_id(camera)}", names)
        for _, labels, samples in samples_with_labels(client, start, end - 1, *words, *filters):
            figure = chosen[labels["__name__"]]
            times = np.array([at for at, _ in samples], np.int64)
            values = np.array([value for _, value in samples], np.float64)
            yield _column(figure, labels), (times - start) // length, values


def _column(figure: _Figure, labels: dict[str, str]) -> str:
    for kind in ("line", "zone"):
        if kind in labels:
            return f"{kind}:{labels[kind]}:{figure.column}"
    return figure.column


def _column_names(scene: Scene, counted: Counted) -> Iterator[str]:
    yield from (*(f"{counted.series}_{what}" for what in ("mean", "min", "max")), "seen")
    for line in scene.lines:
        yield from (f"line:{line.name}:forward", f"line:{line.name}:backward")
    for zone in scene.zones:
        names = ("people_mean", "people_max", "stays", "stay_sum_s", "stay_max_s")
        yield from (f"zone:{zone.name}:{name}" for name in names)
    yield schema.TOO_FEW_FRAMES


def _fill_zeros(
    figures: dict[str, Floats], existing: dict[bool, set[str]], from_samples: int, counted: Counted
) -> None:
    """Where frames were processed, a count without a sample is 0, if there is such a series at all."""
    known = ~np.isnan(figures[f"{counted.series}_mean"])
    for column, values in figures.items():
        if column.rpartition(":")[2] in _COUNTS:
            for part, minutes in ((slice(0, from_samples), True), (slice(from_samples, None), False)):
                if column in existing[minutes]:
                    values[part] = np.where(known[part] & np.isnan(values[part]), 0.0, values[part])


def _with_mean_stays(figures: dict[str, Floats]) -> dict[str, Floats]:
    """The columns with the mean of the stays in place of their sum."""
    finished = {}
    for column, values in figures.items():
        if column.endswith(":stay_sum_s"):
            zone = column.removesuffix(":stay_sum_s")
            stays = figures[f"{zone}:stays"]
            column = f"{zone}:stay_mean_s"
            values = np.divide(values, stays, out=np.full(len(values), np.nan), where=stays > 0)
        finished[column] = values
    return finished


def newest_ms(client: redis.Redis, camera: object) -> int:
    """Time of the camera's newest count, of what the model in use counts.

    Raises:
        NoDataError: it has none, or no series.
    """
    reply = call(client, "TS.GET", _key_of_counts(client, camera))
    if not reply:
        raise NoDataError(
            f"camera {camera} has no samples: start a capture (`rededge capture SOURCE --camera {camera}`)"
        )
    return int(reply[0])


def first_ms(client: redis.Redis, camera: object, start_ms: int) -> int:
    """Time of the camera's first count from `start_ms` on; `start_ms` if it has none.

    Raises:
        NoDataError: the camera has no series.
    """
    reply = call(client, "TS.RANGE", _key_of_counts(client, camera), max(0, start_ms), "+", "COUNT", 1)
    return int(reply[0][0]) if reply else start_ms


def _key_of_counts(client: redis.Redis, camera: object) -> str:
    counted = counted_now(client)
    key = schema.series_key(camera, counted.series)
    with server_errors(client):
        if not client.exists(key):
            raise _no_series(camera, key, counted)
    return key
