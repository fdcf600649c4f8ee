"""Layouts with a row for each cell of a grid, in one output: boxes and class scores side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rededge_nb.control.model_import.classes import coco_names
from rededge_nb.control.model_import.decoding import (
    Decoding,
    Mismatch,
    Recognised,
    grid_corners,
    is_normalised,
    strides_of,
    unit,
)
from rededge_nb.control.model_import.facts import Facts, Output

RAW_BELOW = 10.0
"""YOLOX gives the logarithm of a box's size, which is below this. In pixels some box is always larger."""


@dataclass(frozen=True)
class _Table:
    """An output with one row for each cell of the grids."""

    output: Output
    strides: tuple[int, ...]
    rows_axis: int
    """1: the shape is (N, rows, fields); 2: it is (N, fields, rows)."""

    @property
    def rows(self) -> int:
        return self.output.shape[self.rows_axis]

    @property
    def fields(self) -> int:
        return self.output.shape[3 - self.rows_axis]

    @property
    def boxes(self) -> NDArray[Any]:
        """The first four fields of all rows, (N, rows, 4)."""
        values = self.output.values if self.rows_axis == 1 else self.output.values.transpose(0, 2, 1)
        return values[..., :4]

    def part(self, decoding: Decoding, start: int, end: int) -> str:
        """The fields from `start` to `end`, as (N, rows, fields)."""
        return self._turned(decoding, decoding.graph.part(decoding.value(self.output), 3 - self.rows_axis, start, end))

    def counted(self, decoding: Decoding, start: int) -> str:
        """The fields of the counted classes, whose first is at `start`, as (N, rows, counted)."""
        places = [start + place for place in decoding.counted]
        return self._turned(decoding, decoding.graph.pick(decoding.value(self.output), 3 - self.rows_axis, places))

    def _turned(self, decoding: Decoding, value: str) -> str:
        return value if self.rows_axis == 1 else decoding.graph.transpose(value, (0, 2, 1))


def yolov8(facts: Facts) -> Recognised:
    """YOLOv8, v9, 11 and 12: centre x, centre y, width, height, and a score for each class."""
    table = _one_table(facts, boxes_in_cell=1)
    if facts.metadata.task == "obb":
        raise Mismatch("the file says that its boxes are turned (task obb), which is not supported", 2)
    classes = table.fields - 4 - _mask_fields(facts)
    if facts.names and facts.metadata.task == "pose":
        classes = len(facts.names)
    if facts.names and classes != len(facts.names):
        raise Mismatch(f"each row has {table.fields} fields, not 4 and one for each of {len(facts.names)} classes", 2)
    if not facts.names and table.rows_axis == 1 and coco_names(classes) is None:
        raise Mismatch(f"rows of {table.fields} fields may have an objectness: that layout has the fields first", 1)
    if classes < 1:
        raise Mismatch(f"each row has {table.fields} fields: at least 5 are needed", 1)
    normalised = is_normalised(table.boxes)

    def decode(decoding: Decoding) -> tuple[str, str]:
        return decoding.corners(table.part(decoding, 0, 4), normalised=normalised), table.counted(decoding, 4)

    return Recognised(
        classes, (*_reasons(table), f"4 numbers of a box in {unit(normalised)}, {classes} scores"), decode
    )


def yolov5(facts: Facts) -> Recognised:
    """YOLOv5 and v7, with three boxes in each cell: centre, size, objectness, and a score for each class."""
    return _with_objectness(facts, boxes_in_cell=3)


def yolov6(facts: Facts) -> Recognised:
    """YOLOv6, and YOLOX exported with its decoding: as YOLOv5, with one box in each cell."""
    return _with_objectness(facts, boxes_in_cell=1)


