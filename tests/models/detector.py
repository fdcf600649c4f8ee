"""How a people detector is used: choose the input size, resize, run, remove double boxes, scale back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import yaml
from numpy.typing import NDArray

MODELS = Path(__file__).parents[2] / "models"
SAMPLE_VIDEO = MODELS.parent / "notebooks" / "data" / "walking.mp4"

Boxes = NDArray[np.float32]
"""(n, 4): x1 y1 x2 y2 in pixels of the frame."""
Confidences = NDArray[np.float32]


def sample_frame(number: int) -> NDArray[np.uint8]:
    """A frame of the sample video, 768x576, counted from 0."""
    video = cv2.VideoCapture(str(SAMPLE_VIDEO))
    video.set(cv2.CAP_PROP_POS_FRAMES, number)
    read, frame = video.read()
    assert read, f"{SAMPLE_VIDEO} has no frame {number}"
    return np.asarray(frame, np.uint8)


def card_of(name: str) -> dict[str, Any]:
    card: dict[str, Any] = yaml.safe_load((MODELS / f"{name}.yaml").read_text())
    return card


def input_size(frame_wh: tuple[int, int], card_wh: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The input that has the frame's aspect ratio and as many pixels as the card's width and height.

    Both sides are rounded to multiples, so the aspect ratio is off by a few percent, and so is the number of pixels.
    """
    pixels, aspect_ratio = card_wh[0] * card_wh[1], frame_wh[0] / frame_wh[1]
    width, height = (
        max(1, round(math.sqrt(pixels * ratio) / multiple)) * multiple for ratio in (aspect_ratio, 1 / aspect_ratio)
    )
    return width, height


class Detector:
    """A model with its card, on ONNX Runtime.

    Args:
        name: The card's name.
        threads: Threads of one run.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self.card = card_of(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(
            MODELS / self.card["file"], options, providers=["CPUExecutionProvider"]
        )

    def size_for(self, frame: NDArray[np.uint8]) -> tuple[int, int]:
        """Width and height of the input for a frame."""
        described, frame_wh = self.card["input"], (frame.shape[1], frame.shape[0])
        card_wh = (described["width"], described["height"])
        return input_size(frame_wh, card_wh, described["multiple"]) if described["resize"] == "aspect" else card_wh

    def __call__(self, frame: NDArray[np.uint8], confidence: float | None = None) -> tuple[Boxes, Confidences]:
        """Find the people in a frame.

        Args:
            frame: uint8 of shape (height, width, 3), blue first.
            confidence: Least confidence of a box; None is the card's for counting.
        """
        counting = self.card["counting"]
        least = counting["confidence"] if confidence is None else confidence
        width, height = self.size_for(frame)
        # INTER_AREA finds the same people and takes 5 to 50 times as long
        image = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        boxes, scores = (output[0] for output in self.session.run(["boxes", "scores"], {"image": image[np.newaxis]}))
        scores = scores[:, counting["class_id"]]
        sure = scores >= least
        boxes, scores = boxes[sure], scores[sure]
        xywh = np.hstack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]))
        kept = np.array(cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), least, counting["iou"]), int).ravel()
        scale = np.array([frame.shape[1] / width, frame.shape[0] / height] * 2, np.float32)
        return boxes[kept] * scale, scores[kept]
