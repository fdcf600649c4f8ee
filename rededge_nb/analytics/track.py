"""One track: a person, or what may become one."""

from __future__ import annotations

from dataclasses import dataclass, field

from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.detections import Colours, Detection
from rededge_nb.analytics.kalman import Motion, Noise
from rededge_nb.analytics.paths import Path

COLOURS_KEPT = 0.9
"""How much of a track's average colours stays when a new detection is averaged in."""


@dataclass(slots=True)
class Track:
    """A person, or what may become one.

    Attributes:
        id: 0 until the track is confirmed.
        first_ms: Time of the first detection.
        last_ms: Time of the last detection.
        detections: How many there were.
        centre: Movement of the box's centre.
        size: Change of the box's width and height.
        last_x: Centre of the last detection, from left to right.
        last_y: The same from top to bottom.
        path: Where the feet were: the middle of the box's lower edge.
        colours: Average of the detections' colours.
        rejoined: Whether the estimate of different people took somebody new for this person.
        confidence: Confidence of the detection in this frame; 0 where there is none.
        missed: Whether there was no detection in the frame before.
        box: Where the person is now: measured and smoothed, or expected.
    """

    id: int
    first_ms: int
    last_ms: int
    detections: int
    centre: Motion
    size: Motion
    last_x: float
    last_y: float
    path: Path
    colours: Colours | None = None
    rejoined: bool = False
    confidence: float = field(default=0.0, init=False)
    missed: bool = field(default=False, init=False)
    box: Box = field(init=False)

    def __post_init__(self) -> None:
        self.box = self._box_around(self.centre.x, self.centre.y)

    @classmethod
    def started(cls, detection: Detection, ts_ms: int, noise: Noise) -> Track:
        """A new track."""
        x, y, width, height = _centre_and_size(detection.box)
        motions = Motion.measured(x, y, noise), Motion.measured(width, height, noise)
        track = cls(0, ts_ms, ts_ms, 1, *motions, x, y, Path(), detection.colours)
        track.confidence = detection.confidence
        return track

    def box_on_the_way(self, share: float) -> Box:
        """A box on the way from where the person was last detected (0) to where they are expected (1)."""
        return self._box_around(
            self.last_x + share * (self.centre.x - self.last_x), self.last_y + share * (self.centre.y - self.last_y)
        )

    def predict(self, seconds: float, previous_ms: int, noise: Noise) -> None:
        """Moves on to a new frame.

        Args:
            seconds: How much later it is.
            previous_ms: Time of the frame before.
            noise: Variances of the filter.
        """
        self.missed, self.confidence = self.last_ms < previous_ms, 0.0
        if self.missed:
            # a box that is not seen must not grow or shrink away
            self.size.vx = self.size.vy = 0.0
        self.centre.predict(seconds, noise)
        self.size.predict(seconds, noise)
        self.box = self._box_around(self.centre.x, self.centre.y)

    def detect(self, detection: Detection, ts_ms: int, restart_motion_s: float, noise: Noise) -> None:
        """Takes in the detection of this frame; for `restart_motion_s` see the tracker's settings."""
        x, y, width, height = _centre_and_size(detection.box)
        gap_s = (ts_ms - self.last_ms) / 1000
        if self.missed and gap_s >= restart_motion_s:
            self.centre.restart_between((self.last_x, self.last_y), (x, y), gap_s, noise)
        else:
            self.centre.update(x, y, noise)
        self.size.update(width, height, noise)
        self.box = self._box_around(self.centre.x, self.centre.y)
        self.last_ms, self.last_x, self.last_y = ts_ms, x, y
        self.detections += 1
        self.confidence = detection.confidence
        self._average(detection.colours)

    def scale(self, x_scale: float, y_scale: float) -> None:
        """Changes to another size of the frame."""
        for motion in (self.centre, self.size):
            motion.x, motion.vx = motion.x * x_scale, motion.vx * x_scale
            motion.y, motion.vy = motion.y * y_scale, motion.vy * y_scale
        self.last_x, self.last_y = self.last_x * x_scale, self.last_y * y_scale

    def width(self) -> float:
        """Width of the box in pixels, at least 1."""
        return max(self.size.x, 1.0)

    def distance(self, detection: Detection) -> float:
        """Pixels from the last detection to another one, the larger of those to the side and up or down."""
        x, y, _, _ = _centre_and_size(detection.box)
        return max(abs(x - self.last_x), abs(y - self.last_y))

    def height(self) -> float:
        """Height of the box in pixels, at least 1."""
        return max(self.size.y, 1.0)

    def box_after(self, seconds: float) -> Box:
        """The box that is expected some seconds after the last frame, at the present speed and size."""
        return self._box_around(self.centre.x + seconds * self.centre.vx, self.centre.y + seconds * self.centre.vy)

    def is_inside(self, frame_wh: tuple[int, int], seconds: float = 0.0) -> bool:
        """Whether the box's centre is in the frame, now or some seconds later."""
        x, y = self.centre.x + seconds * self.centre.vx, self.centre.y + seconds * self.centre.vy
        return 0 < x < frame_wh[0] and 0 < y < frame_wh[1]

    def _box_around(self, x: float, y: float) -> Box:
        half_width, half_height = max(self.size.x, 1.0) / 2, max(self.size.y, 1.0) / 2
        return (x - half_width, y - half_height, x + half_width, y + half_height)

    def _average(self, colours: Colours | None) -> None:
        if colours is None:
            return
        if self.colours is None:
            self.colours = colours
        else:
            pairs = zip(self.colours, colours, strict=True)
            self.colours = [round(COLOURS_KEPT * old + (1 - COLOURS_KEPT) * new, 4) for old, new in pairs]


def _centre_and_size(box: Box) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
