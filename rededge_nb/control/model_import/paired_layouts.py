"""Layouts with boxes and class scores in different outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rededge_nb.control.model_import.classes import coco_names
from rededge_nb.control.model_import.decoding import Decoding, Mismatch, Recognised, is_normalised, strides_of, unit
from rededge_nb.control.model_import.dense_layouts import distribution_boxes
from rededge_nb.control.model_import.facts import Facts, Output

BINS = (8, 11, 16, 17)
"""Numbers of a distribution."""


def rededge(facts: Facts) -> Recognised:
    """A model with the inputs and outputs that the people counter needs: nothing is added."""
    boxes, scores = facts.output("boxes"), facts.output("scores")
    if boxes is None or scores is None or facts.image.name != "image":
        raise Mismatch("not the input image and the outputs boxes and scores")
    if not facts.image.channels_last or facts.image.dtype != "uint8":
        raise Mismatch("the input image is not uint8 [N, height, width, 3]", 1)
    if len(boxes.shape) != 3 or boxes.shape[2] != 4 or len(scores.shape) != 3 or scores.shape[1] != boxes.shape[1]:
        raise Mismatch("boxes and scores are not [N, n, 4] and [N, n, classes]", 2)

    def decode(_: Decoding) -> tuple[str, str]:
        return boxes.name, scores.name

    return Recognised(scores.shape[2], ("the input image and the outputs boxes and scores are there already",), decode)


def boxes_and_scores(facts: Facts) -> Recognised:
    """YOLO-NAS and PP-YOLOE without NMS: x1 y1 x2 y2 in one output, a score for each class in the other."""
    boxes, scores, scores_axis = _pair(facts)
    if strides_of(boxes.shape[1], facts.size_wh) is None:
        raise Mismatch("there is no row for each cell of a grid", 1)
    if scores.values.min() < 0 or scores.values.max() > 1 + 1e-3:
        raise Mismatch("the scores are not from 0 to 1", 2)
    normalised = is_normalised(boxes.values)
    classes = scores.shape[scores_axis]

    def decode(decoding: Decoding) -> tuple[str, str]:
        picked = decoding.graph.pick(decoding.value(scores), scores_axis, decoding.counted)
        turned = picked if scores_axis == 2 else decoding.graph.transpose(picked, (0, 2, 1))
        return decoding.pixels(decoding.value(boxes), normalised=normalised), turned

    text = f"{boxes} and {scores}: x1 y1 x2 y2 in {unit(normalised)}, {classes} scores"
    return Recognised(classes, (text,), decode)


def transformer_logits(facts: Facts) -> Recognised:
    """RF-DETR, and RT-DETR and D-FINE of Transformers: centre and size as shares, and a logit for each class."""
    boxes, scores, scores_axis = _pair(facts)
    if scores_axis != 2 or not is_normalised(boxes.values):
        raise Mismatch("boxes are not shares of the width and height", 1)
    if strides_of(boxes.shape[1], facts.size_wh) is not None:
        raise Mismatch("there is a row for each cell of a grid", 1)
    logits = bool(scores.values.min() < 0 or scores.values.max() > 1)
    classes = scores.shape[2]

    def decode(decoding: Decoding) -> tuple[str, str]:
        picked = decoding.graph.pick(decoding.value(scores), 2, decoding.counted)
        corners = decoding.corners(decoding.value(boxes), normalised=True)
        return corners, decoding.probabilities(picked, logits=logits)

    kind = "logits" if logits else "scores"
    text = f"{boxes} and {scores}: centre and size as shares of the width and height, {classes} {kind}"
    return Recognised(classes, (text,), decode)


@dataclass(frozen=True)
class _Level:
    """Scores and distributions of the cells of one stride."""

    stride: int
    scores: Output
    distances: Output


def picodet(facts: Facts) -> Recognised:
    """PicoDet without its postprocessing: for each stride scores and distributions; points in the middle of a cell.

    Source: PicoHead in https://github.com/PaddlePaddle/PaddleDetection.
    """
    levels, classes, bins = _levels(facts)
    if 64 not in [level.stride for level in levels]:
        raise Mismatch("there is no output for the stride 64", 2)
    return _distributions(levels, classes, bins, middle=0.5)


def nanodet(facts: Facts) -> Recognised:
    """The first NanoDet in several outputs: for each stride scores and distributions.

    Source: GFLHead in https://github.com/RangiLyu/nanodet.
    """
    levels, classes, bins = _levels(facts)
    if 64 in [level.stride for level in levels]:
        raise Mismatch("there is an output for the stride 64", 2)
    return _distributions(levels, classes, bins, middle=None)


def _distributions(levels: Sequence[_Level], classes: int, bins: int, middle: float | None) -> Recognised:
    strides = tuple(level.stride for level in levels)

    def decode(decoding: Decoding) -> tuple[str, str]:
        graph = decoding.graph
        logits = graph.join([decoding.value(level.distances) for level in levels], axis=1)
        scores = graph.join([graph.pick(decoding.value(level.scores), 2, decoding.counted) for level in levels], axis=1)
        return distribution_boxes(decoding, logits, bins, strides, middle), scores

    text = f"for the strides {', '.join(map(str, strides))}: {classes} scores, and 4 distributions of {bins} numbers"
    return Recognised(classes, (text,), decode)


def _levels(facts: Facts) -> tuple[list[_Level], int, int]:
    """Outputs in pairs: [N, cells, classes] and [N, cells, 4 * bins], from the smallest stride on."""
    by_rows: dict[int, list[Output]] = {}
    for output in facts.outputs:
        if len(output.shape) == 3:
            by_rows.setdefault(output.shape[1], []).append(output)
    pairs = {rows: outputs for rows, outputs in by_rows.items() if len(outputs) == 2}
    strides = [(stride, rows) for rows in pairs for stride in (8, 16, 32, 64) if strides_alone(rows, stride, facts)]
    if len(pairs) < 2 or len(strides) != len(pairs) or len(by_rows) != len(pairs):
        raise Mismatch("no two outputs for each of several strides")
    widths = [{output.shape[2] for output in outputs} for outputs in pairs.values()]
    for bins in BINS:
        for classes in widths[0] - {4 * bins} or {4 * bins}:
            known = classes == len(facts.names) if facts.names else coco_names(classes) is not None
            if known and all(each == {classes, 4 * bins} for each in widths):
                return _in_order(pairs, strides, classes, bins), classes, bins
    raise Mismatch(f"outputs have {sorted(set().union(*widths))} columns, not one for each class, and 32", 1)


def _in_order(pairs: dict[int, list[Output]], strides: list[tuple[int, int]], classes: int, bins: int) -> list[_Level]:
    levels = []
    for stride, rows in sorted(strides):
        first, second = pairs[rows]
        if classes == 4 * bins:  # then the order tells: scores come first
            levels.append(_Level(stride, first, second))
        else:
            levels.append(_Level(stride, *((first, second) if first.shape[2] == classes else (second, first))))
    for level in levels:
        if level.scores.values.min() < 0 or level.scores.values.max() > 1:
            raise Mismatch("the scores are not from 0 to 1", 2)
    return levels


def strides_alone(rows: int, stride: int, facts: Facts) -> bool:
    """Whether the grid of one stride has as many cells."""
    width, height = facts.size_wh
    return -(-width // stride) * -(-height // stride) == rows


def _pair(facts: Facts) -> tuple[Output, Output, int]:
    """The output of boxes, that of scores, and the axis of the classes in it."""
    flat = [each for each in facts.outputs if len(each.shape) == 3]
    boxes = sorted((each for each in flat if each.shape[2] == 4), key=lambda each: "box" not in each.name.lower())
    pairs = [(box, scores) for box in boxes for scores in flat if scores is not box]
    for box, scores in pairs:
        axis = 2 if scores.shape[1] == box.shape[1] else 1 if scores.shape[2] == box.shape[1] else None
        if axis is not None and facts.names and scores.shape[axis] != len(facts.names):
            raise Mismatch(f"{scores} has {scores.shape[axis]} classes, not {len(facts.names)}", 1)
        if axis is not None:
            return box, scores, axis
    raise Mismatch("no two outputs [N, n, 4] and [N, n, classes]")
