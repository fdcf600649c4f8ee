"""Where people were, and for how long: seconds in each cell of a grid over the frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_STEPS_PER_CELL = 4
"""A walk from one cell to the next is divided into so many steps."""


def seconds_in_cells(
    paths: Iterable[tuple[NDArray[np.int64], NDArray[np.float64]]],
    grid_wh: tuple[int, int],
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> NDArray[np.float64]:
    """How many seconds people spent in each cell, as if they had walked straight and evenly from point to point.

    So somebody who stands still weighs as much as somebody who walks for the same time. A walk is divided into steps of
    at most a quarter of a cell, each of which belongs to the cell of its middle.

    Args:
        paths: Of each person the times of the points in milliseconds, shape (n,), and the points, shape (n, 2), x and y
            from 0 to 1 of the frame.
        grid_wh: Number of columns and rows.
        start_ms: What was before is left out.
        end_ms: What was after is left out.

    Returns:
        float64 of shape (rows, columns). The sum is the time of all people together.
    """
    columns, rows = grid_wh
    cells = np.zeros(columns * rows)
    size = np.array([columns, rows])
    for times, points in paths:
        if len(times) < 2:
            continue
        lengths = np.diff(points, axis=0)
        steps = np.maximum(1, np.ceil(_STEPS_PER_CELL * np.abs(lengths * size).max(axis=1))).astype(int)
        segment = np.repeat(np.arange(len(steps)), steps)
        within = np.arange(len(segment)) - np.repeat(np.cumsum(steps) - steps, steps)
        first, last = within / steps[segment], (within + 1) / steps[segment]
        middle = points[:-1][segment] + lengths[segment] * ((first + last) / 2)[:, None]
        began = times[:-1][segment] + np.diff(times)[segment] * first
        ended = times[:-1][segment] + np.diff(times)[segment] * last
        if start_ms is not None or end_ms is not None:
            began, ended = (np.clip(each, start_ms, end_ms) for each in (began, ended))
        at = np.clip((middle * size).astype(int), 0, size - 1)
        cells += np.bincount(at[:, 1] * columns + at[:, 0], (ended - began) / 1000, columns * rows)
    return cells.reshape(rows, columns)