def yolox(facts: Facts) -> Recognised:
    """YOLOX: offset from the cell, logarithm of the size, objectness, and a score for each class.

    Source: YOLOXHead.decode_outputs in https://github.com/Megvii-BaseDetection/YOLOX.
    """
    table = _one_table(facts, boxes_in_cell=1)
    classes = _classes_after_objectness(facts, table)
    if not _is_raw(table):
        raise Mismatch("sizes of boxes are in pixels, not logarithms", 3)
    cells, strides = grid_corners(facts.size_wh, table.strides)

    def decode(decoding: Decoding) -> tuple[str, str]:
        graph = decoding.graph
        of_stride = graph.constant(strides)
        offset = graph.calculate("Add", table.part(decoding, 0, 2), cells)
        size = graph.node("Exp", [table.part(decoding, 2, 4)])
        centres = graph.calculate("Mul", graph.join([offset, size], axis=2), of_stride)
        return decoding.corners(centres, normalised=False), _times_objectness(decoding, table)

    text = f"offset from the cell, logarithm of the size, objectness and {classes} scores"
    return Recognised(classes, (*_reasons(table), text), decode)


def ultralytics_rtdetr(facts: Facts) -> Recognised:
    """RT-DETR as Ultralytics exports it: centre and size as shares of the image, and a score for each class."""
    tables = [each for each in facts.outputs if len(each.shape) == 3 and each.shape[1] <= 2000 and each.shape[2] >= 5]
    tables = [each for each in tables if each.shape[2] - 4 == len(facts.names) or coco_names(each.shape[2] - 4)]
    if len(tables) != 1:
        raise Mismatch("no output of shape [N, n, 4 + classes]")
    (output,) = tables
    if not is_normalised(output.values[..., :4]):
        raise Mismatch("boxes are not shares of the width and height", 1)
    if strides_of(output.shape[1], facts.size_wh) or strides_of(output.shape[1], facts.size_wh, 3):
        raise Mismatch("there is a row for each cell of a grid", 1)

    def decode(decoding: Decoding) -> tuple[str, str]:
        graph, value = decoding.graph, decoding.value(output)
        boxes = decoding.corners(graph.part(value, 2, 0, 4), normalised=True)
        return boxes, graph.pick(value, 2, [4 + place for place in decoding.counted])

    classes = output.shape[2] - 4
    return Recognised(classes, (f"{output}: {output.shape[1]} boxes as shares, with {classes} scores",), decode)


def nanodet_plus(facts: Facts) -> Recognised:
    """NanoDet and NanoDet-Plus in one output: a score for each class, and four distributions of distances.

    Source: NanoDetPlusHead and GFLHead in https://github.com/RangiLyu/nanodet. The distances are from the upper left
    corner of the cell; in the first version, which has three strides, from its middle.
    """
    table = _one_table(facts, boxes_in_cell=1)
    found = [(table.fields - 4 * bins, bins) for bins in (8, 11, 17, 16) if table.fields > 4 * bins]
    fitting = [pair for pair in found if (pair[0] == len(facts.names) if facts.names else coco_names(pair[0]))]
    if table.rows_axis == 2 or not fitting:
        raise Mismatch(f"rows have {table.fields} fields, not one for each class and 32 or 44 for distances", 1)
    scores = table.output.values[..., : fitting[0][0]]
    if scores.min() < 0 or scores.max() > 1:
        raise Mismatch("the scores, which come first, are not from 0 to 1", 2)
    (classes, bins) = fitting[0]

    def decode(decoding: Decoding) -> tuple[str, str]:
        distances = table.part(decoding, classes, table.fields)
        middle = 0.0 if 64 in table.strides else None
        return distribution_boxes(decoding, distances, bins, table.strides, middle), table.counted(decoding, 0)

    text = f"{classes} scores and 4 distributions of {bins} numbers"
    return Recognised(classes, (*_reasons(table), text), decode)


