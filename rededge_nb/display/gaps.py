"""Gaps in time series: a line through a time without samples would be invented data.

Plots and live charts (charts_plot.js) use the same rule: two samples are connected if the time between them is at most
four times the usual one, and at most two seconds where samples are more frequent.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rededge_nb.reading.series import Series

MIN_GAP_MS = 2_000.0
"""A shorter time without samples is never a gap."""
ZERO_GAP_S = 10
"""Seconds without frames up to which they count as zero frames per second; a longer time is a gap."""

Floats = NDArray[np.float64]


def longest_step(timestamps_ms: NDArray[np.int64], bucket_ms: int | None = None) -> float:
    """The longest time in milliseconds between two samples that are connected."""
    if len(timestamps_ms) < 2:
        return MIN_GAP_MS
    return max(MIN_GAP_MS, 4 * float(np.median(np.diff(timestamps_ms))), 3.0 * (bucket_ms or 0))


def line(series: Series) -> tuple[Floats, Floats]:
    """Times in milliseconds and values of a line: a NaN between samples that must not be connected."""
    times, values = series.timestamps_ms.astype(float), series.values.astype(float)
    gaps = np.flatnonzero(np.diff(times) > longest_step(series.timestamps_ms, series.bucket_ms))
    middles = (times[gaps] + times[gaps + 1]) / 2
    return np.insert(times, gaps + 1, middles), np.insert(values, gaps + 1, np.nan)


def steps(series: Series, start_ms: float, end_ms: float) -> tuple[Floats, Floats]:
    """Edges in milliseconds and values of buckets, for `step` with where="post": NaN where a bucket is missing.

    Args:
        series: Its samples are aggregates of buckets.
        start_ms: The first edge is not earlier.
        end_ms: The last edge is not later.
    """
    bucket_ms = float(series.bucket_ms or 0)
    edges: list[float] = []
    values: list[float] = []
    for start, value in zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True):
        if edges and start > edges[-1]:
            values[-1] = np.nan  # from the end of the bucket before
        elif edges:
            edges.pop()
            values.pop()
        edges += [start, start + bucket_ms]
        values += [value, value]
    return np.clip(edges, start_ms, end_ms), np.asarray(values, float)


def columns(series: Series, edges: Floats, percent: float, gap_ms: float) -> Floats:
    """A percentile of the samples between each two edges; interpolated where a column has none, but not in a gap."""
    count = len(edges) - 1
    if not len(series):
        return np.full(count, np.nan)
    inside = (series.timestamps_ms >= edges[0]) & (series.timestamps_ms < edges[-1])
    column = np.digitize(series.timestamps_ms[inside], edges) - 1
    values = series.values[inside]
    filled = np.unique(column)
    if not len(filled):
        return np.full(count, np.nan)
    found = np.array([np.percentile(values[column == each], percent) for each in filled])
    result = np.interp(np.arange(count), filled, found, left=np.nan, right=np.nan)
    times = series.timestamps_ms[inside].astype(float)
    for before, after in pairwise(times):
        if after - before > gap_ms:
            first, last = np.digitize([before, after], edges) - 1
            result[first + 1 : last] = np.nan
    return np.asarray(result, np.float64)


def per_second(series: Series, seconds: NDArray[np.int64]) -> Floats:
    """The samples of these seconds; 0 where there is none."""
    rates = np.zeros(len(seconds))
    at = series.timestamps_ms // 1000
    inside = (at >= seconds[0]) & (at <= seconds[-1])
    np.add.at(rates, at[inside] - seconds[0], series.values[inside])
    return rates


def silent_seconds(series: Series, seconds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a second is in a gap of a series with a sample for each second that has frames."""
    silent = np.zeros(len(seconds), bool)
    at = np.unique(series.timestamps_ms // 1000)
    for before, after in pairwise(at):
        if after - before - 1 > ZERO_GAP_S:
            silent[before + 1 - seconds[0] : after - seconds[0]] = True
    return silent
