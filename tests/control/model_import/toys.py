"""Toy detectors: small ONNX graphs that find the red rectangle in an image, with the outputs of a real detector.

They compute the box from the pixels. So colours, scaling, letterbox, decoding and the way back to the frame must all be
right for the box to be right. Without anything red the box is a fixed one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from onnx import ModelProto, TensorProto, helper, numpy_helper

COCO_COUNT = 80
SCORE = 0.9
CLASS = 0
DEFAULT_BOX = (90.0, 90.0, 160.0, 190.0)
"""Where the box is in an image without red."""
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass
class Toy:
    """A graph that is being made.

    Args:
        side: Width and height of the input.
        opset: Its opset.
    """

    side: int = 320
    opset: int = 17
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    outputs: list[tuple[str, list[Any], int]] = field(default_factory=list)

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def calculate(self, kind: str, value: str, other: str | ArrayLike) -> str:
        return self.node(kind, [value, other if isinstance(other, str) else self.constant(other)])

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        return self.node("Reshape", [value, self.constant(shape, np.int64)])

    def join(self, values: Sequence[str], axis: int) -> str:
        return self.node("Concat", values, axis=axis)

    def output(self, name: str, value: str, shape: list[Any], dtype: int = TensorProto.FLOAT) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append((name, shape, dtype))

    def largest(self, value: str, axis: int) -> str:
        """The largest value along an axis; since opset 18 the axes are an input."""
        if self.opset < 18:
            return self.node("ReduceMax", [value], axes=[axis], keepdims=1)
        return self.node("ReduceMax", [value, self.constant([axis], np.int64)], keepdims=1)

    def box(self, red: str, blue: str) -> list[str]:
        """The corners x1, y1, x2, y2 of what is red, each of shape (N, 1, 1); channels are (N, side, side), 0 to 1."""
        difference = self.node("Sub", [red, blue])
        mask = self.node("Cast", [self.calculate("Greater", difference, 0.6)], to=TensorProto.FLOAT)
        corners: dict[str, str] = {}
        for name, others, shape in (("x", 1, (1, 1, -1)), ("y", 2, (1, -1, 1))):
            line = self.largest(mask, others)
            places = np.arange(self.side, dtype=np.float32).reshape(shape)
            end = self.largest(self.calculate("Mul", line, places + 1), 3 - others)
            start = self.largest(self.calculate("Mul", line, self.side - places), 3 - others)
            corners[f"{name}1"] = self.node("Sub", [self.constant(float(self.side)), start])
            corners[f"{name}2"] = end
        found = self.calculate("Greater", corners["x2"], 0.0)
        return [
            self.node("Where", [found, corners[name], self.constant(default)])
            for name, default in zip(("x1", "y1", "x2", "y2"), DEFAULT_BOX, strict=True)
        ]

    def centres(self, box: Sequence[str]) -> list[str]:
        """Centre x, centre y, width, height."""
        x1, y1, x2, y2 = box
        sums = [self.calculate("Mul", self.node("Add", pair), 0.5) for pair in ((x1, x2), (y1, y2))]
        return [*sums, self.node("Sub", [x2, x1]), self.node("Sub", [y2, y1])]

    def row_in_table(self, row: str, index: int, rows: int, fields: int) -> str:
        """A table (N, rows, fields) of zeros with one row, (N, 1, fields)."""
        images = self.node("Mul", [row, self.constant(0.0)])
        before = self.node("Tile", [images, self.constant([1, index, 1], np.int64)]) if index else None
        after = self.node("Tile", [images, self.constant([1, rows - index - 1, 1], np.int64)])
        return self.join([part for part in (before, row, after) if part], axis=1)

    def like(self, value: str, numbers: ArrayLike) -> str:
        """Constant numbers (n,) as (N, 1, n), with the N of a value (N, 1, 1)."""
        zeros = self.node("Mul", [value, self.constant(0.0)])
        return self.calculate("Add", zeros, np.array(numbers, np.float32).reshape(1, 1, -1))


@dataclass(frozen=True)
class Form:
    """How a toy gets its image."""

    colour: str = "rgb"
    scale: str = "0-1"
    channels_last: bool = False
    dtype: int = TensorProto.FLOAT
    batch: int | str = 1
    dynamic_sides: bool = False


RGB = Form()
Head = Callable[[Toy, list[str]], None]


def toy_model(
    head: Head, form: Form = RGB, *, side: int = 320, opset: int = 17, metadata: dict[str, str] | None = None
) -> ModelProto:
    """A toy detector with the outputs that `head` makes from the box."""
    toy = Toy(side, opset)
    value = "images"
    if form.dtype != TensorProto.FLOAT:
        value = toy.node("Cast", [value], to=TensorProto.FLOAT)
    if form.channels_last:
        value = toy.node("Transpose", [value], perm=[0, 3, 1, 2])
    shape = (1, 3, 1, 1)
    if form.scale == "imagenet":
        mean, deviation = np.array(MEAN), np.array(DEVIATION)
        if form.colour == "bgr":
            mean, deviation = mean[::-1], deviation[::-1]
        value = toy.calculate("Mul", value, (deviation / 255).reshape(shape))
        value = toy.calculate("Add", value, (mean / 255).reshape(shape))
    elif form.scale == "0-255":
        value = toy.calculate("Mul", value, 1 / 255)
    first, last = (
        toy.reshape(toy.node("Gather", [value, toy.constant([place], np.int64)], axis=1), (-1, side, side))
        for place in (0, 2)
    )
    head(toy, toy.box(first, last) if form.colour == "rgb" else toy.box(last, first))
    sides: list[Any] = ["height", "width"] if form.dynamic_sides else [side, side]
    dims = [form.batch, *sides, 3] if form.channels_last else [form.batch, 3, *sides]
    graph = helper.make_graph(
        toy.nodes,
        "toy",
        [helper.make_tensor_value_info("images", form.dtype, dims)],
        [helper.make_tensor_value_info(name, dtype, dims) for name, dims, dtype in toy.outputs],
        toy.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    return model


def cells(side: int, strides: Sequence[int] = (8, 16, 32)) -> int:
    """Cells of the grids of these strides."""
    return sum((-(-side // stride)) ** 2 for stride in strides)


def _scores(toy: Toy, box: Sequence[str], count: int = COCO_COUNT, score: float = SCORE, at: int = CLASS) -> str:
    numbers = np.zeros(count, np.float32)
    numbers[at] = score
    return toy.like(box[0], numbers)


def yolov8(toy: Toy, box: list[str]) -> None:
    """[N, 84, cells]."""
    rows = cells(toy.side)
    row = toy.join([*toy.centres(box), _scores(toy, box)], axis=2)
    table = toy.row_in_table(row, 77, rows, 84)
    toy.output("output0", toy.node("Transpose", [table], perm=[0, 2, 1]), ["N", 84, rows])


def yolov5(toy: Toy, box: list[str]) -> None:
    """[N, 3 * cells, 85]: the score is the product of two."""
    rows = 3 * cells(toy.side)
    objectness = toy.like(box[0], [0.95])
    row = toy.join([*toy.centres(box), objectness, _scores(toy, box, score=0.96)], axis=2)
    toy.output("output", toy.row_in_table(row, 500, rows, 85), ["N", rows, 85])


def yolov6(toy: Toy, box: list[str]) -> None:
    """[N, cells, 85]: as YOLOv5, with one box in each cell."""
    rows = cells(toy.side)
    row = toy.join([*toy.centres(box), toy.like(box[0], [0.95]), _scores(toy, box, score=0.96)], axis=2)
    toy.output("outputs", toy.row_in_table(row, 77, rows, 85), ["N", rows, 85])


def yolox(toy: Toy, box: list[str]) -> None:
    """[N, cells, 85], not decoded: the row of cell (3, 5) of stride 16."""
    rows, stride = cells(toy.side), 16
    columns = toy.side // stride
    index = (toy.side // 8) ** 2 + 5 * columns + 3
    x, y, width, height = toy.centres(box)
    offsets = [
        toy.calculate("Sub", toy.calculate("Mul", value, 1 / stride), float(cell)) for value, cell in ((x, 3), (y, 5))
    ]
    sizes = [toy.node("Log", [toy.calculate("Mul", value, 1 / stride)]) for value in (width, height)]
    objectness = toy.like(box[0], [0.95])
    row = toy.join([*offsets, *sizes, objectness, _scores(toy, box, score=0.96)], axis=2)
    toy.output("output", toy.row_in_table(row, index, rows, 85), ["N", rows, 85])


def nms_free(toy: Toy, box: list[str]) -> None:
    """[N, 300, 6]: YOLOv10 and YOLO26."""
    row = toy.join([*box, toy.like(box[0], [SCORE, CLASS])], axis=2)
    toy.output("output0", toy.row_in_table(row, 0, 300, 6), ["N", 300, 6])


def rows_of_seven(toy: Toy, box: list[str]) -> None:
    """[n, 7]: YOLOv7 with NMS inside; a second, weak box is of another class."""
    rows = [
        toy.join([toy.like(box[0], [0]), *box, toy.like(box[0], [number, score])], axis=2)
        for number, score in ((CLASS, SCORE), (3, 0.3))
    ]
    toy.output("output", toy.reshape(toy.join(rows, axis=1), (-1, 7)), ["n", 7])


def rows_of_seven_flat(toy: Toy, box: list[str]) -> None:
    """[n, 7]: YOLO-NAS with NMS inside; the score is before the class."""
    rows = [
        toy.join([toy.like(box[0], [0]), *box, toy.like(box[0], [score, number])], axis=2)
        for number, score in ((CLASS, SCORE), (1, 0.3))
    ]
    toy.output("graph2_flat", toy.reshape(toy.join(rows, axis=1), (-1, 7)), ["n", 7])


def rows_of_six(toy: Toy, box: list[str]) -> None:
    """[n, 6]: PaddleDetection with NMS inside: class, score, corners; a second, weak box is of another class."""
    rows = [toy.join([toy.like(box[0], [number, score]), *box], axis=2) for number, score in ((CLASS, SCORE), (1, 0.3))]
    toy.output("multiclass_nms3_0", toy.reshape(toy.join(rows, axis=1), (-1, 6)), ["n", 6])


def four_outputs(toy: Toy, box: list[str]) -> None:
    """num_dets, det_boxes, det_scores, det_classes; what is in the rows after the first must not count."""
    corners = toy.join(box, axis=2)
    rows = toy.node("Tile", [corners, toy.constant([1, 100, 1], np.int64)])
    one = toy.reshape(toy.like(box[0], [1]), (-1, 1))
    toy.output("num_dets", toy.node("Cast", [one], to=TensorProto.INT32), ["N", 1], TensorProto.INT32)
    toy.output("det_boxes", rows, ["N", 100, 4])
    toy.output("det_scores", toy.reshape(toy.like(box[0], [SCORE] + [0.8] * 99), (-1, 100)), ["N", 100])
    numbers = toy.node("Cast", [toy.reshape(toy.like(box[0], [CLASS] * 100), (-1, 100))], to=TensorProto.INT32)
    toy.output("det_classes", numbers, ["N", 100], TensorProto.INT32)


def yolo_nas(toy: Toy, box: list[str]) -> None:
    """[N, cells, 4] corners, and [N, cells, 80]."""
    rows = cells(toy.side)
    toy.output("boxes_out", toy.row_in_table(toy.join(box, axis=2), 9, rows, 4), ["N", rows, 4])
    toy.output("scores_out", toy.row_in_table(_scores(toy, box), 9, rows, COCO_COUNT), ["N", rows, COCO_COUNT])


def rt_detr(toy: Toy, box: list[str]) -> None:
    """labels, boxes, scores."""
    table = toy.row_in_table(toy.join(box, axis=2), 0, 300, 4)
    labels = toy.node("Cast", [toy.reshape(toy.like(box[0], [CLASS] * 300), (-1, 300))], to=TensorProto.INT64)
    toy.output("labels", labels, ["N", 300], TensorProto.INT64)
    toy.output("boxes_out", table, ["N", 300, 4])
    toy.output("scores_out", toy.reshape(toy.like(box[0], [SCORE] + [0.01] * 299), (-1, 300)), ["N", 300])


def rt_detr_ultralytics(toy: Toy, box: list[str]) -> None:
    """[N, 300, 84]: centre and size as shares, and the scores."""
    shares = toy.calculate("Mul", toy.join(toy.centres(box), axis=2), 1 / toy.side)
    toy.output("output0", toy.row_in_table(toy.join([shares, _scores(toy, box)], axis=2), 0, 300, 84), ["N", 300, 84])


def rf_detr(toy: Toy, box: list[str]) -> None:
    """dets: centre and size as shares; labels: logits for the 91 numbers of COCO's categories."""
    shares = toy.calculate("Mul", toy.join(toy.centres(box), axis=2), 1 / toy.side)
    logits = np.full(91, -6.0)
    logits[1] = np.log(SCORE / (1 - SCORE))
    rest = np.full(91, -6.0)
    toy.output("dets", toy.row_in_table(shares, 0, 300, 4), ["N", 300, 4])
    first, others = (
        toy.like(box[0], logits),
        toy.node("Tile", [toy.like(box[0], rest), toy.constant([1, 299, 1], np.int64)]),
    )
    toy.output("labels", toy.join([first, others], axis=1), ["N", 300, 91])


