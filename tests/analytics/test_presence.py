"""Seconds in cells: the time of each part of a path, whatever its points are."""

from __future__ import annotations

import numpy as np
import pytest

from rededge_nb.analytics.presence import seconds_in_cells


def path(*points: tuple[int, float, float]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.array(points, float)
    return rows[:, 0].astype(np.int64), rows[:, 1:]


def test_an_even_walk_spends_the_same_time_in_each_cell_that_it_crosses() -> None:
    cells = seconds_in_cells([path((1000, 0.0, 0.3), (9000, 1.0, 0.3))], (4, 2))
    np.testing.assert_allclose(cells, [[2, 2, 2, 2], [0, 0, 0, 0]])


def test_who_stands_still_weighs_as_much_as_who_walks_for_the_same_time() -> None:
    cells = seconds_in_cells([path((0, 0.75, 0.9), (6000, 0.75, 0.9), (8000, 0.25, 0.9))], (2, 1))
    np.testing.assert_allclose(cells, [[1, 7]])


def test_only_the_time_asked_for_counts() -> None:
    paths = [path((0, 0.0, 0.5), (10_000, 1.0, 0.5)), path((20_000, 0.5, 0.5), (30_000, 0.5, 0.5))]
    cells = seconds_in_cells(paths, (10, 1), start_ms=5000, end_ms=8000)
    np.testing.assert_allclose(cells, [[0, 0, 0, 0, 0, 1, 1, 1, 0, 0]], atol=1e-9)


def test_the_sum_is_the_time_of_all_people() -> None:
    random = np.random.default_rng(7)
    paths = [(np.sort(random.integers(0, 60_000, 9)), random.random((9, 2))) for _ in range(50)]
    cells = seconds_in_cells(paths, (13, 7))
    assert cells.sum() == pytest.approx(sum((times[-1] - times[0]) / 1000 for times, _ in paths))


def test_the_rim_belongs_to_the_last_cell_and_a_single_point_has_no_time() -> None:
    cells = seconds_in_cells([path((0, 1.0, 1.0), (1000, 1.0, 1.0)), path((0, 0.0, 0.0))], (3, 3))
    assert (cells[2, 2], cells.sum()) == (1.0, 1.0)
