from __future__ import annotations

import pytest

from rededge_nb.analytics.sides import (
    LEAVES_OUT,
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    NewSide,
    Tolerance,
    is_believed,
    letter,
    seen_there,
)

TOLERANCE = Tolerance()


def followed(depths: list[float], gap_ms: int = 100) -> NewSide:
    new: NewSide | None = None
    for i, depth in enumerate(depths):
        new = seen_there(new, 0, POSITIVE, depth, 1000 + gap_ms * i)
    assert new is not None
    return new


def believed(old: str, depths: list[float], gap_ms: int = 100, tolerance: Tolerance = TOLERANCE) -> bool:
    return is_believed(old, followed(depths, gap_ms), depths[-1], 1000 + gap_ms * (len(depths) - 1), tolerance)


@pytest.mark.parametrize(
    ("frames", "gap_ms", "expected"),
    [
        (3, 100, False),  # 0.2 s
        (4, 100, True),  # 0.3 s
        (8, 40, False),  # 0.28 s
        (9, 40, True),
        (2, 400, False),  # 0.4 s, but two frames
        (3, 400, True),
        (3, 150, True),
    ],
)
def test_three_frames_and_three_tenths_of_a_second(frames: int, gap_ms: int, expected: bool) -> None:
    assert believed(NEGATIVE, [0.2] * frames, gap_ms) is expected
    assert believed(NEGATIVE.lower(), [0.2] * frames, gap_ms) is expected


@pytest.mark.parametrize(
    ("frames", "gap_ms", "expected"),
    [
        (3, 100, False),  # as where the model looks at each frame
        (4, 100, True),
        (8, 40, False),
        (3, 150, True),
        (1, 200, False),
        (2, 160, False),  # seldom, but 0.16 s
        (2, 200, True),  # seldom: twice is enough
        (2, 300, True),
    ],
)
def test_two_frames_are_enough_where_the_model_leaves_some_out(frames: int, gap_ms: int, expected: bool) -> None:
    assert believed(NEGATIVE, [0.2] * frames, gap_ms, LEAVES_OUT) is expected


@pytest.mark.parametrize(
    ("old", "depths", "expected"),
    [
        (NEGATIVE, [0.02, 0.03, 0.04, 0.04], True),  # 0.0325 on average
        (NEGATIVE, [0.02, 0.02, 0.03, 0.04], False),
        (NEGATIVE, [0.0, 0.0, 0.0, 0.1], True),
        (NEGATIVE.lower(), [0.09, 0.09, 0.09, 0.09], False),
        (NEGATIVE.lower(), [0.01, 0.02, 0.05, 0.1], True),
        (NEGATIVE.lower(), [0.1, 0.2, 0.2, 0.09], False),
        (UNKNOWN, [0.1], True),
        (UNKNOWN, [0.09], False),
        (UNKNOWN, [0.01, 0.01, 0.01, 0.01], True),
        (UNKNOWN, [0.01, 0.01, 0.01], False),
    ],
)
def test_how_far_beyond_the_border(old: str, depths: list[float], expected: bool) -> None:
    assert believed(old, depths) is expected


def test_another_side_starts_anew() -> None:
    new = seen_there(followed([0.1, 0.1]), 0, NEGATIVE, 0.05, 1500)
    assert new == NewSide(0, NEGATIVE, 1, 1500, 50)


def test_a_capital_letter_is_for_people_well_away() -> None:
    assert letter(POSITIVE, 0.15, TOLERANCE) == "P"
    assert letter(POSITIVE, 0.14, TOLERANCE) == "p"
    assert letter(NEGATIVE, float("inf"), TOLERANCE) == "N"
