"""Layouts with a list of detected objects: each has one score and the number of its class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rededge_nb.control.model_import.decoding import Decoding, Mismatch, Recognised, is_normalised, strides_of, unit
from rededge_nb.control.model_import.facts import Facts, Output

MAX_LISTED = 10_000
"""A list of detected objects is not longer."""
COUNT_NAMES = ("num_detections", "num_dets", "num_predictions", "num_detection", "num")


def nms_free(facts: Facts) -> Recognised:
    """YOLOv10, YOLO26, and Ultralytics exports with `nms=True`: x1 y1 x2 y2, score, class in each row."""
    more = facts.metadata.task in ("segment", "pose")
    tables = [
        each
        for each in facts.outputs
        if len(each.shape) == 3 and (each.shape[2] == 6 or (more and each.shape[2] > 6)) and each.shape[1] <= MAX_LISTED
    ]
    if len(tables) != 1:
        raise Mismatch("no output of shape [N, n, 6]")
    (output,) = tables
    if any(strides_of(output.shape[1], facts.size_wh, boxes) for boxes in (1, 3)):
        raise Mismatch("there is a row for each cell of a grid", 1)
    boxes, scores, numbers = output.values[..., :4], output.values[..., 4], output.values[..., 5]
    _check_scores(scores)
    _check_numbers(numbers, "the sixth field")
    normalised = is_normalised(boxes)

    def decode(decoding: Decoding) -> tuple[str, str]:
        graph, value = decoding.graph, decoding.value(output)
        found = decoding.scores_of_class(graph.part(value, 2, 4, 5), graph.part(value, 2, 5, 6))
        return decoding.pixels(graph.part(value, 2, 0, 4), normalised=normalised), found

    text = f"{output}: {output.shape[1]} objects, each with x1 y1 x2 y2 in {unit(normalised)}, score, class"
    return Recognised(facts.classes_inside, (text,), decode)


def rows_class_score(facts: Facts) -> Recognised:
    """YOLOv7 with NMS inside (`--end2end`): batch, x1 y1 x2 y2, class, score in each row."""
    return _rows_of_seven(facts, number_at=5, score_at=6)


def rows_score_class(facts: Facts) -> Recognised:
    """YOLO-NAS with NMS inside (flat format): batch, x1 y1 x2 y2, score, class in each row."""
    return _rows_of_seven(facts, number_at=6, score_at=5)


def paddle_rows(facts: Facts) -> Recognised:
    """PaddleDetection with NMS inside (PicoDet, PP-YOLOE): class, score, x1 y1 x2 y2 in each row; -1 is no object."""
    tables = [each for each in facts.outputs if len(each.shape) == 2 and each.shape[1] == 6]
    if len(tables) != 1:
        raise Mismatch("no output of shape [n, 6]")
    (output,) = tables
    if len(output.values):
        _check_scores(output.values[:, 1])
        _check_numbers(output.values[:, 0], "the first field")
    normalised = is_normalised(output.values[:, 2:])

    def decode(decoding: Decoding) -> tuple[str, str]:
        rows = _rows_and_one(decoding, output, 6)
        graph = decoding.graph
        boxes = decoding.pixels(graph.part(rows, 2, 2, 6), normalised=normalised)
        return boxes, decoding.scores_of_class(graph.part(rows, 2, 1, 2), graph.part(rows, 2, 0, 1))

    text = f"{output}: in each row class, score, x1 y1 x2 y2 in {unit(normalised)}"
    return Recognised(facts.classes_inside, (text,), decode, fixed_batch=True)


def nms_inside(facts: Facts) -> Recognised:
    """Exports with NMS inside: the number of objects, their boxes, scores and classes (YOLO-NAS, YOLOv7, v8, TensorRT).

    The rows after the number of objects are not used.
    """
    if facts.image.channels_last:
        raise Mismatch("the colours are the last axis of the input, as in TensorFlow")
    count = _count_output(facts)
    if count is None:
        raise Mismatch("no output with the number of objects (num_detections), of shape [N, 1] or [N]")
    return _lists(facts, count)


def transformer_lists(facts: Facts) -> Recognised:
    """RT-DETR, D-FINE and DEIM with their postprocessing: labels, boxes and scores."""
    if _count_output(facts) is not None:
        raise Mismatch("there is an output with the number of objects", 1)
    if facts.image.channels_last:
        raise Mismatch("the colours are the last axis of the input, as in TensorFlow")
    return _lists(facts, None)


def tensorflow_ssd(facts: Facts) -> Recognised:
    """TensorFlow's object detection: `detection_boxes` (y1 x1 y2 x2, shares), classes from 1 on, and scores."""
    boxes, classes, scores = (facts.output(f"detection_{name}") for name in ("boxes", "classes", "scores"))
    count = facts.output("num_detections")
    if boxes is None or classes is None or scores is None:
        raise Mismatch("no outputs detection_boxes, detection_classes and detection_scores")
    if not facts.image.channels_last:
        raise Mismatch("the colours are not the last axis of the input, as in TensorFlow", 1)
    if not is_normalised(boxes.values):
        raise Mismatch("boxes are not shares of the width and height", 2)
    raw = facts.output("detection_multiclass_scores", "raw_detection_scores")
    inside = raw.shape[-1] - 1 if raw is not None else facts.classes_inside
    _check_scores(scores.values)
    _check_numbers(classes.values, classes.name)

    def decode(decoding: Decoding) -> tuple[str, str]:
        graph = decoding.graph
        upright = graph.node("Gather", [decoding.value(boxes), graph.integers([1, 0, 3, 2])], axis=2)
        found = _masked(decoding, scores, count)
        numbers = graph.reshape(decoding.value(classes), (0, -1, 1))
        return decoding.pixels(upright, normalised=True), decoding.scores_of_class(found, numbers, first=1)

    return Recognised(inside, (f"{boxes}, {classes} and {scores}, as TensorFlow names them",), decode)


