"""What an import writes: the model, its card and what was recognised; and that nothing is written if it fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from rededge_nb import assets
from rededge_nb.control.model_import import ImportOptions, import_model, names_from, size_from
from rededge_nb.control.model_import.importing import run_import
from rededge_nb.control.models import load_card
from rededge_nb.errors import ModelImportError
from tests.control.model_import import toys
from tests.control.model_import.test_layouts import frame_of
from tests.control.model_import.toys import Form, Toy


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "mine.onnx"
    onnx.save(toys.toy_model(toys.yolov8), path)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_and_its_card_are_written(toy: Path) -> None:
    frame, box = frame_of((640, 360))
    questions = []

    def answer(question: str) -> str:
        questions.append(question)
        return " Apache-2.0 " if "licence" in question else ""

    result = import_model(toy, image=frame, ask=answer)
    assert questions == ["the licence of the weights", "where the weights come from"]
    assert (result.card.licence, result.card.origin) == ("Apache-2.0", "unknown")
    assert sorted(files(toy.parent)) == ["mine.onnx", "mine.rededge.onnx", "mine.yaml"]
    card = load_card(toy.with_name("mine.yaml"))
    assert card == result.card
    assert (card.name, card.resize, card.input_wh, card.classes) == ("mine", "letterbox", (320, 320), ("person",))
    assert card.key == f"model:mine:{card.sha256[:8]}"
    assert len(card.read()) > toy.stat().st_size
    assert result.tried is not None
    assert np.abs(result.tried[0, :4] - box).max() <= 2
    (warning,) = result.warnings
    assert warning.startswith("where the weights come from is not known: give --origin")
    text = str(result)
    assert text.startswith("layout yolov8 (YOLOv8, YOLOv9, YOLO11, YOLO12), because of output0 float32 [1, 84, 2100]")
    assert "RGB, values 0-1, fitted in with its aspect ratio (letterbox)" in text
    assert "80 classes, named by the number of classes (80), which is COCO's; counted: person" in text
    assert "found 1 in your image" in text


def test_what_the_card_says_is_kept_when_a_model_is_imported_again(toy: Path) -> None:
    first = import_model(toy, ImportOptions(licence="MIT", origin="our own"))
    assert first.warnings == ()
    fields = yaml.safe_load(first.card_file.read_text())
    tracking = {"low": 0.2, "high": 0.6, "new": 0.7}
    fields |= {"tracking": tracking, "counting": {"class_id": 0, "confidence": 0.55, "iou": 0.4}}
    first.card_file.write_text(yaml.safe_dump(fields))
    again = import_model(toy)
    assert (again.card.confidence, again.card.iou, again.card.licence) == (0.55, 0.4, "MIT")
    assert again.card.tracking == load_card(first.card_file).tracking
    assert again.card.key == first.card.key
    onnx.save(toys.toy_model(toys.yolov8, Form("bgr")), toy)
    changed = import_model(toy, ImportOptions(colour="bgr", confidence=0.3))
    assert (changed.card.confidence, changed.card.origin) == (0.3, "our own")
    assert changed.card.key != first.card.key, "a frame must not get a new model with old settings"


@pytest.mark.parametrize("name", assets.bundled_models())
def test_the_card_of_a_bundled_model_is_what_an_import_writes(name: str, tmp_path: Path) -> None:
    folder = assets.folder("models")
    result = import_model(folder / f"{name}.onnx", output=tmp_path)
    assert result.card_file.read_text() == (folder / f"{name}.yaml").read_text()
    assert result.card.file.read_bytes() == (folder / f"{name}.onnx").read_bytes()
    assert result.sample_objects >= 5
    assert "no node is added" in str(result)


def dropped(toy: Toy, box: list[str]) -> None:
    toy.output("embedding", toy.join(box, axis=2), ["N", 1, 4])


def one_class(toy: Toy, box: list[str]) -> None:
    row = toy.join([*toy.centres(box), toy.like(box[0], [toys.SCORE])], axis=2)
    table = toy.row_in_table(row, 1, toys.cells(toy.side), 5)
    toy.output("output0", toy.node("Transpose", [table], perm=[0, 2, 1]), ["N", 5, "n"])


def everywhere(toy: Toy, box: list[str]) -> None:
    row = toy.join([*toy.centres(box), toy.like(box[0], [0.9] + [0.0] * 79)], axis=2)
    table = toy.node("Tile", [row, toy.constant([1, toys.cells(toy.side), 1], np.int64)])
    toy.output("output0", toy.node("Transpose", [table], perm=[0, 2, 1]), ["N", 84, "n"])


def outside(toy: Toy, box: list[str]) -> None:
    toys.yolov8(toy, [toy.calculate("Add", each, 5000.0) for each in box])


def no_numbers(toy: Toy, box: list[str]) -> None:
    toys.yolov8(toy, [toy.node("Log", [toy.calculate("Mul", each, -1.0)]) for each in box])


def nothing(toy: Toy, box: list[str]) -> None:
    row = toy.join([*toy.centres(box), toy.like(box[0], [0.001] * 80)], axis=2)
    table = toy.row_in_table(row, 1, toys.cells(toy.side), 84)
    toy.output("output0", toy.node("Transpose", [table], perm=[0, 2, 1]), ["N", 84, "n"])


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        (dropped, {}, r"layout of the outputs is not known\. inputs: images float32 \[1, 3, 320, 320\]; "
         r"outputs: embedding float32 \[1, 1, 4\]\. Closest layouts: \w+"),
        (toys.yolov8, {"layout": "yolox"}, "the model does not have the layout yolox.*Closest layouts: yolox"),
        (toys.yolov8, {"layout": "yolo"}, "there is no layout 'yolo': write rededge, .*yolox"),
        (one_class, {}, "the file does not name its classes, of which there are 1: give their names"),
        (toys.yolov8, {"classes": ["person", "car"]}, "each row has 84 fields, not 4 and one for each of 2 classes"),
        (toys.yolov8, {"count": ["person"], "plural": "folk"}, "the plural is 'folk', but people are counted"),
        (toys.yolov8, {"count": ["unicorn"]}, "has no class 'unicorn': there are person, bicycle"),
        (toys.yolov8, {"size_wh": [640, 640]}, "size is 640x640, but the input of the model is 320x320"),
        (toys.yolov8, {"scale": "0-2"}, "scale is '0-2': write 0-1, 0-255"),
        (toys.yolov8, {"sice": 3}, "there is no option sice: write name, "),
        (everywhere, {}, "100% of the model's 2100 boxes have a confidence of 0.4"),
        (outside, {}, "1 of 1 boxes are outside of the image of 320x"),
        (no_numbers, {}, "values that are not numbers"),
        (nothing, {}, "finds nobody in the sample image.*try the model on an image of your own .*layout yolov8"),
    ],
)  # fmt: skip
def test_a_wrong_guess_does_not_pass(
    head: Callable[[Toy, list[str]], None], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    onnx.save(toys.toy_model(head), tmp_path / "toy.onnx")
    with pytest.raises(ModelImportError, match=message):
        run_import(tmp_path / "toy.onnx", ImportOptions.of(options), {})


def test_nothing_is_written_if_a_check_fails(tmp_path: Path) -> None:
    onnx.save(toys.toy_model(outside), tmp_path / "toy.onnx")
    before = files(tmp_path)
    with pytest.raises(ModelImportError, match="1 of 1 boxes are outside"):
        import_model(tmp_path / "toy.onnx")
    with pytest.raises(ModelImportError, match=r"the name '\.\./evil' cannot be used"):
        import_model(tmp_path / "toy.onnx", ImportOptions(name="../evil"))
    assert files(tmp_path) == before


def test_another_file_of_the_same_name_is_not_replaced(toy: Path) -> None:
    toy.with_name("mine.yaml").write_text("services: {}\n")
    before = files(toy.parent)
    with pytest.raises(ModelImportError, match=r"mine\.yaml is there already, and is no model card"):
        import_model(toy)
    assert files(toy.parent) == before


def test_options_as_a_user_writes_them(tmp_path: Path) -> None:
    (tmp_path / "coco.names").write_text("person\nbicycle\n\n")
    assert names_from(str(tmp_path / "coco.names")) == names_from(" person, bicycle") == ("person", "bicycle")
    assert (size_from("640x480"), size_from("416"), size_from(None)) == ((640, 480), (416, 416), None)
    with pytest.raises(ModelImportError, match="size is 'large': write width and height"):
        size_from("large")
    with pytest.raises(ModelImportError, match=r"confidence is '0\.4', which has the wrong type"):
        ImportOptions.of({"confidence": "0.4"})


@pytest.mark.parametrize(
    ("options", "name", "plural", "series"),
    [
        ({}, "person", "people", "people"),
        ({"count": ["bus"]}, "bus", "buses", "count"),
        ({"count": ["traffic light"], "plural": "lamps"}, "traffic light", "lamps", "count"),
        ({"count": ["person", "bicycle"]}, "person+bicycle", "people and bicycles", "count"),
    ],
)
def test_the_card_says_what_is_counted(options: dict[str, Any], name: str, plural: str, series: str, toy: Path) -> None:
    # the toy finds objects of the class person only
    result = import_model(toy, ImportOptions.of(options))
    counted = result.card.counted
    assert (counted.name, counted.plural, counted.series) == (name, plural, series)
    assert result.sample_objects == ("person" in name)
    missed = [text for text in result.warnings if text.startswith(f"the sample image shows people and no {plural}")]
    assert len(missed) == ("person" not in name)
    # a plural that is in the card is kept
    again = import_model(toy, ImportOptions.of({key: value for key, value in options.items() if key != "plural"}))
    assert again.card.counted == counted


def test_the_only_class_of_a_model_is_counted(tmp_path: Path) -> None:
    onnx.save(toys.toy_model(one_class), tmp_path / "toy.onnx")
    assert run_import(tmp_path / "toy.onnx", ImportOptions(classes=("cat",)), {}).fields["counting"]["class"] == "cat"


def test_a_card_that_names_no_counted_class_counts_that_of_its_place(toy: Path) -> None:
    fields = yaml.safe_load(import_model(toy).card_file.read_text())
    for classes, counted in ((["person or rider"], "person"), (["dog"], "dog")):
        card = toy.with_name("other.yaml")
        card.write_text(yaml.safe_dump(fields | {"classes": classes}))
        assert load_card(card).counted.name == counted
