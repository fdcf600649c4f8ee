"""A heat map over a camera's frame: where people were, and for how long."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.images import Image

GRID_COLUMNS = 64
"""Columns of the grid of a heat map; its rows follow from the shape of the frame."""
_SMOOTHING = 0.8
"""Standard deviation of the smoothing, in cells."""
_OPACITY = 0.85


def grid_of(image: Image) -> tuple[int, int]:
    """Columns and rows of a grid with about square cells over an image."""
    height, width = image.shape[:2]
    return GRID_COLUMNS, max(1, round(GRID_COLUMNS * height / width))


def draw_heatmap(image: Image, seconds: NDArray[np.float64]) -> Image:
    """Return a grey copy of the image with the cells in which people spent time in colour, the longest times brightest.

    Colours are those of matplotlib's `inferno`, which colour-blind readers can distinguish, and which get brighter
    evenly. They show the square root of the time, so that paths are visible beside places where somebody stood.

    Args:
        image: A frame, uint8 of shape (height, width, 3), BGR.
        seconds: Shape (rows, columns), such as `seconds_in_cells` returns.
    """
    height, width = image.shape[:2]
    smooth = cv2.GaussianBlur(seconds, (0, 0), _SMOOTHING, borderType=cv2.BORDER_CONSTANT)
    large = np.maximum(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC), 0)
    level = np.sqrt(large / large.max()) if large.max() > 0 else large
    colors = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_INFERNO)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    opacity = (_OPACITY * np.minimum(1, 2.5 * level))[..., None]
    drawn: Image = (grey * (1 - opacity) + colors * opacity).round().astype(np.uint8)
    return drawn
