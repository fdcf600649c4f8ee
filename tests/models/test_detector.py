"""The people detectors find people whatever the frame's aspect ratio and however near they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models.detector import MODELS, Boxes, Detector, card_of, input_size, sample_frame

DETECTORS = ("nanodet-g-two-sizes", "nanodet-g-fast")
FRAMES = range(20, 795, 110)
TRUTH = MODELS.parents[1] / "shared" / "data" / "mot15"
"""Two labelled videos, which may be used for measuring only and are not part of the project."""

Frame = NDArray[np.uint8]


@pytest.fixture(params=DETECTORS, scope="module")
def detector(request: pytest.FixtureRequest) -> Detector:
    return Detector(request.param)


def overlaps(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """IoU of each box with each of the others: (boxes, others)."""
    top_left = np.maximum(boxes[:, np.newaxis, :2], others[np.newaxis, :, :2])
    bottom_right = np.minimum(boxes[:, np.newaxis, 2:], others[np.newaxis, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=-1)
    areas, other_areas = ((each[:, 2:] - each[:, :2]).prod(axis=-1) for each in (boxes, others))
    return np.asarray(shared / (areas[:, np.newaxis] + other_areas - shared), np.float64)


def found(expected: Boxes, boxes: Boxes) -> int:
    """How many of the expected boxes are among the boxes."""
    return int((overlaps(expected, boxes) >= 0.5).any(axis=1).sum())


@pytest.mark.parametrize(
    ("frame_wh", "two_sizes", "fast"),
    [
        ((640, 480), (512, 384), (384, 288)),
        ((768, 576), (512, 384), (384, 288)),
        ((1920, 1080), (576, 320), (448, 256)),
        ((1080, 1920), (320, 576), (256, 448)),
        ((480, 640), (384, 512), (288, 384)),
        ((1000, 1000), (448, 448), (320, 320)),
        ((3840, 1080), (832, 224), (640, 192)),
        ((64, 48), (512, 384), (384, 288)),
    ],
)
def test_the_size_of_the_input_follows_the_frame(
    frame_wh: tuple[int, int], two_sizes: tuple[int, int], fast: tuple[int, int]
) -> None:
    sizes = [
        input_size(frame_wh, (card["input"]["width"], card["input"]["height"]), card["input"]["multiple"])
        for card in map(card_of, DETECTORS)
    ]
    assert sizes == [two_sizes, fast]


@pytest.mark.parametrize("card_wh", [(512, 384), (384, 288)])
def test_the_aspect_ratio_and_the_number_of_pixels_are_kept(card_wh: tuple[int, int]) -> None:
    for width in range(360, 2400, 60):
        size = input_size((width, 1080), card_wh, 32)
        assert size[0] % 32 == size[1] % 32 == 0
        assert size[0] / size[1] == pytest.approx(width / 1080, rel=0.11)
        assert size[0] * size[1] == pytest.approx(card_wh[0] * card_wh[1], rel=0.11)


@pytest.mark.parametrize(
    ("x", "y", "width", "height"),
    [(0, 100, 768, 432), (222, 0, 324, 576), (168, 0, 432, 576)],
    ids=["16:9", "9:16", "3:4"],
)
def test_people_are_found_in_frames_of_other_aspect_ratios(
    detector: Detector, x: int, y: int, width: int, height: int
) -> None:
    present = seen = 0
    for number in FRAMES:
        frame = sample_frame(number)
        boxes, _ = detector(frame, 0.6)
        inside = (boxes[:, :2] > (x, y)).all(axis=1) & (boxes[:, 2:] < (x + width, y + height)).all(axis=1)
        expected = boxes[inside] - np.array([x, y, x, y], np.float32)
        present += len(expected)
        seen += found(expected, detector(frame[y : y + height, x : x + width])[0])
    assert present >= 15
    assert seen >= 0.9 * present


@pytest.mark.parametrize(("left", "top"), [(128, 0), (0, 224)], ids=["16:9", "3:4"])
def test_boxes_are_where_the_people_are_when_the_frame_gets_borders(detector: Detector, left: int, top: int) -> None:
    present = seen = 0
    for number in FRAMES:
        frame = sample_frame(number)
        expected, _ = detector(frame, 0.6)
        bordered = np.asarray(cv2.copyMakeBorder(frame, top, top, left, left, cv2.BORDER_CONSTANT, value=(114,) * 3))
        boxes, _ = detector(bordered)
        present += len(expected)
        seen += found(expected + np.array([left, top, left, top], np.float32), boxes)
    assert seen >= 0.9 * present


@pytest.mark.parametrize("share", [0.35, 0.45, 0.55, 0.65, 0.75, 0.85])
def test_people_of_every_height_are_found(detector: Detector, share: float) -> None:
    """At one size the network misses most of those between 35 and 45 % of the frame's height, or other ones."""
    present = seen = 0
    for enlarged, expected in enlargements(detector, share):
        boxes, _ = detector(enlarged)
        present += 1
        seen += found(expected[np.newaxis], boxes)
    assert present >= 12
    assert seen >= 0.9 * present


