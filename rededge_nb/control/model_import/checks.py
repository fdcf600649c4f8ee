"""Does a model that was imported find objects where objects can be? A wrong guess about its layout must not pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rededge_nb import assets
from rededge_nb.analytics.detecting import boxes_in_frame, input_image, input_size, suppress
from rededge_nb.control.model_import.building import BOXES, IMAGE, SCORES
from rededge_nb.control.model_import.running import Runner
from rededge_nb.errors import ConfigurationError, ModelImportError
from rededge_nb.images import Image

MOST_OBJECTS = 300
"""More objects in one image are not plausible."""
MOST_SHARE = 0.25
"""A larger share of a grid's cells with an object is not plausible."""
_MANY_ROWS = 1000
_SAMPLE_FRAME = 300
"""A frame of the sample video with several people in it."""


@dataclass(frozen=True)
class Use:
    """How a model is used: the fields of its card."""

    input_wh: tuple[int, int]
    resize: str
    multiple: int
    confidence: float
    iou: float
    class_id: int


def sample_image() -> Image:
    """A frame of the sample video, 768x576, with people."""
    video = cv2.VideoCapture(str(assets.sample_video()))
    video.set(cv2.CAP_PROP_POS_FRAMES, _SAMPLE_FRAME)
    read, frame = video.read()
    video.release()
    if not read:
        raise ModelImportError(f"{assets.sample_video()} cannot be read: install the package again")
    return np.asarray(frame, np.uint8)


def sample_images() -> dict[str, Image]:
    """Parts of a frame of the sample video in several aspect ratios, by name."""
    frame = sample_image()
    return {"4:3": frame, "16:9": frame[72:504], "9:16": np.ascontiguousarray(frame[:, 222:546])}


def find(runner: Runner, use: Use, image: Image, what: str) -> NDArray[np.float32]:
    """Find the objects in an image as the people counter does, and check that they are plausible.

    Args:
        runner: The finished model.
        use: How it is used.
        image: uint8 of shape (height, width, 3), blue first.
        what: The name of the image, for messages.

    Returns:
        float32 of shape (n, 5): x1 y1 x2 y2 in pixels of the image, and confidence.

    Raises:
        ModelImportError: The run failed, or the result is not plausible.
    """
    frame_wh = (image.shape[1], image.shape[0])
    size_wh = input_size(frame_wh, use.input_wh, use.resize, use.multiple)
    outputs = {each.name: each.values for each in runner.outputs({IMAGE: input_image(image, size_wh)[np.newaxis]})}
    boxes, scores = outputs[BOXES], outputs[SCORES]
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[::2] != (1, 4) or scores.shape[:2] != boxes.shape[:2]:
        raise ModelImportError(
            f"with {what}, boxes have the shape {list(boxes.shape)} and scores {list(scores.shape)}: "
            "[1, n, 4] and [1, n, classes] are needed"
        )
    best = scores[0, :, use.class_id]
    if not np.isfinite(boxes).all() or not np.isfinite(best).all():
        raise ModelImportError(f"with {what}, the model gives values that are not numbers (NaN or infinite)")
    if best.size and (best.max() > 1 or best.min() < -1):
        raise ModelImportError(f"with {what}, scores are {best.min():.3g} to {best.max():.3g}, and not from 0 to 1")
    _check_plausible(boxes[0], best, use, size_wh, what)
    try:
        found = suppress(boxes[0], best, use.confidence, use.iou)
    except ConfigurationError as error:
        raise ModelImportError(f"with {what}, {error}") from error
    if len(found) > MOST_OBJECTS:
        raise ModelImportError(
            f"with {what}, the model finds {len(found)} objects with a confidence of {use.confidence} or more: that "
            "is not plausible"
        )
    return boxes_in_frame(found, size_wh, frame_wh)


def _check_plausible(
    boxes: NDArray[np.float32], best: NDArray[np.float32], use: Use, size_wh: tuple[int, int], what: str
) -> None:
    sure = np.asarray(best >= use.confidence)
    if len(best) > _MANY_ROWS and sure.mean() > MOST_SHARE:
        raise ModelImportError(
            f"with {what}, {sure.mean():.0%} of the model's {len(best)} boxes have a confidence of {use.confidence} or "
            "more: that is not plausible"
        )
    chosen: NDArray[np.float32] = boxes[sure]
    if chosen.size == 0:
        return
    middle = (chosen[:, :2] + chosen[:, 2:]) / 2 / size_wh
    sides = (chosen[:, 2:] - chosen[:, :2]) / size_wh
    bad = ((middle < -0.1) | (middle > 1.1) | (sides <= 0) | (sides > 2)).any(axis=1)
    if bad.mean() > 0.1:
        example = ", ".join(f"{number:.1f}" for number in chosen[np.argmax(bad)])
        raise ModelImportError(
            f"with {what}, {bad.sum()} of {len(chosen)} boxes are outside of the image of {size_wh[0]}x{size_wh[1]}, "
            f"or have no size: for example {example}"
        )


def several_at_once(runner: Runner, use: Use, images: Sequence[Image]) -> bool:
    """Whether the model gives the same for two images at once as for each alone."""
    inputs = [input_image(image, use.input_wh)[np.newaxis] for image in images]
    try:
        together = runner.outputs({IMAGE: np.concatenate(inputs)})
    except ModelImportError:
        return False
    alone = [runner.outputs({IMAGE: each}) for each in inputs]
    return all(
        output.shape[0] == len(images)
        and all(
            one[place].shape == output.values[index : index + 1].shape
            and np.allclose(one[place].values, output.values[index : index + 1], rtol=1e-2, atol=1e-2)
            for index, one in enumerate(alone)
        )
        for place, output in enumerate(together)
    )
