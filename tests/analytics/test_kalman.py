from __future__ import annotations

import random

import numpy as np
import pytest

from rededge_nb.analytics.kalman import Motion, Noise

NOISE = Noise(position=0.003, velocity=0.04, measurement=0.0025, start_velocity=1.0)


def values(motion: Motion) -> list[float]:
    return [motion.x, motion.y, motion.vx, motion.vy, motion.pp, motion.pv, motion.vv]


def moving() -> Motion:
    motion = Motion.measured(100, 200, NOISE)
    for step in range(1, 6):
        motion.predict(0.1, NOISE)
        motion.update(100 + 8 * step, 200 - 3 * step, NOISE)
    return motion


def test_it_is_the_textbook_filter() -> None:
    """Against the equations with matrices, for one coordinate."""
    chance = random.Random(5)
    motion = Motion.measured(50, 0, NOISE)
    state, covariance = np.array([50.0, 0.0]), np.diag([NOISE.measurement, NOISE.start_velocity])
    for _ in range(30):
        t, measured = chance.uniform(0.02, 0.4), chance.uniform(0, 100)
        motion.predict(t, NOISE)
        motion.update(measured, 0, NOISE)
        moves = np.array([[1, t], [0, 1]])
        drift = np.array([[NOISE.velocity * t**3 / 3 + NOISE.position * t, NOISE.velocity * t**2 / 2],
                          [NOISE.velocity * t**2 / 2, NOISE.velocity * t]])  # fmt: skip
        state, covariance = moves @ state, moves @ covariance @ moves.T + drift
        gain = covariance[:, 0] / (covariance[0, 0] + NOISE.measurement)
        state = state + gain * (measured - state[0])
        covariance = covariance - np.outer(gain, covariance[0])
        assert [motion.x, motion.vx] == pytest.approx(state.tolist())
        assert [motion.pp, motion.pv, motion.vv] == pytest.approx([*covariance[0], covariance[1, 1]])


@pytest.mark.parametrize("steps", [2, 5, 30])
def test_many_short_predictions_are_one_long_one(steps: int) -> None:
    short, long = moving(), moving()
    for _ in range(steps):
        short.predict(1.2 / steps, NOISE)
    long.predict(1.2, NOISE)
    assert values(short) == pytest.approx(values(long))


def test_a_constant_velocity_is_found() -> None:
    motion = moving()
    assert motion.vx == pytest.approx(80, rel=0.1)
    assert motion.vy == pytest.approx(-30, rel=0.1)


def test_no_time_changes_nothing() -> None:
    motion = moving()
    before = values(motion)
    motion.predict(0.0, NOISE)
    assert values(motion) == before


def test_after_a_gap_the_velocity_is_that_of_the_two_measurements() -> None:
    motion = moving()
    motion.predict(2.0, NOISE)
    motion.restart_between((140, 185), (120, 195), 2.0, NOISE)
    assert values(motion)[:4] == [120, 195, -10, 5]
    # what two measurements know of a velocity, and less than nothing is not among it
    assert 0 < motion.vv < NOISE.start_velocity
    assert motion.pv**2 < motion.pp * motion.vv