def _lists(facts: Facts, count: Output | None) -> Recognised:
    boxes = [each for each in facts.outputs if len(each.shape) == 3 and each.shape[2] == 4]
    if len(boxes) != 1:
        raise Mismatch("no output of boxes, [N, n, 4]", 0 if count is None else 2)
    length = boxes[0].shape[1]
    rest = [each for each in facts.outputs if each is not count and each.shape in ((1, length), (1, length, 1))]
    if len(rest) != 2 or length > MAX_LISTED:
        raise Mismatch(f"no two outputs of scores and classes, [N, {length}]", 1)
    numbers, scores = _numbers_and_scores(rest)
    _check_scores(scores.values)
    _check_numbers(numbers.values, numbers.name)
    normalised = is_normalised(boxes[0].values)

    def decode(decoding: Decoding) -> tuple[str, str]:
        found = _masked(decoding, scores, count)
        places = decoding.graph.reshape(decoding.value(numbers), (0, -1, 1))
        return decoding.pixels(decoding.value(boxes[0]), normalised=normalised), decoding.scores_of_class(found, places)

    listed = ", ".join(str(each) for each in (count, boxes[0], scores, numbers) if each is not None)
    text = f"{listed}: objects with x1 y1 x2 y2 in {unit(normalised)}, score and class"
    return Recognised(facts.classes_inside, (text,), decode)


def _masked(decoding: Decoding, scores: Output, count: Output | None) -> str:
    """Scores as (N, n, 1); 0 from the row on that is given by the number of objects."""
    graph = decoding.graph
    value = graph.reshape(decoding.value(scores), (0, -1, 1))
    if count is None:
        return value
    length = scores.shape[1]
    rows = graph.constant(np.arange(length, dtype=np.float32).reshape(1, length, 1))
    valid = graph.node("Less", [rows, graph.reshape(decoding.value(count), (-1, 1, 1))])
    # not a product: what is in the rows after the last object may be anything
    return graph.node("Where", [valid, value, graph.constant(0.0)])


def _rows_of_seven(facts: Facts, *, number_at: int, score_at: int) -> Recognised:
    tables = [each for each in facts.outputs if len(each.shape) == 2 and each.shape[1] == 7]
    if len(tables) != 1:
        raise Mismatch("no output of shape [n, 7]")
    (output,) = tables
    if not len(output.values):
        raise Mismatch("the model finds nothing in the sample image, so the score cannot be told from the class", 1)
    _check_scores(output.values[:, score_at], 1)
    _check_numbers(output.values[:, number_at], f"field {number_at + 1}")
    if np.all(output.values[:, score_at] == np.floor(output.values[:, score_at])):
        raise Mismatch("the score and the class are both whole numbers, so they cannot be told apart", 1)
    normalised = is_normalised(output.values[:, 1:5])

    def decode(decoding: Decoding) -> tuple[str, str]:
        rows = _rows_and_one(decoding, output, 7)
        graph = decoding.graph
        scores = graph.part(rows, 2, score_at, score_at + 1)
        numbers = graph.part(rows, 2, number_at, number_at + 1)
        boxes = decoding.pixels(graph.part(rows, 2, 1, 5), normalised=normalised)
        return boxes, decoding.scores_of_class(scores, numbers)

    order = "class, score" if number_at == 5 else "score, class"
    text = f"{output}: in each row the image's number, x1 y1 x2 y2 in {unit(normalised)}, {order}"
    return Recognised(facts.classes_inside, (text,), decode, fixed_batch=True)


def _rows_and_one(decoding: Decoding, output: Output, fields: int) -> str:
    """Rows as (1, n + 1, fields): the last is empty, because a tensor of no rows cannot be stored in Redis."""
    empty = decoding.graph.constant(np.zeros((1, fields), np.float32))
    return decoding.graph.reshape(decoding.graph.join([decoding.value(output), empty], axis=0), (1, -1, fields))


def _count_output(facts: Facts) -> Output | None:
    named = [each for each in facts.outputs if any(name in each.name.lower() for name in COUNT_NAMES)]
    shaped = [each for each in facts.outputs if each.values.size == 1 and len(each.shape) in (1, 2) and each.whole]
    return next((each for each in named if each in shaped), shaped[0] if len(shaped) == 1 else None)


def _numbers_and_scores(outputs: list[Output]) -> tuple[Output, Output]:
    """Which of two outputs has the numbers of classes, and which the scores."""
    first, second = outputs
    for one, other in ((first, second), (second, first)):
        if one.values.dtype.kind in "iu" and other.values.dtype.kind == "f":
            return one, other
    for one, other in ((first, second), (second, first)):
        if "score" in one.name.lower() or ("class" in other.name.lower() and "score" not in other.name.lower()):
            return other, one
    for one, other in ((first, second), (second, first)):
        if one.whole and not other.whole:
            return one, other
    raise Mismatch(
        f"{first.name} and {second.name} cannot be told apart: which are the scores, and which the classes?", 2
    )


def _check_scores(scores: NDArray[Any], fits: int = 2) -> None:
    # -1 marks rows without an object
    if scores.size and not (np.isfinite(scores).all() and scores.min() >= -1 and scores.max() <= 1 + 1e-3):
        raise Mismatch("the scores are not from 0 to 1", fits)


def _check_numbers(numbers: NDArray[Any], what: str, fits: int = 2) -> None:
    if not (np.isfinite(numbers).all() and np.all(numbers == np.floor(numbers))):
        raise Mismatch(f"{what} is not the number of a class", fits)
