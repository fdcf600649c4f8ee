"""Privacy masks: what lies under them is replaced before a frame leaves the capture.

Blurring alone can be undone to a part. So `blur` and `pixelate` first average the pixels over large squares, and only
these averages are left of what was there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.scene import Mask
from rededge_nb.images import Image

SQUARES: Final = 24
"""Of so many squares is the longer side of a frame in `blur` and `pixelate`: a face is one or two of them."""


class _Region(NamedTuple):
    """A mask in pixels: the rectangle around it, and which of its pixels are hidden (1)."""

    style: str
    left: int
    top: int
    right: int
    bottom: int
    hidden: NDArray[np.uint8]


def masked(image: Image, masks: tuple[Mask, ...]) -> Image:
    """A copy of the image in which nothing is left of what is under the masks."""
    height, width = image.shape[:2]
    image = image.copy()
    for region in _regions(masks, width, height):
        part = image[region.top : region.bottom, region.left : region.right]
        if region.style == "black":
            instead = np.zeros_like(part)
        else:
            instead = _averaged(part, max(width, height) / SQUARES, smooth=region.style == "blur")
        # much faster than an assignment by a boolean array
        part[:] = cv2.copyTo(instead, region.hidden, np.ascontiguousarray(part))
    return image


@lru_cache(16)
def _regions(masks: tuple[Mask, ...], width: int, height: int) -> tuple[_Region, ...]:
    return tuple(_region(mask, width, height) for mask in masks)


def _region(mask: Mask, width: int, height: int) -> _Region:
    points = np.array([(x * width, y * height) for x, y in mask.points])
    canvas = np.zeros((height, width), np.uint8)
    whole = np.floor(points).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(canvas, [whole], 1)
    # one pixel more on each side: no pixel that is hidden in part is left
    cv2.polylines(canvas, [whole], True, 1, thickness=3)
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    left, right, top, bottom = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    return _Region(mask.style, left, top, right, bottom, np.ascontiguousarray(canvas[top:bottom, left:right]))


def _averaged(part: Image, square: float, *, smooth: bool) -> Image:
    height, width = part.shape[:2]
    squares_wh = max(1, round(width / square)), max(1, round(height / square))
    small = cv2.resize(part, squares_wh, interpolation=cv2.INTER_AREA)
    averaged: Image = cv2.resize(
        small, (width, height), interpolation=cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    ).reshape(part.shape)
    return averaged
