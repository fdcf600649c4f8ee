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
    size = np.array([columns, rows])
    every = [(times, points) for times, points in paths if len(times) > 1]
    if not every:
        return np.zeros((rows, columns))
    times = np.concatenate([each for each, _ in every])
    points = np.concatenate([each for _, each in every])
    # from the last point of a path nobody walks to the first point of the next one
    starts = np.delete(np.arange(len(times)), np.cumsum([len(each) for each, _ in every]) - 1)
    ways, lengths_ms = points[starts + 1] - points[starts], times[starts + 1] - times[starts]
    steps = np.maximum(1, np.ceil(_STEPS_PER_CELL * np.abs(ways * size).max(axis=1))).astype(int)
    way = np.repeat(np.arange(len(steps)), steps)
    first = (np.arange(len(way)) - np.repeat(np.cumsum(steps) - steps, steps)) / steps[way]
    last = first + 1 / steps[way]
    middle = points[starts][way] + ways[way] * ((first + last) / 2)[:, None]
    began, ended = (times[starts][way] + lengths_ms[way] * share for share in (first, last))
    if start_ms is not None or end_ms is not None:
        began, ended = (np.clip(each, start_ms, end_ms) for each in (began, ended))
    column, row = np.clip((middle * size).astype(int), 0, size - 1).T
    seconds = np.bincount(row * columns + column, (ended - began) / 1000, columns * rows)
    return np.asarray(seconds, np.float64).reshape(rows, columns)
