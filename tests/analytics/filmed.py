"""Drawn frames of a camera, as JPEG, and what the gear would do with them: with a model that never errs, and a clock of
its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.decoding import decode_small
from rededge_nb.analytics.looking import Choice, Looking, Plan
from rededge_nb.analytics.tracking import Tracker

WIDTH, HEIGHT = 384, 288
CAMERA = "camera:0"
Image = NDArray[np.uint8]
Frame = tuple[int, Image, list[Box]]
"""Time in milliseconds, pixels, and the boxes of the people."""


@dataclass
class Filmed:
    """What was chosen for each frame, and how many people were counted in it."""

    choices: list[Choice] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    boxes: list[list[Box]] = field(default_factory=list)

    @property
    def looks(self) -> int:
        return self.choices.count(Choice.LOOK)


def watch(frames: Iterable[Frame], plan: Plan = Plan(), *, recorded: bool = False, busy: float = 0.0) -> Filmed:  # noqa: B008
    """Watch frames. `busy` is how many seconds the model needs; a frame that comes meanwhile waits."""
    looking, tracker, result = Looking(), Tracker(), Filmed()
    known_wh: tuple[int, int] | None = None
    free_s = 0.0
    for number, (ts_ms, image, boxes) in enumerate(frames):
        jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        now_s = ts_ms / 1000
        small = decode_small(jpeg, known_wh) if known_wh and plan.uses_motion(recorded=recorded) else None
        choice = looking.choose(
            CAMERA, ts_ms, now_s, plan, recorded=recorded, number=number, newer_waits=now_s < free_s, small=small
        )
        if choice == Choice.LOOK:
            free_s = now_s + busy
            known_wh = (image.shape[1], image.shape[0])
            if plan.uses_motion(recorded=recorded):
                small = decode_small(jpeg, known_wh)
            looking.looked(CAMERA, ts_ms, now_s, known_wh, small, len(boxes))
            found = tracker.step([(*box, 0.9) for box in boxes], ts_ms, known_wh)
            looking.followed(CAMERA, len(found.people), unsettled=tracker.unsettled)
        elif choice == Choice.STILL:
            found = tracker.still(ts_ms)
        elif choice == Choice.BETWEEN:
            found = tracker.expected(ts_ms)
        looking.stored(CAMERA, f"{ts_ms}-0", ts_ms)
        result.choices.append(choice)
        if choice != Choice.DROP:
            result.people.append(len(found.people))
            result.boxes.append([person.box for person in found.people])
    return result


def room(seed: int = 0) -> Image:
    """An empty room: soft shapes of medium brightness."""
    coarse = np.random.default_rng(seed).integers(60, 150, (9, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.uint8)


_NOISE = np.random.default_rng(0).normal(0, 4, (HEIGHT + 64, WIDTH + 64, 3)).astype(np.int16)


def noisy(image: Image, random: np.random.Generator) -> Image:
    """The image with the noise of a camera."""
    x, y = random.integers(0, 64, 2)
    return np.asarray(np.clip(image + _NOISE[y : y + HEIGHT, x : x + WIDTH], 0, 255), np.uint8)


def with_person(image: Image, box: Box) -> Image:
    """The image with a person in dark clothes."""
    x1, y1, x2, y2 = (round(value) for value in box)
    image = image.copy()
    cv2.ellipse(image, ((x1 + x2) // 2, (y1 + y2) // 2), ((x2 - x1) // 2, (y2 - y1) // 2), 0, 0, 360, (30, 25, 35), -1)
    return image


def times(seconds: float, fps: float = 10.0) -> Iterator[int]:
    """Times of frames in milliseconds, from a second on."""
    return (1000 + round(number * 1000 / fps) for number in range(round(seconds * fps)))
