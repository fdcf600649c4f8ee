"""Colours of people's clothes, for the estimate of different people (see `rematch`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.detections import COLOURS

HUES = 8
GREYS = COLOURS // 2 - HUES
"""Dark and pale colours have no hue that a camera sees reliably; their brightness says more."""

SATURATION_LEAST, BRIGHTNESS_LEAST = 60, 50
"""From these (of 255) a pixel has a hue."""

TORSO, LEGS = (0.18, 0.50), (0.55, 0.92)
"""Share of the box's height, from the top."""
MIDDLE = (0.25, 0.75)
"""Share of its width: the rest is mostly background."""
SAMPLES = 24
"""About so many rows and columns of pixels are looked at."""


def colour_shares(image: NDArray[np.uint8], boxes: Iterable[Sequence[float]]) -> list[list[float] | None]:
    """How much of each colour people wear on the upper and on the lower half of the body.

    Args:
        image: A frame, `uint8`, shape (height, width, 3), BGR.
        boxes: Rows that begin with `x1, y1, x2, y2` in pixels of the frame.

    Returns:
        For each box 24 shares that add up to 1: 8 hues and 4 greys of the torso, the same of the legs. None where too
        little of the person is in the frame.
    """
    return [_of_person(image, *map(float, row[:4])) for row in boxes]


def _of_person(image: NDArray[np.uint8], x1: float, y1: float, x2: float, y2: float) -> list[float] | None:
    left, right = x1 + MIDDLE[0] * (x2 - x1), x1 + MIDDLE[1] * (x2 - x1)
    shares: list[float] = []
    for above, below in (TORSO, LEGS):
        part = _part(image, left, y1 + above * (y2 - y1), right, y1 + below * (y2 - y1))
        if part is None:
            return None
        shares += _shares(part)
    return shares


def _part(image: NDArray[np.uint8], x1: float, y1: float, x2: float, y2: float) -> NDArray[np.uint8] | None:
    height, width = image.shape[:2]
    left, top, right, bottom = max(round(x1), 0), max(round(y1), 0), min(round(x2), width), min(round(y2), height)
    if right - left < 2 or bottom - top < 2:
        return None
    return image[top : bottom : 1 + (bottom - top) // SAMPLES, left : right : 1 + (right - left) // SAMPLES]


def _shares(part: NDArray[np.uint8]) -> list[float]:
    hsv: NDArray[Any] = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_BGR2HSV_FULL).reshape(-1, 3)
    hue, saturation, brightness = hsv[:, 0], hsv[:, 1], hsv[:, 2]
    coloured = (saturation >= SATURATION_LEAST) & (brightness >= BRIGHTNESS_LEAST)
    kind = np.where(coloured, hue // (256 // HUES), HUES + brightness // (256 // GREYS))
    counts = np.bincount(kind, minlength=HUES + GREYS)
    return [round(float(count), 4) for count in counts / (2 * len(kind))]
