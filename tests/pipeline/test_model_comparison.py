"""Two models on the same frames: their agreement, what labels say of them, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from rededge_nb.control.model_import import ImportOptions, import_model
from rededge_nb.errors import ConfigurationError, SourceError
from rededge_nb.pipeline.model_comparison import compare_models
from tests.cli.running import rededge
from tests.control.model_import import toys
from tests.control.model_import.test_layouts import frame_of
from tests.control.model_import.toys import Toy

FRAMES = 6


def twice(toy: Toy, box: list[str]) -> None:
    """The box, and one of its size above it."""
    x1, y1, x2, y2 = box
    height = toy.node("Sub", [y2, y1])
    above = [x1, toy.node("Sub", [y1, height]), x2, y1]
    rows = [toy.join([*each, toy.like(x1, [toys.SCORE, 0])], axis=2) for each in (box, above)]
    toy.output("output0", toy.row_in_table(toy.join(rows, axis=1), 0, 300, 6), ["N", 301, 6])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cards of a model that finds the rectangle and of one that finds a second box, frames, and labels."""
    made = tmp_path_factory.mktemp("comparison")
    for name, head in (("one", toys.yolov8), ("two", twice)):
        onnx.save(toys.toy_model(head), made / f"{name}.onnx")
        import_model(made / f"{name}.onnx", ImportOptions(classes=("coco",)))
    (made / "frames").mkdir()
    image, box = frame_of((320, 240))
    lines = ["frame,people"]
    for number in range(FRAMES):
        cv2.imwrite(str(made / "frames" / f"{number}.png"), image)
        lines.append(f"{number + 1},1")
    (made / "counts.csv").write_text("\n".join(lines))
    left, top, right, bottom = box
    rows = [f"{n + 1},1,{left + 1},{top + 1},{right - left},{bottom - top},1" for n in range(FRAMES)]
    (made / "boxes.txt").write_text("\n".join(rows))
    return made


def test_figures_of_two_models(folder: Path) -> None:
    from rededge_nb.control.models import load_card

    one, two = load_card(folder / "one.yaml"), load_card(folder / "two.yaml")
    result = compare_models(one, two, folder / "frames", truth=folder / "boxes.txt")
    assert (result.first.counts, result.second.counts) == ([1] * FRAMES, [2] * FRAMES)
    assert (result.agreement, result.same_count) == (pytest.approx(2 / 3), 0.0)
    scores = [each.scores for each in (result.first, result.second)]
    assert scores[0] is not None
    assert scores[1] is not None
    assert [(each.detections.recall, each.detections.precision) for each in scores if each and each.detections] == [
        (1.0, 1.0),
        (1.0, 0.5),
    ]
    assert [each.counts.bias for each in scores if each] == [0.0, 1.0]
    assert sorted(result.images) == [1, 2, 3, 4]
    assert result.images[1].shape == (240, 648, 3)
    same = compare_models(one, one, folder / "frames", frames=2)
    assert (same.agreement, same.same_count, len(same.images), len(same.first.counts)) == (1.0, 1.0, 0, 2)
    (folder / "boxes.bad").write_text("one,two")
    with pytest.raises(ConfigurationError, match=r"boxes\.bad: "):
        compare_models(one, two, folder / "frames", truth=folder / "boxes.bad")
    with pytest.raises(SourceError):
        compare_models(one, two, folder / "nothing.mp4")


def test_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    cards = (folder / "one.yaml", folder / "two.yaml")
    done = rededge(
        "models",
        "compare",
        *cards,
        "--video",
        folder / "frames",
        "--truth",
        folder / "counts.csv",
        "--output",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.split("  ", 1) for line in done.stdout.splitlines() if "  " in line)
    assert lines["people in a frame, mean"].split() == ["1.00", "2.00"]
    assert lines["count bias"].split() == ["+0.00", "+1.00"]
    assert lines["boxes that both find"].strip() == "67%"
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["frame-1.jpg", "frame-2.jpg", "frame-3.jpg", "frame-4.jpg", "people.png"]
    image = cv2.imread(str(tmp_path / "frame-1.jpg"))
    assert image is not None
    assert np.ptp(image) > 100
    figures = json.loads(rededge("models", "compare", *cards, "--video", folder / "frames", "--json").stdout)
    assert [each["counts"] for each in figures["models"]] == [[1] * FRAMES, [2] * FRAMES]
