"""A Kalman filter with constant velocity, in plain floats and seconds.

R. E. Kalman, "A New Approach to Linear Filtering and Prediction Problems", 1960; the motion model with its noise is
"discretised white noise acceleration" of Bar-Shalom, Li and Kirubarajan, "Estimation with Applications to Tracking and
Navigation", 2001, chapter 6. SORT (Bewley et al., 2016) brought it to boxes.

All noise grows with the time that has passed, not with the number of frames. So one prediction over a second is the
same as ten over a tenth of a second each, and the frame rate may change at any time.
"""

from __future__ import annotations

from typing import NamedTuple


class Noise(NamedTuple):
    """Variances in squares of the person's height, so that they fit near and far people.

    Attributes:
        position: What each second adds to the variance of the position.
        velocity: What each second adds to the variance of the velocity (per second).
        measurement: The variance of a measured position.
        start_velocity: The variance of the velocity when a person is first seen.
    """

    position: float
    velocity: float
    measurement: float
    start_velocity: float


class Motion:
    """Two coordinates with their velocities: the centre of a box, or its width and height.

    Both coordinates are measured together and equally well, so they share one covariance matrix.

    Attributes:
        x: First coordinate, in pixels.
        y: Second coordinate, in pixels.
        vx: Velocity of `x`, in pixels per second.
        vy: Velocity of `y`, in pixels per second.
        pp: Variance of the position, as in `Noise`.
        pv: Covariance of position and velocity.
        vv: Variance of the velocity.
    """

    __slots__ = ("pp", "pv", "vv", "vx", "vy", "x", "y")

    def __init__(self, x: float, y: float, vx: float, vy: float, pp: float, pv: float, vv: float) -> None:
        self.x, self.y, self.vx, self.vy = x, y, vx, vy
        self.pp, self.pv, self.vv = pp, pv, vv

    @classmethod
    def measured(cls, x: float, y: float, noise: Noise) -> Motion:
        """Starts at a first measurement, with an unknown velocity."""
        return cls(x, y, 0.0, 0.0, noise.measurement, 0.0, noise.start_velocity)

    def predict(self, seconds: float, noise: Noise) -> None:
        """Moves on by some time, 0 or more."""
        self.x += self.vx * seconds
        self.y += self.vy * seconds
        growth = noise.velocity * seconds
        self.pp += seconds * (2 * self.pv + seconds * (self.vv + growth / 3) + noise.position)
        self.pv += seconds * (self.vv + growth / 2)
        self.vv += growth

    def update(self, x: float, y: float, noise: Noise) -> None:
        """Corrects the prediction with a measurement."""
        total = self.pp + noise.measurement
        gain, velocity_gain = self.pp / total, self.pv / total
        dx, dy = x - self.x, y - self.y
        self.x += gain * dx
        self.y += gain * dy
        self.vx += velocity_gain * dx
        self.vy += velocity_gain * dy
        self.vv -= velocity_gain * self.pv
        self.pv -= gain * self.pv
        self.pp -= gain * self.pp

    def restart_between(
        self, before: tuple[float, float], now: tuple[float, float], seconds: float, noise: Noise
    ) -> None:
        """Starts again as if it had moved in a straight line from one measurement to the next.

        The idea is OC-SORT's re-update: what the filter guessed while nothing was measured is thrown away. Cao et al.,
        "Observation-Centric SORT: Rethinking SORT for Robust Multi-Object Tracking", CVPR 2023,
        https://arxiv.org/abs/2203.14360. The covariance is that of two measured points (Bar-Shalom, chapter 5.5).

        Args:
            before: The last measurement before the gap.
            now: The measurement now.
            seconds: The length of the gap, more than 0.
            noise: The variances.
        """
        self.x, self.y = now
        self.vx, self.vy = (self.x - before[0]) / seconds, (self.y - before[1]) / seconds
        self.pp, self.pv = noise.measurement, noise.measurement / seconds
        self.vv = 2 * noise.measurement / seconds**2 + noise.velocity * seconds / 3