def enlargements(detector: Detector, share: float) -> Iterator[tuple[Frame, Boxes]]:
    """People of the sample, each enlarged to a share of the frame's height, with their boxes there: (4,)."""
    for number in FRAMES:
        frame = sample_frame(number)
        height, width = frame.shape[:2]
        for box in detector(frame, 0.7)[0]:
            factor = share * height / (box[3] - box[1])
            left, top = (box[:2] + box[2:]) / 2 - np.array([width, height]) / factor / 2
            if min(left, top) < 0 or left + width / factor > width or top + height / factor > height:
                continue
            moved = np.array([[factor, 0, -left * factor], [0, factor, -top * factor]])
            enlarged = cv2.warpAffine(frame, moved, (width, height), flags=cv2.INTER_CUBIC)
            yield np.asarray(enlarged, np.uint8), (box - np.array([left, top, left, top], np.float32)) * factor


@pytest.mark.parametrize(("name", "least"), [("nanodet-g-two-sizes", 0.82), ("nanodet-g-fast", 0.82)])
def test_accuracy_on_the_labelled_videos(name: str, least: float) -> None:
    if not TRUTH.is_dir():
        pytest.skip(f"{TRUTH} is not here")
    detector = Detector(name)
    measured = {video: average_precision(detector, TRUTH / video) for video in ("TUD-Campus", "TUD-Stadtmitte")}
    assert np.mean(list(measured.values())) >= least
    assert measured == pytest.approx(detector.card["measured"]["ap"], abs=0.02)


def average_precision(detector: Detector, folder: Path) -> float:
    """AP at IoU 0.5 over all points, of boxes from confidence 0.05 on, against a truth in MOT format."""
    truth: dict[int, list[list[float]]] = {}
    for line in (folder / "gt.txt").read_text().splitlines():
        frame, _, left, top, width, height = map(float, line.split(",")[:6])
        truth.setdefault(int(frame), []).append([left, top, left + width, top + height])
    video = cv2.VideoCapture(str(folder / f"{folder.name}.mp4"))
    judged: list[tuple[float, bool]] = []
    for number in range(1, int(video.get(cv2.CAP_PROP_FRAME_COUNT)) + 1):
        boxes, confidences = detector(np.asarray(video.read()[1], np.uint8), 0.05)
        free = overlaps(boxes, np.array(truth.get(number, []), np.float32).reshape(-1, 4))
        for index in np.argsort(-confidences, kind="stable"):
            match = int(free[index].argmax()) if free.shape[1] else -1
            right = match >= 0 and free[index, match] >= 0.5
            if right:
                free[:, match] = -1
            judged.append((float(confidences[index]), right))
    right_ones = np.cumsum([right for _, right in sorted(judged, key=lambda each: -each[0])])
    recall = right_ones / sum(map(len, truth.values()))
    precision = right_ones / np.arange(1, len(judged) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * envelope).sum())
