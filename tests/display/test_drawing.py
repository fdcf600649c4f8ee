from __future__ import annotations

import numpy as np
import pytest

from rededge_nb.display.drawing import BOX_COLOR, draw_boxes, draw_detections
from rededge_nb.reading.detections import Detections


def found(*boxes: tuple[float, float, float, float], confidence: float = 0.8) -> Detections:
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections("0", "1-0", "2-0", 1, xyxy, np.full(len(xyxy), confidence, np.float32), len(xyxy), "m", 1.0)


@pytest.mark.parametrize("background", [0, 128, 255])
@pytest.mark.parametrize("size", [(96, 128), (576, 768), (1440, 1920)])
def test_a_box_is_seen_on_any_background_at_any_size(background: int, size: tuple[int, int]) -> None:
    height, width = size
    image = np.full((height, width, 3), background, np.uint8)
    left, top, right, bottom = width // 2, height // 3, width * 3 // 4, height * 3 // 4
    drawn = draw_detections(image, found((left, top, right, bottom)), people=False, confidence=False)
    assert tuple(drawn[(top + bottom) // 2, left]) == BOX_COLOR
    assert tuple(drawn[bottom, (left + right) // 2]) == BOX_COLOR
    assert tuple(drawn[(top + bottom) // 2, (left + right) // 2]) == (background,) * 3
    row = drawn[(top + bottom) // 2, left : left + width // 8]
    assert row.min() < 40
    assert row.max() > 200


def test_the_given_image_is_not_changed() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    drawn = draw_detections(image, found((10, 10, 50, 50)))
    assert not image.any()
    assert drawn.any()
    assert drawn.shape == image.shape
    read_only = np.zeros((100, 100, 3), np.uint8)
    read_only.flags.writeable = False
    np.testing.assert_array_equal(draw_detections(read_only, found((10, 10, 50, 50))), drawn)


def test_labels_are_optional_and_need_a_confidence() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    box = (60.0, 100.0, 120.0, 180.0)
    plain = draw_detections(image, found(box), people=False, confidence=False)
    counted = draw_detections(image, found(box), confidence=False)
    labelled = draw_detections(image, found(box), people=False)
    assert (counted[:60] != plain[:60]).any()
    assert (labelled[80:100] != plain[80:100]).any()
    unknown = draw_detections(image, found(box, confidence=float("nan")), people=False)
    np.testing.assert_array_equal(unknown, plain)


def test_boxes_at_and_beyond_the_border() -> None:
    image = np.full((80, 60, 3), 90, np.uint8)
    drawn = draw_detections(image, found((-20, -20, 30, 30), (40, 60, 900, 900), (58, 0, 59, 2)))
    assert drawn.shape == image.shape
    assert (drawn != image).any()


def test_nobody() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    assert not draw_detections(image, found(), people=False).any()
    assert draw_detections(image, found()).any()


def test_boxes_alone_are_drawn_as_those_of_detections() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    detections = found((60, 100, 120, 180))
    plain = draw_boxes(image, detections.xyxy)
    np.testing.assert_array_equal(plain, draw_detections(image, detections, people=False, confidence=False))
    labelled = draw_boxes(image, detections.xyxy.astype(np.float64), detections.confidence, caption="1 person")
    np.testing.assert_array_equal(labelled, draw_detections(image, detections))
