from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rededge_nb.display.colors import track_color
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


def tracked(*people: tuple[int, float], confidence: float = 0.8) -> Detections:
    """People by track and the left side of their box, which is 30 wide."""
    boxes = [(left, 60.0, left + 30, 150.0) for _, left in people]
    return replace(found(*boxes, confidence=confidence), tracks=np.array([track for track, _ in people], np.int64))


def bgr(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))[::-1]


def test_each_track_has_its_colour_in_every_frame() -> None:
    image = np.full((200, 400, 3), 90, np.uint8)
    for people in ([(1, 20.0), (2, 100.0), (9, 200.0)], [(9, 20.0), (1, 300.0)]):
        drawn = draw_detections(image, tracked(*people), people=False, confidence=False)
        for track, left in people:
            assert tuple(drawn[100, round(left)]) == bgr(track_color(track))
    assert len({track_color(track) for track in range(6)}) == 6


def test_trails_are_drawn_below_the_boxes_in_the_same_colour() -> None:
    image = np.full((200, 400, 3), 90, np.uint8)
    detections = tracked((4, 200.0))
    trails = [np.array([[20, 170], [120, 170], [215, 150]], np.float32)]
    plain = draw_detections(image, detections, people=False, confidence=False)
    drawn = draw_detections(image, detections, trails=trails, people=False, confidence=False)
    assert np.abs(drawn[170, 60].astype(int) - bgr(track_color(4))).max() < 30, "smoothed edges"
    assert tuple(plain[170, 60]) == (90, 90, 90)
    np.testing.assert_array_equal(drawn[60:140], plain[60:140])


def test_a_label_names_the_track_and_a_missed_person_has_no_percent() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    seen = draw_detections(image, tracked((4, 200.0)), people=False)
    missed = draw_detections(image, tracked((4, 200.0), confidence=0.0), people=False)
    nameless = draw_detections(image, found((200.0, 60.0, 230.0, 150.0)), people=False)
    widths = [int(drawn[35:58].any(axis=(0, 2)).sum()) for drawn in (missed, nameless, seen)]
    assert 0 < widths[0] < widths[1] < widths[2]


def test_labels_of_people_side_by_side_do_not_cover_each_other() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    boxes = [(200.0, 60.0, 230.0, 150.0), (205.0, 61.0, 235.0, 151.0), (390.0, 60.0, 399.0, 150.0)]
    boxes.append((385.0, 60.0, 399.0, 150.0))
    areas = []
    for tracks in ([1], [1, 2], [1, 2, 3], [1, 2, 3, 4]):
        several = replace(found(*boxes[: len(tracks)]), tracks=np.array(tracks))
        without = draw_detections(image, several, people=False, confidence=False)
        # all pixels that labels change, those of text too; boxes below a label have its colour or another one
        areas.append(int((draw_detections(image, several, people=False) != without).any(axis=2).sum()))
    assert areas[1] > 1.6 * areas[0], areas
    assert areas[3] > 3.2 * areas[0], areas


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
