"""From a frame to the input of a people detector, and from its outputs to boxes in the frame.

Gears, `detect_people` and the benchmarks all use these functions, so that they find the same people.

A model's input has the frame's content in one of three ways. With `stretch` every frame is resized to one size. With
`aspect` the input keeps the aspect ratio of the frame and has as many pixels as the model's size for a 4:3 frame. With
`letterbox` it keeps the aspect ratio and fits into the model's size; the model itself adds what is missing there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.boxes import Box
from rededge_nb.errors import ConfigurationError

RESIZES = ("stretch", "aspect", "letterbox")
MULTIPLE = 32
"""Sides of the input are multiples of this, unless the model's card says otherwise."""
_FAR = 1e5
"""No coordinate of a box is that large, in pixels of the input."""


def input_size(
    frame_wh: tuple[int, int], model_wh: tuple[int, int], resize: str = "stretch", multiple: int = MULTIPLE
) -> tuple[int, int]:
    """Width and height of the model's input for a frame, in pixels.

    Args:
        frame_wh: Width and height of the frame.
        model_wh: Width and height that the model's card gives.
        resize: `stretch`, `aspect` or `letterbox`.
        multiple: With `aspect` both sides are rounded to multiples of this. So the aspect ratio is off by a few
            percent, and so is the number of pixels.

    Raises:
        ConfigurationError: `resize` is something else.
    """
    if resize == "stretch":
        return model_wh
    if resize == "letterbox":
        scale = min(model_wh[0] / frame_wh[0], model_wh[1] / frame_wh[1])
        return max(1, round(frame_wh[0] * scale)), max(1, round(frame_wh[1] * scale))
    if resize != "aspect":
        raise ConfigurationError(f"resize is {resize!r}: write {', '.join(RESIZES)}")
    pixels, aspect_ratio = model_wh[0] * model_wh[1], frame_wh[0] / frame_wh[1]
    width, height = (
        max(1, round(sqrt(pixels * ratio) / multiple)) * multiple for ratio in (aspect_ratio, 1 / aspect_ratio)
    )
    return width, height


def input_image(frame: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """The frame, resized to the size of the model's input; `uint8`, shape (height, width, 3)."""
    # INTER_AREA finds the same people, and takes 5 to 50 times as long
    return np.asarray(cv2.resize(frame, size_wh, interpolation=cv2.INTER_LINEAR), np.uint8)


def suppress(boxes: NDArray[Any], scores: NDArray[Any], confidence: float, iou: float) -> NDArray[np.float32]:
    """Non-maximum suppression: of boxes that overlap, keep the one of the highest confidence.

    Args:
        boxes: Shape (n, 4): x1, y1, x2, y2.
        scores: Shape (n,), 0 to 1.
        confidence: Boxes below are left out. Boxes above are the same ones, however low it is.
        iou: Of two boxes with a higher intersection over union only one is kept.

    Returns:
        `float32`, shape (k, 5): x1, y1, x2, y2 and confidence; the most confident first.

    Raises:
        ConfigurationError: These are not the outputs of a people detector.
    """
    if not (scores <= 1).all():
        raise ConfigurationError("the model gave scores that are not from 0 to 1: its card names the wrong outputs")
    sure = scores >= confidence
    boxes, scores = boxes[sure], scores[sure]
    if not (np.abs(boxes) < _FAR).all():
        raise ConfigurationError("the model gave boxes that are not in pixels of its input")
    corner_and_size = np.hstack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]))
    kept = np.array(cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), confidence, iou), int).ravel()
    return np.column_stack((boxes[kept], scores[kept])).astype(np.float32)


def boxes_in_frame(
    found: NDArray[np.float32], size_wh: tuple[int, int], frame_wh: tuple[int, int]
) -> NDArray[np.float32]:
    """Boxes of the model's input as boxes of the frame; they may reach over its edges.

    Args:
        found: Shape (n, 5), as `suppress` returns it; in pixels of the input.
        size_wh: Width and height of the input.
        frame_wh: Width and height of the frame.

    Returns:
        `float32`, shape (n, 5), in pixels of the frame.
    """
    scale = np.array([frame_wh[0] / size_wh[0], frame_wh[1] / size_wh[1]] * 2 + [1], np.float32)
    return found * scale


def whole_pixels(boxes: NDArray[Any] | Sequence[Box], frame_wh: tuple[int, int]) -> NDArray[np.int64]:
    """Boxes as they are written and drawn: in whole pixels, cut off at the edges of the frame; shape (n, 4)."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.clip(np.rint(corners), 0, frame_wh * 2).astype(np.int64)
