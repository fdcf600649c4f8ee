from __future__ import annotations

import cv2
import numpy as np
import pytest

from rededge_nb.capture.sources import RecordedSource, open_source
from rededge_nb.capture.sources.synthetic import DrawnScene
from rededge_nb.errors import ConfigurationError


def drawn_boxes(scene: DrawnScene, index: int) -> list[list[int]]:
    """The boxes found in the pixels: the outermost ones that differ from an empty scene's, lane by lane."""
    empty = DrawnScene(people=0, size_wh=scene.size_wh, seed=scene.seed)
    differs = (scene.image(index) != empty.image(index)).any(axis=2)
    lane = (scene.size_wh[1] - 16) // scene.people
    boxes = []
    for number in range(scene.people):
        top = 16 + lane * number
        rows, columns = np.nonzero(differs[top : top + lane])
        boxes.append([columns.min(), top + rows.min(), columns.max() + 1, top + rows.max() + 1])
    assert not differs[:16].any()
    assert not differs[16 + lane * scene.people :].any()
    return boxes


@pytest.mark.parametrize(
    "scene",
    [
        DrawnScene(),
        DrawnScene(people=1, size_wh=(128, 64), seed=3),
        DrawnScene(people=19, size_wh=(641, 481), fps=10, seed=7),
        DrawnScene(people=2, size_wh=(200, 1000), fps=1, seed=11),
    ],
)
def test_the_boxes_are_those_of_the_pixels(scene: DrawnScene) -> None:
    for index in (0, 1, 2, 5, 13, 100, 12_345):
        boxes = scene.boxes(index)
        assert boxes.shape == (scene.people, 4)
        assert boxes.tolist() == drawn_boxes(scene, index)
        assert (boxes >= 0).all()
        assert (boxes[:, [0, 2]] <= scene.size_wh[0]).all()


def test_figures_move_smoothly_and_turn_at_the_sides() -> None:
    scene = DrawnScene(people=3, seed=2)
    boxes = np.array([scene.boxes(index) for index in range(2000)])
    middles = (boxes[:, :, 0] + boxes[:, :, 2]) / 2
    steps = np.abs(np.diff(middles, axis=0))
    assert steps.max() < 10
    assert (np.ptp(middles, axis=0) > 400).all()


def test_a_scene_is_the_same_every_time_and_another_with_another_seed() -> None:
    text = "synthetic:people=3,size=320x240,fps=30,frames=4,seed=9"
    with open_source(text) as one, open_source(text) as other, open_source(text[:-1] + "8") as third:
        assert (one.size_wh, one.native_fps, one.frame_count, one.live) == ((320, 240), 30, 4, False)
        images = list(one)
        np.testing.assert_array_equal(images[2], other.read_image(2))
        assert len(images) == 4
        assert (images[0] != third.read_image()).any()
    np.testing.assert_array_equal(images[3], DrawnScene.parse(text).image(3))


def test_a_scene_has_no_end_unless_told_and_loops_if_it_has() -> None:
    with open_source("synthetic:") as source:
        assert isinstance(source, RecordedSource)
        assert source.frame_count is None
        assert source.measure_duration() is None
        source.start_after(4000)
        assert source.read().position == pytest.approx(4000.04)
    with open_source("synthetic:frames=2", loop=True) as source:
        first, _, third = (source.read().image for _ in range(3))
        np.testing.assert_array_equal(first, third)


@pytest.mark.parametrize("index", [0, 1, 4095, 4096, 2**24 - 1])
def test_a_frame_tells_its_index_even_as_a_coarse_jpeg_or_a_smaller_one(index: int) -> None:
    scene = DrawnScene(size_wh=(640, 480))
    image = scene.image(index)
    coarse = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_COLOR)
    smaller = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    assert [scene.index_of(each) for each in (image, coarse, smaller)] == [index] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("synthetic:cats=5", r"'cats' in 'synthetic:cats=5' is not known: take people, size, fps, frames, seed"),
        ("synthetic:people=many", "people is 'many'"),
        ("synthetic:people", "people is ''"),
        ("synthetic:people=-1", "-1 people do not fit"),
        ("synthetic:people=20", "20 people do not fit into a synthetic scene of 640x480: take 0 to 19"),
        ("synthetic:size=10x10", "the size of a synthetic scene is 10x10"),
        ("synthetic:size=60000x60000", "up to 100 million pixels"),
        ("synthetic:size=big", "size is 'big'"),
        ("synthetic:fps=0", "fps is 0"),
        ("synthetic:fps=nan", "fps is nan"),
        ("synthetic:frames=0", "frames is 0"),
        ("synthetic:seed=-1", "seed is -1"),
    ],
)
def test_words_that_make_no_scene(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_source(text)
