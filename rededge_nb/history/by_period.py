"""What a camera counted in each period of a time: `Camera.history` and `Camera.busiest`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema
from rededge_nb.analytics.pace import why_unreliable
from rededge_nb.errors import ConfigurationError
from rededge_nb.history.counts import Counts, first_ms, newest_ms, read_counts
from rededge_nb.history.periods import parse_period, period_edges
from rededge_nb.history.table import DataTable
from rededge_nb.time_zones import Moment, find_zone, moment_ms

_DEFAULT_LENGTH_MS = 24 * 3_600_000


def read_history(
    client: redis.Redis,
    camera: object,
    start: Moment | timedelta | None = None,
    end: Moment | None = None,
    *,
    every: str = "15min",
    time_zone: str | None = None,
) -> DataTable:
    """A table with a row for each period of a time.

    Its columns: `start` and `end` of the period; `people_mean`, `people_min` and `people_max` in view, or `count_mean`
    and so on if the model in use counts objects of another class; `seen`, the
    people who were seen for the first time; for each line `line:<name>:forward` and `:backward`, the crossings; for
    each zone `zone:<name>:people_mean`, `:people_max`, `:stays` that ended, `:stay_mean_s` and `:stay_max_s`;
    `too_few_frames`, the frames a second that the model saw where these were too few to follow people, so that `seen`,
    crossings and stays are not reliable, and NaN where they were enough; and `source`, which says whether the figures
    come from single samples, from compactions of a minute, or have expired.
    Missing figures are NaN: no frame was processed then.

    Args:
        client: Connected to the server.
        camera: Camera id.
        start: Its beginning, or how long before the end; default: a day before the end; without an end,
            the minute of the first sample of that day.
        end: Its end, which is not part of it; default: just after the newest sample.
        every: Length of a period: `10s`, `15min`, `1h`, `1d` or `1w`. Days begin at midnight, weeks on Monday.
        time_zone: Name of the time zone, such as `Europe/Berlin`; default: that of this computer.

    Raises:
        NoDataError: the camera has no series, or no samples and no end was given.
        ConfigurationError: a time, the period or the time zone is wrong; or a period has parts of minutes, and only
            compactions are left of it.
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    zone = find_zone(time_zone)
    start_ms, end_ms = time_span(client, camera, start, end, zone)
    counts = read_counts(client, camera, period_edges(start_ms, end_ms, parse_period(every), zone))
    what = "" if counts.counted.is_people else f", {counts.counted.plural}"
    return history_table(counts, zone, f"camera {schema.camera_id(camera)}{what}, every {every}")


def time_span(
    client: redis.Redis, camera: object, start: Moment | timedelta | None, end: Moment | None, zone: ZoneInfo
) -> tuple[int, int]:
    """Start and end in milliseconds; see `read_history`."""
    end_ms = newest_ms(client, camera) + 1 if end is None else moment_ms(end, zone)
    if start is None:
        day_before_ms = end_ms - _DEFAULT_LENGTH_MS
        if end is not None:
            return day_before_ms, end_ms
        # A recording of a minute is no day of empty rows. What is counted by the second is stored at its beginning.
        first = first_ms(client, camera, day_before_ms)
        return max(day_before_ms, first - first % schema.MINUTE_MS), end_ms
    if isinstance(start, timedelta):
        return end_ms - round(1000 * start.total_seconds()), end_ms
    return moment_ms(start, zone), end_ms


def history_table(counts: Counts, zone: ZoneInfo, title: str) -> DataTable:
    """Counts as a table."""
    edges = counts.edges_ms.astype("datetime64[ms]")
    columns: dict[str, NDArray[Any]] = {"start": edges[:-1], "end": edges[1:]}
    few = counts.figures[schema.TOO_FEW_FRAMES]
    note = "" if np.isnan(few).all() else f"{_periods(few)}: {why_unreliable(float(np.nanmin(few)), counts.counted)}"
    return DataTable({**columns, **counts.figures, "source": counts.sources}, zone, title=title, note=note)


def _periods(few: NDArray[np.float64]) -> str:
    number = int((~np.isnan(few)).sum())
    return f"in {number} of {len(few)} periods, see the column {schema.TOO_FEW_FRAMES}"


def busiest_periods(history: DataTable, *, by: str | None = None, count: int = 5) -> DataTable:
    """The rows of a history with the largest figures, the largest first; of equal ones the earlier is first.

    Args:
        history: Such as `read_history` returns.
        by: The column that decides; default: the mean number in view, `people_mean` or `count_mean`.
        count: Number of rows at most; periods without a figure are left out.

    Raises:
        ConfigurationError: there is no such column of numbers.
    """
    numbers = [name for name in history.columns if history[name].dtype.kind == "f"]
    by = mean_column(history) if by is None else by
    if by not in numbers:
        raise ConfigurationError(f"by={by!r} is no column of figures: take one of {', '.join(numbers)}")
    values = history[by]
    order = np.argsort(-values, kind="stable")  # NaN comes last
    return history.take(order[: min(count, int((~np.isnan(values)).sum()))])


def mean_column(history: DataTable) -> str:
    """The column of a history with the mean number in view: `people_mean`, or `count_mean` of another class."""
    other = f"{schema.OTHER_COUNT}_mean"
    return other if other in history.columns else f"{schema.PEOPLE}_mean"
