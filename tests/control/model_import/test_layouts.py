"""Each layout is recognised without options, and its boxes are right to a pixel in frames of several aspect ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from rededge_nb.analytics.detecting import boxes_in_frame, input_image, input_size, suppress
from rededge_nb.control.model_import.importing import Result, run_import
from rededge_nb.control.model_import.options import ImportOptions
from rededge_nb.control.model_import.running import Runner
from rededge_nb.images import Image
from tests.control.model_import import toys
from tests.control.model_import.toys import Form, Toy

DEFAULTS = ImportOptions()
FRAMES = {"16:9": (320, 180), "4:3": (320, 240), "portrait": (180, 320), "larger": (960, 540)}


@dataclass(frozen=True)
class Case:
    """A toy, and how it is imported."""

    layout: str
    head: Callable[[Toy, list[str]], None]
    form: Form = toys.RGB
    names: str = ""
    resize: str = "letterbox"
    score: float = toys.SCORE


BGR_BYTES = Form("bgr", "0-255")
TENSORFLOW = Form("rgb", "0-255", channels_last=True, dtype=TensorProto.UINT8)
CASES = (
    Case("yolov8", toys.yolov8),
    Case("yolov5", toys.yolov5, score=0.95 * 0.96),
    Case("yolox", toys.yolox, BGR_BYTES, score=0.95 * 0.96),
    Case("yolov10", toys.nms_free, names="{0: 'person', 1: 'dog'}"),
    Case("yolov7-nms", toys.rows_of_seven, names="{0: 'person', 1: 'dog', 2: 'cat', 3: 'cow'}"),
    Case("nms-inside", toys.four_outputs, names="{0: 'person', 1: 'dog'}"),
    Case("yolo-nas", toys.yolo_nas),
    Case("rt-detr", toys.rt_detr, names='["person", "dog"]', resize="stretch"),
    Case("rf-detr", toys.rf_detr, Form("rgb", "imagenet"), resize="stretch"),
    Case("nanodet-plus", toys.nanodet_plus, Form("bgr", "imagenet"), resize="stretch"),
    Case("picodet", toys.picodet, Form("rgb", "imagenet"), resize="stretch"),
    Case("yolov6", toys.yolov6, score=0.95 * 0.96),
    Case("yolo-nas-nms", toys.rows_of_seven_flat, names='["person", "dog"]'),
    Case("rt-detr-ultralytics", toys.rt_detr_ultralytics, resize="stretch"),
    Case("paddledetection", toys.rows_of_six, Form("rgb", "imagenet"), names='["person", "dog"]', resize="stretch"),
    Case("tensorflow-ssd", toys.tensorflow_ssd, TENSORFLOW, names='["person", "dog"]', resize="stretch"),
)
YOLOV8 = CASES[0]


def frame_of(frame_wh: tuple[int, int]) -> tuple[Image, NDArray[np.float64]]:
    """A grey frame with a red rectangle, and the rectangle: x1 y1 x2 y2."""
    width, height = frame_wh
    x1, y1, x2, y2 = round(0.3 * width), round(0.31 * height), round(0.58 * width), round(0.6 * height)
    frame = np.full((height, width, 3), 90, np.uint8)
    frame[y1:y2, x1:x2] = (0, 0, 255)
    return frame, np.array([x1, y1, x2, y2], np.float64)


def imported(
    case: Case, folder: Path, options: ImportOptions = DEFAULTS, *, side: int = 320, opset: int = 17
) -> Result:
    metadata = {"names": case.names} if case.names else {}
    path = folder / "toy.onnx"
    onnx.save(toys.toy_model(case.head, case.form, side=side, opset=opset, metadata=metadata), path)
    return run_import(path, options, {})


def found(result: Result, frame: Image) -> NDArray[np.float32]:
    """What the people counter finds with an imported model."""
    fields = result.fields
    frame_wh = (frame.shape[1], frame.shape[0])
    size_wh = input_size(frame_wh, (fields["input"]["width"], fields["input"]["height"]), fields["input"]["resize"])
    inputs = {"image": input_image(frame, size_wh)[np.newaxis]}
    boxes, scores = (each.values for each in Runner(result.blob, "the model").outputs(inputs))
    counting = fields["counting"]
    kept = suppress(boxes[0], scores[0, :, counting["class_id"]], counting["confidence"], counting["iou"])
    return boxes_in_frame(kept, size_wh, frame_wh)


def check(result: Result, case: Case) -> None:
    """The model finds the rectangle, and nothing else, in each frame."""
    for name, frame_wh in FRAMES.items():
        frame, box = frame_of(frame_wh)
        objects = found(result, frame)
        assert objects.shape == (1, 5), name
        # a frame that is reduced cannot be more exact than a pixel of the input
        tolerance = max(1.0, max(frame_wh) / 320)
        assert np.abs(objects[0, :4] - box).max() <= tolerance, (name, objects[0, :4], box)
        assert abs(objects[0, 4] - case.score) < 0.01, name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layout)
def test_a_layout_is_recognised_and_its_boxes_are_right(case: Case, tmp_path: Path) -> None:
    result = imported(case, tmp_path)
    assert result.recognised[0].startswith(f"layout {case.layout} (")
    assert result.fields["input"]["resize"] == case.resize
    assert (result.fields["classes"], result.fields["counting"]["class_id"]) == (["person"], 0)
    check(result, case)


@pytest.mark.parametrize("opset", [11, 22])
@pytest.mark.parametrize("case", [YOLOV8, CASES[2], CASES[5]], ids=lambda case: case.layout)
def test_opsets_from_11_to_22(case: Case, opset: int, tmp_path: Path) -> None:
    check(imported(case, tmp_path, opset=opset), case)


@pytest.mark.parametrize(
    "form",
    [
        Form(dtype=TensorProto.FLOAT16),
        Form(batch="N"),
        Form(batch=3),
        Form(dynamic_sides=True, batch="N"),
        Form("rgb", "0-255", dtype=TensorProto.UINT8),
        Form(channels_last=True),
    ],
    ids=["float16", "any batch", "batch of 3", "any size", "uint8", "channels last"],
)
def test_forms_of_the_input(form: Form, tmp_path: Path) -> None:
    options = ImportOptions(size_wh=(320, 320)) if form.dynamic_sides else ImportOptions()
    result = imported(replace(YOLOV8, form=form), tmp_path, options)
    check(result, YOLOV8)
    frame, _ = frame_of((320, 320))
    (dim, *_) = onnx.load_from_string(result.blob).graph.input[0].type.tensor_type.shape.dim
    assert dim.dim_param == ("N" if form.batch == "N" else "")
    if form.batch == "N":
        boxes, _ = Runner(result.blob, "it").outputs({"image": np.stack([frame, frame[:, ::-1]])})
        assert boxes.shape == (2, toys.cells(320), 4)
        assert np.abs(boxes.values[0] - boxes.values[1]).max() > 10, "each image has its own boxes"


def test_weights_in_another_file_become_part_of_the_model(tmp_path: Path) -> None:
    model = toys.toy_model(toys.yolov8)
    path = tmp_path / "toy.onnx"
    onnx.save(model, path, save_as_external_data=True, location="toy.onnx.data", size_threshold=0)
    assert (tmp_path / "toy.onnx.data").stat().st_size > 0
    result = run_import(path, ImportOptions(), {})
    (tmp_path / "toy.onnx.data").unlink()
    check(result, YOLOV8)


def test_the_metadata_of_the_exporter_gives_names_and_size(tmp_path: Path) -> None:
    metadata = {
        "names": "{0: 'helmet', 1: 'person', 2: 'vest'}", "imgsz": "[320, 320]", "task": "detect",
        "license": "AGPL-3.0 License (https://ultralytics.com/license)", "description": "Our YOLO11n model",
    }  # fmt: skip

    def head(toy: Toy, box: list[str]) -> None:
        rows = toys.cells(toy.side)
        row = toy.join([*toy.centres(box), toy.like(box[0], [0.1, toys.SCORE, 0.2])], axis=2)
        table = toy.row_in_table(row, 3, rows, 7)
        toy.output("output0", toy.node("Transpose", [table], perm=[0, 2, 1]), ["N", 7, rows])

    path = tmp_path / "toy.onnx"
    onnx.save(toys.toy_model(head, Form(dynamic_sides=True), metadata=metadata), path)
    result = run_import(path, ImportOptions(), {})
    check(result, YOLOV8)
    assert result.fields["licence"].startswith("AGPL-3.0")
    assert result.fields["origin"] == "Our YOLO11n model"
    assert "3 classes, named by the file; counted: person" in result.recognised


def test_several_classes_are_counted_together(tmp_path: Path) -> None:
    def head(toy: Toy, box: list[str]) -> None:
        row = toy.join([*toy.centres(box), toy.like(box[0], [0.1, 0.2, toys.SCORE])], axis=2)
        table = toy.row_in_table(row, 3, toys.cells(toy.side), 7)
        toy.output("output0", toy.node("Transpose", [table], perm=[0, 2, 1]), ["N", 7, "n"])

    path = tmp_path / "toy.onnx"
    onnx.save(toys.toy_model(head, metadata={"names": "['person', 'car', 'rider']"}), path)
    result = run_import(path, ImportOptions(count=("person", "rider")), {})
    check(result, YOLOV8)
    assert result.fields["classes"] == ["person or rider"]


def test_the_user_can_overrule_what_was_recognised(tmp_path: Path) -> None:
    case = replace(YOLOV8, form=Form("bgr", "0-255"))
    options = ImportOptions(layout="yolov8", colour="bgr", scale="0-255", resize="stretch", confidence=0.6)
    result = imported(case, tmp_path, options)
    assert (result.fields["input"]["resize"], result.fields["counting"]["confidence"]) == ("stretch", 0.6)
    check(result, case)
