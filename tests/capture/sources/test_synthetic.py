from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rededge_nb.capture.sources import RecordedSource, open_source
from rededge_nb.capture.sources.synthetic import DrawnScene
from rededge_nb.errors import ConfigurationError
from tests.analytics.running import line, run
from tests.analytics.walkers import Frame, Person


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


SCRIPT = """
walkers:
  - path: [[0, 100, 400], [4, 600, 400]]
  - {path: [[1, -50, 300], [3, 300, 300]], height: [60, 120], hidden: [[2, 2.5]]}
"""


@pytest.fixture
def scripted(tmp_path: Path) -> DrawnScene:
    (tmp_path / "walkers.yaml").write_text(SCRIPT)
    return DrawnScene.parse(f"synthetic:script={tmp_path}/walkers.yaml,size=768x576,fps=10")


def test_people_of_a_script_are_where_it_says(scripted: DrawnScene) -> None:
    assert scripted.frames == 50, "the last one has gone after 4 s, and the scene ends a second later"
    x1, y1, x2, y2 = scripted.boxes(20)[0].tolist()
    assert ((x1 + x2) / 2, y2, y2 - y1) == (pytest.approx(350, abs=1), 400, pytest.approx(120, abs=2))
    seen = [bool(scripted.boxes(index)[1].any()) for index in range(50)]
    # from 1 to 3 s, but not while hidden; at first nothing of the person is in the frame
    assert [index for index in range(50) if seen[index]] == [*range(13, 20), *range(25, 31)]
    heights = [int(box[3] - box[1]) for index in (15, 30) for box in [scripted.boxes(index)[1]]]
    assert heights[0] == pytest.approx(75, abs=2)
    assert heights[1] == pytest.approx(120, abs=2)


def test_the_boxes_of_a_script_are_those_of_the_pixels(scripted: DrawnScene) -> None:
    empty = DrawnScene(people=0, size_wh=scripted.size_wh)
    for walker in scripted.walkers:
        scene = replace(scripted, walkers=(walker,))
        for index in (0, 12, 13, 22, 30, 45):
            rows, columns = np.nonzero((scene.image(index) != empty.image(index))[16:].any(axis=2))
            expected = [columns.min(), rows.min() + 16, columns.max() + 1, rows.max() + 17] if rows.size else [0] * 4
            assert scene.boxes(index).tolist() == [expected]


@pytest.mark.parametrize("fps", [10, 25])
def test_a_script_is_counted_as_it_says(scripted: DrawnScene, fps: int) -> None:
    scene = replace(scripted, fps=fps, frames=None)
    assert scene.frames == 5 * fps
    frames = []
    for index in range(scene.frames):
        people = [Person(row, tuple(box)) for row, box in enumerate(scene.boxes(index).tolist()) if any(box)]
        frames.append(Frame(1000 * index // fps, people, []))
    counted = run(line((350, 500), (350, 100)), frames)
    assert counted.crossed() == (1, 0), "one walks to 600, the other one only to 300"


def test_a_scene_has_figures_or_a_script() -> None:
    with pytest.raises(ConfigurationError, match="people or script"):
        DrawnScene.parse("synthetic:people=2,script=walkers.yaml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("walkers: []", "1 to 1000"),
        ("people: 1", "walkers"),
        ("walkers: [{path: [[0, 1, 1]]}]", "fewer than two"),
        ("walkers: [{path: [[1, 1, 1], [1, 2, 2]]}]", "must be 0 or more, and increase"),
        ("walkers: [{path: [[0, 1, 1], [1, x, 2]]}]", "path in walkers[0]"),
        ("walkers: [{path: [[0, 1, 1], [1, 2, 2]], height: 0}]", "above 0"),
        ("walkers: [{path: [[0, 1, 1], [1, 2, 2]], hidden: [1, 2]}]", "hidden in walkers[0]"),
        ("walkers: [{path: [[0, 1, 1], [1, 2, 2]], speed: 1}]", "may have height and hidden"),
        ("walkers: [", "cannot be read"),
    ],
)
def test_scripts_that_are_refused(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "walkers.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        DrawnScene.parse(f"synthetic:script={file}")