def _distances(toy: Toy, box: list[str], stride: int, point: tuple[float, float], bins: int) -> str:
    """Logits (N, 1, 4 * bins): the expected values of their distributions are the distances from a point to the box."""
    x1, y1, x2, y2 = box
    px, py = (toy.constant(value) for value in point)
    pixels = [toy.node("Sub", pair) for pair in ((px, x1), (py, y1), (x2, px), (y2, py))]
    places = np.arange(bins, dtype=np.float32).reshape(1, 1, -1)
    parts = []
    for value in pixels:
        away = toy.node("Abs", [toy.calculate("Sub", toy.calculate("Mul", value, 1 / stride), places)])
        weight = toy.node("Sub", [toy.constant(1.0), away])
        parts.append(toy.node("Log", [toy.node("Max", [weight, toy.constant(1e-9)])]))
    return toy.join(parts, axis=2)


def nanodet_plus(toy: Toy, box: list[str]) -> None:
    """[N, cells of four strides, 80 + 32]; the point is the corner of the cell."""
    strides, bins, stride = (8, 16, 32, 64), 8, 32
    rows, columns = cells(toy.side, strides), toy.side // stride
    index = cells(toy.side, (8, 16)) + 4 * columns + 4
    distances = _distances(toy, box, stride, (4.0 * stride, 4.0 * stride), bins)
    row = toy.join([_scores(toy, box), distances], axis=2)
    toy.output("output", toy.row_in_table(row, index, rows, 112), ["N", rows, 112])


