"""Settings of the tracker.

The defaults are what was best on three labelled videos (PETS09-S2L1 at 7 and at 10 frames a second, TUD-Campus and
TUD-Stadtmitte at 25), forwards and backwards, with every, every second and every third frame. These were all that there
was: on other videos other values may be better. The measurement noise and the confidences matter most.

`coast_s` is a compromise. The detector misses people more often than it is wrong, so counts are too low, and on each of
the videos 1 s gave the smallest error of the counts. But the longer somebody is shown who is not detected, the more
boxes are where nobody is. With 0.5 s instead of 0.3 s the error falls by an eighth to a quarter, and the figures of the
tracks stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from rededge_nb.analytics.kalman import Noise
from rededge_nb.errors import ConfigurationError


def _check_range(settings: object, least: float, most: float | None, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not (isfinite(value) and value >= least and (most is None or value <= most)):
            wanted = f"at least {least:g}" if most is None else f"from {least:g} to {most:g}"
            raise ConfigurationError(f"{name} is {value}: a number {wanted} is needed")


@dataclass(frozen=True, kw_only=True)
class ColourSettings:
    """How the estimate of different people compares a new person with those who have left.

    Attributes:
        memory_s: Seconds for which someone who is lost may come back.
        distance_most: Hellinger distance of the colours, 0 (the same) to 1, below which two people look alike.
        reach: How far someone gets before they are found again, in heights of the person; this times the seconds and
            one more, but not more than three times.
        height_ratio_most: How much taller or smaller the box may be than when the person was lost.
    """

    memory_s: float = 5.0
    distance_most: float = 0.30
    reach: float = 1.5
    height_ratio_most: float = 1.67

    def __post_init__(self) -> None:
        _check_range(self, 0.0, None, "memory_s", "reach")
        _check_range(self, 0.0, 1.0, "distance_most")
        _check_range(self, 1.0, None, "height_ratio_most")


@dataclass(frozen=True, kw_only=True)
class TrackerSettings:
    """Settings of the tracker; the defaults are for the model that looks at a frame at two sizes.

    Times are in seconds, so the settings do not depend on the frame rate. Lengths are in heights of the person's box,
    so they do not depend on the distance from the camera.

    Attributes:
        high_confidence: Detections of at least this confidence are matched first, with every track.
        low_confidence: Those between this and `high_confidence` are matched only with people who were detected in the
            frame before; those below are not used.
        new_confidence: A detection that fits no track starts one if its confidence is at least this.
        buffers: Share of the box's size by which both boxes grow on each side before they are compared, in the first
            and in the second comparison.
        least_iou: Least intersection over union of the grown boxes.
        low_least_iou: The same for detections of low confidence.
        confirm_detections: A track is a person after this many detections in successive frames, …
        confirm_s: … or after two when they are at least this far apart, in seconds. In the first frame of a run
            everyone is confirmed at once.
        apart_s: In a frame so many seconds after the one before, everyone is confirmed at once, too: who walks does not
            keep the track from such a frame to the next one, would never be confirmed, and be missing in all of them.
        coast_s: Seconds for which a person who is not detected is still shown, where they are expected.
        memory_s: Seconds for which a person who is not detected keeps the id. A longer pause between two frames
            restarts tracking.
        restart_motion_s: After this many seconds without a detection the velocity is taken from the last detection
            and the new one, and not from what was predicted.
        position_noise: Heights per square root of a second.
        velocity_noise: Heights per second and square root of a second.
        measurement_noise: Heights.
        start_velocity: Heights per second: the usual speed of people, which is unknown when one is first seen.
        colours: How different people are estimated; None leaves the estimate out.
    """

    high_confidence: float = 0.55
    low_confidence: float = 0.35
    new_confidence: float = 0.65
    buffers: tuple[float, float] = (0.2, 0.5)
    least_iou: float = 0.2
    low_least_iou: float = 0.4
    confirm_detections: int = 3
    confirm_s: float = 0.25
    apart_s: float = 0.45
    coast_s: float = 0.5
    memory_s: float = 3.0
    restart_motion_s: float = 0.25
    position_noise: float = 0.055
    velocity_noise: float = 0.2
    measurement_noise: float = 0.05
    start_velocity: float = 1.0
    colours: ColourSettings | None = None

    def __post_init__(self) -> None:
        _check_range(self, 0.0, 1.0, "high_confidence", "low_confidence", "new_confidence")
        _check_range(self, 0.01, 1.0, "least_iou", "low_least_iou")
        _check_range(self, 1, None, "confirm_detections")
        _check_range(self, 0.0, None, "confirm_s", "apart_s", "coast_s", "restart_motion_s")
        _check_range(self, 0.0, None, "position_noise", "velocity_noise", "start_velocity")
        _check_range(self, 0.001, None, "measurement_noise", "memory_s")
        if not self.low_confidence <= self.high_confidence <= self.new_confidence:
            raise ConfigurationError(
                f"low_confidence {self.low_confidence}, high_confidence {self.high_confidence} and new_confidence "
                f"{self.new_confidence} are not in ascending order: no detection would belong to one of them"
            )
        if len(self.buffers) != 2 or not all(isfinite(share) and share >= 0 for share in self.buffers):
            raise ConfigurationError(
                f"buffers is {self.buffers}: two shares of 0 or more are needed, such as (0.2, 0.5)"
            )

    def noise(self) -> Noise:
        """The variances for the Kalman filter."""
        return Noise(self.position_noise**2, self.velocity_noise**2, self.measurement_noise**2, self.start_velocity**2)


TWO_SIZES = TrackerSettings()
"""For a model that looks at each frame at two sizes; its confidences are higher."""

ONE_SIZE = TrackerSettings(
    high_confidence=0.45, low_confidence=0.25, new_confidence=0.55, low_least_iou=0.5, coast_s=0.3
)
"""For a model that looks at each frame at one size. More of its boxes are where nobody is."""