def distribution_boxes(
    decoding: Decoding, logits: str, bins: int, strides: tuple[int, ...], middle: float | None
) -> str:
    """Boxes from distributions of the distances between a point of the cell and the four sides.

    After Generalized Focal Loss (Li et al., 2020, https://arxiv.org/abs/2006.04388): each distance is the expected
    value of a distribution over 0 to bins - 1, in strides.

    Args:
        decoding: Where nodes are added.
        logits: Shape (N, cells, 4 * bins).
        bins: Numbers of a distribution.
        strides: The strides of the cells.
        middle: Where the point is in the cell, in strides; None: (stride - 1) / 2 pixels from its corner.
    """
    graph = decoding.graph
    shares = graph.node("Softmax", [graph.reshape(logits, (0, -1, 4, bins))], axis=-1)
    expected = graph.node("MatMul", [shares, graph.constant(np.arange(bins)[:, np.newaxis])])
    cells, sizes = grid_corners(decoding.size_wh, strides)
    distances = graph.calculate(
        "Mul", graph.reshape(expected, (0, -1, 4)), sizes * np.array([-1, -1, 1, 1], np.float32)
    )
    points = cells * sizes + ((sizes - 1) / 2 if middle is None else sizes * middle)
    return graph.calculate("Add", distances, np.concatenate((points, points), axis=2))


def _with_objectness(facts: Facts, boxes_in_cell: int) -> Recognised:
    table = _one_table(facts, boxes_in_cell)
    classes = _classes_after_objectness(facts, table)
    normalised = is_normalised(table.boxes)
    if boxes_in_cell == 1 and _is_raw(table):
        raise Mismatch("sizes of boxes are logarithms, not pixels", 3)

    def decode(decoding: Decoding) -> tuple[str, str]:
        boxes = decoding.corners(table.part(decoding, 0, 4), normalised=normalised)
        return boxes, _times_objectness(decoding, table)

    text = f"4 numbers of a box in {unit(normalised)}, objectness and {classes} scores"
    return Recognised(classes, (*_reasons(table), text), decode)


def _times_objectness(decoding: Decoding, table: _Table) -> str:
    return decoding.graph.calculate("Mul", table.counted(decoding, 5), table.part(decoding, 4, 5))


def _classes_after_objectness(facts: Facts, table: _Table) -> int:
    classes = table.fields - 5 - _mask_fields(facts)
    if not facts.names and table.rows_axis == 2:
        raise Mismatch("the fields come before the rows, as in YOLOv8", 1)
    if facts.names and classes != len(facts.names):
        raise Mismatch(f"each row has {table.fields} fields, not 5 and one for each of {len(facts.names)} classes", 2)
    if classes < 1 or (not facts.names and coco_names(classes + 1)):
        raise Mismatch(f"each row has {table.fields} fields: 5 and one for each class are needed", 2)
    return classes


def _mask_fields(facts: Facts) -> int:
    """Fields of a row that belong to the mask of the object, which a model with an output of masks has."""
    return next((each.shape[1] for each in facts.outputs if len(each.shape) == 4), 0)


def _is_raw(table: _Table) -> bool:
    return bool(table.boxes[..., 2:].max() <= RAW_BELOW)


def _one_table(facts: Facts, boxes_in_cell: int) -> _Table:
    tables = list(_tables(facts, boxes_in_cell))
    if len(tables) == 1:
        (table,) = tables
        if any(len(each.shape) == 3 and each.shape[1:] == (table.rows, 4) for each in facts.outputs):
            raise Mismatch("boxes are in an output of their own", 1)
        return table
    rows = "three boxes" if boxes_in_cell == 3 else "one box"
    width, height = facts.size_wh
    problem = "no output" if not tables else "more than one output"
    raise Mismatch(f"{problem} with {rows} in each cell of the grids of strides 8, 16, 32 … in {width}x{height}", 0)


def _tables(facts: Facts, boxes_in_cell: int) -> Iterator[_Table]:
    for output in facts.outputs:
        if len(output.shape) != 3 or output.values.dtype.kind != "f":
            continue
        for axis in (2, 1):
            strides = strides_of(output.shape[axis], facts.size_wh, boxes_in_cell)
            if strides is not None and output.shape[3 - axis] > 4:
                yield _Table(output, strides, axis)
                break


def _reasons(table: _Table) -> tuple[str, ...]:
    strides = ", ".join(map(str, table.strides))
    return (f"{table.output}: {table.rows} rows, those of grids with the strides {strides}",)
