from __future__ import annotations

import itertools
import random

import pytest

from rededge_nb.analytics.assignment import Edge, assign


def random_edges(chance: random.Random, rows: int, columns: int, density: float) -> list[Edge]:
    pairs = itertools.product(range(rows), range(columns))
    return [(row, column, chance.uniform(0.01, 2)) for row, column in pairs if chance.random() < density]


def best_gain(edges: list[Edge]) -> float:
    """By trying everything: each row takes one of its columns that is free, or none."""

    def best(rows: list[list[Edge]], taken: frozenset[int]) -> float:
        if not rows:
            return 0.0
        without = best(rows[1:], taken)
        return max([without, *(gain + best(rows[1:], taken | {at}) for _, at, gain in rows[0] if at not in taken)])

    return best([list(group) for _, group in itertools.groupby(sorted(edges), key=lambda edge: edge[0])], frozenset())


def gain_of(edges: list[Edge], pairs: list[tuple[int, int]]) -> float:
    gains = {(row, column): gain for row, column, gain in edges}
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    return sum(gains[pair] for pair in pairs)


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
def test_no_other_choice_gains_more(density: float) -> None:
    chance = random.Random(3)
    for _ in range(150):
        edges = random_edges(chance, chance.randint(1, 6), chance.randint(1, 6), density)
        assert gain_of(edges, assign(edges)) == pytest.approx(best_gain(edges))


@pytest.mark.parametrize(("rows", "columns"), [(60, 60), (60, 35), (20, 60)])
def test_a_crowd_is_assigned_as_scipy_does(rows: int, columns: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    numpy = pytest.importorskip("numpy")
    chance = random.Random(rows * columns)
    for density in (0.05, 0.3, 1.0):
        edges = random_edges(chance, rows, columns, density)
        gains = numpy.zeros((rows, columns))
        for row, column, gain in edges:
            gains[row, column] = gain
        expected = gains[optimize.linear_sum_assignment(gains, maximize=True)].sum()
        assert gain_of(edges, assign(edges)) == pytest.approx(expected)


def test_equal_gains_and_whole_numbers() -> None:
    edges = [(row, column, 1.0) for row in range(5) for column in range(5)]
    assert len(assign(edges)) == 5
    assert sorted(assign([(7, 3, 5), (7, 9, 4), (8, 3, 4)])) == [(7, 9), (8, 3)]


def test_no_edges() -> None:
    assert assign([]) == []
