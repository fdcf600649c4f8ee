from __future__ import annotations

import random

import pytest

from rededge_nb.analytics.boxes import Box, buffered, overlaps


def iou(first: Box, second: Box) -> float:
    width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)


def random_boxes(chance: random.Random, count: int) -> list[Box]:
    corners = [(chance.uniform(0, 300), chance.uniform(0, 300)) for _ in range(count)]
    return [(x, y, x + chance.uniform(1, 90), y + chance.uniform(1, 90)) for x, y in corners]


@pytest.mark.parametrize("least", [0.01, 0.2, 0.5])
def test_every_pair_with_enough_overlap_and_no_other(least: float) -> None:
    chance = random.Random(1)
    for _ in range(20):
        first, second = random_boxes(chance, 30), random_boxes(chance, 25)
        expected = {
            (row, column): iou(one, other)
            for row, one in enumerate(first)
            for column, other in enumerate(second)
            if iou(one, other) >= least
        }
        found = overlaps(first, second, least)
        assert len(found) == len(expected)
        assert {(row, column): value for row, column, value in found} == pytest.approx(expected)


def test_a_box_grows_by_its_share_on_each_side() -> None:
    assert buffered((10, 20, 30, 60), 0.5) == (0, 0, 40, 80)
    assert buffered((10, 20, 30, 60), 0.0) == (10, 20, 30, 60)


def test_boxes_side_by_side_overlap_once_they_are_buffered() -> None:
    left, right = (0.0, 0.0, 40.0, 100.0), (50.0, 0.0, 90.0, 100.0)
    assert overlaps([left], [right], 0.01) == []
    [(row, column, value)] = overlaps([buffered(left, 0.5)], [buffered(right, 0.5)], 0.2)
    assert (row, column) == (0, 0)
    assert value == pytest.approx(30 / 130)
