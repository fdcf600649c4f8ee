from __future__ import annotations

import numpy as np
import pytest

from rededge_nb.analytics.colours import colour_shares
from rededge_nb.analytics.detections import COLOURS
from rededge_nb.analytics.rematch import hellinger_distance

BOX = (100.0, 50.0, 160.0, 200.0)


def drawn(torso: tuple[int, int, int], legs: tuple[int, int, int], ground: int = 128) -> np.ndarray:
    image = np.full((240, 320, 3), ground, np.uint8)
    image[75:126, 112:148] = torso
    image[126:200, 112:148] = legs
    return image


def shares(image: np.ndarray) -> list[float]:
    [found] = colour_shares(image, [BOX])
    assert found is not None
    return found


def test_torso_and_legs_are_told_apart() -> None:
    red_over_black, black_over_red = drawn((0, 0, 200), (10, 10, 10)), drawn((10, 10, 10), (0, 0, 200))
    assert hellinger_distance(shares(red_over_black), shares(black_over_red)) > 0.9


def test_the_light_changes_little_and_other_clothes_much() -> None:
    person = drawn((40, 40, 190), (120, 60, 30))
    darker = (person * 0.8).astype(np.uint8)
    other = drawn((190, 120, 30), (30, 30, 30))
    assert hellinger_distance(shares(person), shares(darker)) < 0.3
    assert hellinger_distance(shares(person), shares(other)) > 0.7


def test_the_ground_beside_a_person_does_not_matter() -> None:
    on_grey, on_white = (shares(drawn((0, 0, 200), (10, 10, 10), ground)) for ground in (128, 255))
    assert on_grey == on_white


def test_shares_add_up_to_one() -> None:
    image = np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8)
    for found in colour_shares(image, [(*BOX, 0.9), (0, 0, 320, 240, 0.5), (-50, -20, 60, 100, 0.5)]):
        assert found is not None
        assert len(found) == COLOURS
        assert sum(found) == pytest.approx(1, abs=0.01)


def test_whoever_is_outside_the_frame_has_no_colours() -> None:
    image = drawn((0, 0, 200), (10, 10, 10))
    assert colour_shares(image, [(400, 50, 460, 200), (100, 230, 160, 380), (10, 10, 11, 12)]) == [None, None, None]
    assert colour_shares(image, []) == []