def picodet(toy: Toy, box: list[str]) -> None:
    """For each of four strides [N, cells, 80] and [N, cells, 32]; the point is the middle of the cell."""
    for stride in (8, 16, 32, 64):
        columns = -(-toy.side // stride)
        rows = columns**2
        index = 4 * columns + 4 if stride == 32 else 0
        scores = _scores(toy, box, score=SCORE if stride == 32 else 0.0)
        distances = _distances(toy, box, 32, (4.5 * 32, 4.5 * 32), 8)
        toy.output(f"scores_{stride}", toy.row_in_table(scores, index, rows, COCO_COUNT), ["N", rows, COCO_COUNT])
        toy.output(f"distances_{stride}", toy.row_in_table(distances, index, rows, 32), ["N", rows, 32])


def tensorflow_ssd(toy: Toy, box: list[str]) -> None:
    """detection_boxes (y1 x1 y2 x2, shares), classes from 1 on, scores, number."""
    x1, y1, x2, y2 = box
    shares = toy.calculate("Mul", toy.join([y1, x1, y2, x2], axis=2), 1 / toy.side)
    toy.output("detection_boxes", toy.row_in_table(shares, 0, 100, 4), ["N", 100, 4])
    toy.output("detection_classes", toy.reshape(toy.like(box[0], [CLASS + 1] * 100), (-1, 100)), ["N", 100])
    toy.output("detection_scores", toy.reshape(toy.like(box[0], [SCORE] + [0.7] * 99), (-1, 100)), ["N", 100])
    toy.output("num_detections", toy.reshape(toy.like(box[0], [1]), (-1,)), ["N"])
