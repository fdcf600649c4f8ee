"""The finished model: uint8 image in, `boxes` and `scores` out, with the network between them unchanged.

An image that keeps its aspect ratio is smaller than the network's input, in one direction. The graph adds what is
missing, and takes it off the boxes again. So a program that uses the model only resizes the frame, and boxes are in
pixels of what it gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from rededge_nb.control.model_import.decoding import Decoding, Recognised
from rededge_nb.control.model_import.facts import CHANNELS, Facts
from rededge_nb.control.model_import.graph import PREFIX, Graph, rename_values, value_names
from rededge_nb.control.model_import.preparation import CORNER, STRETCH, Preparation
from rededge_nb.control.model_import.reading import opset_of
from rededge_nb.errors import ModelImportError

IMAGE, BOXES, SCORES = "image", "boxes", "scores"
_PAD_OF_BYTES_SINCE = 13
"""The opset since which `Pad` accepts uint8."""
_MIN_IR_VERSION = 7
"""Since version 4 of the format, constants need not be inputs, too."""


@dataclass(frozen=True)
class Plan:
    """What is to be built.

    Attributes:
        facts: What is known of the model.
        others: Values of its other inputs, by their names.
        recognised: How it is decoded.
        preparation: How it gets its images.
        counted: Places of the counted classes.
        open_batch: Whether several images can be given at once.
    """

    facts: Facts
    others: Mapping[str, NDArray[Any]]
    recognised: Recognised
    preparation: Preparation
    counted: tuple[int, ...]
    open_batch: bool = False


def finished_model(model: ModelProto, plan: Plan) -> ModelProto:
    """A copy of a model with the nodes before and after the network.

    Raises:
        ModelImportError: It always takes several images, and its layout does not allow that.
    """
    facts, images = plan.facts, plan.facts.image.batch or 1
    if images > 1 and plan.recognised.fixed_batch:
        raise ModelImportError(f"the model always takes {images} images: export it with a batch size of 1")
    built = ModelProto()
    built.CopyFrom(model)
    renamed = _free_names(built)
    graph = Graph(opset_of(model))
    shift = _prepare(graph, plan, renamed.get(facts.image.name, facts.image.name), images)
    before = len(graph.nodes)
    decoding = Decoding(graph, facts.size_wh, plan.counted, renamed, images)
    boxes, scores = plan.recognised.decode(decoding)
    if shift is not None:
        boxes = graph.node("Sub", [boxes, shift])
    if len(plan.counted) > 1:  # a box is counted once, whichever of these classes it has
        scores = graph.node("Max", [graph.part(scores, 2, place, place + 1) for place in range(len(plan.counted))])
    results = [helper.make_node("Identity", [value], [name]) for value, name in ((boxes, BOXES), (scores, SCORES))]
    nodes = [*graph.nodes[:before], *built.graph.node, *graph.nodes[before:], *results]
    del built.graph.node[:]
    built.graph.node.extend(nodes)
    built.graph.initializer.extend(graph.constants)
    others = {renamed.get(name, name): value for name, value in plan.others.items()}
    built.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in others.items())
    _declare(built, plan)
    return built


def _free_names(model: ModelProto) -> dict[str, str]:
    """Rename the model's values that have names which are used here. Returns the new names by the old ones."""
    taken = value_names(model.graph)
    used = [name for name in taken if name in (IMAGE, BOXES, SCORES) or name.startswith(PREFIX)]
    prefix = "model_"
    while any(prefix + name in taken for name in used):
        prefix += "_"
    renamed = {name: prefix + name for name in used}
    rename_values(model.graph, renamed)
    return renamed


def _prepare(graph: Graph, plan: Plan, network_input: str, images: int) -> str | None:
    """Add the nodes from the image to the network's input.

    Returns:
        What is to be taken off the boxes: x, y, x, y; None if nothing is.
    """
    facts, preparation = plan.facts, plan.preparation
    value, shift, is_float = IMAGE, None, False
    if preparation.resize != STRETCH:
        if graph.opset < _PAD_OF_BYTES_SINCE:
            value, is_float = graph.cast(value, TensorProto.FLOAT), True
        value, shift = _fill(graph, value, plan)
    if not facts.image.channels_last:
        value = graph.transpose(value, (0, 3, 1, 2))
    channels = 3 if facts.image.channels_last else 1
    if preparation.colour == "rgb":
        value = graph.node("Gather", [value, graph.integers([2, 1, 0])], axis=channels)
    if facts.image.dtype != "uint8":
        value = value if is_float else graph.cast(value, TensorProto.FLOAT)
        value = _scaled(graph, value, preparation, channels)
        if facts.image.dtype == "float16":
            value = graph.cast(value, TensorProto.FLOAT16)
    elif is_float:
        value = graph.cast(value, TensorProto.UINT8)
    if images > 1:
        graph.node("Concat", [value] * images, axis=0)
    elif value == IMAGE:
        graph.node("Identity", [value])
    graph.nodes[-1].output[0] = network_input
    return shift


def _fill(graph: Graph, image: str, plan: Plan) -> tuple[str, str | None]:
    """Fill the image up to the size of the network's input."""
    (width, height), preparation = plan.facts.size_wh, plan.preparation
    present = graph.part(graph.node("Shape", [image]), 0, 1, 3)
    missing = graph.node("Sub", [graph.integers([height, width]), present])
    # a negative number would cut off a part of an image that is too large; with 0, the next node but one fails
    least = graph.node("Max", [graph.cast(missing, TensorProto.FLOAT), graph.constant([0.0, 0.0])])
    missing = graph.cast(least, TensorProto.INT64)
    none, shift = graph.integers([0]), None
    if preparation.resize == CORNER:
        before = graph.integers([0, 0])
    else:
        before = graph.node("Div", [missing, graph.integers([2, 2])])
        places = graph.cast(before, TensorProto.FLOAT)
        shift = graph.node("Gather", [places, graph.integers([1, 0, 1, 0])], axis=0)
    after = graph.node("Sub", [missing, before])
    pads = graph.join([none, before, none, none, after, none], axis=0)
    dtype = np.float32 if graph.opset < _PAD_OF_BYTES_SINCE else np.uint8
    filled = graph.node("Pad", [image, pads, graph.constant(preparation.fill, dtype)])
    return graph.reshape(filled, (0, height, width, CHANNELS)), shift


def _scaled(graph: Graph, value: str, preparation: Preparation, channels: int) -> str:
    mean, deviation = np.array(preparation.mean, np.float32), np.array(preparation.deviation, np.float32)
    shape = (1, CHANNELS, 1, 1) if channels == 1 else (1, 1, 1, CHANNELS)
    if np.any(deviation != 1):
        value = graph.calculate("Mul", value, (1 / deviation).reshape(shape))
    if np.any(mean != 0):
        value = graph.calculate("Sub", value, (mean / deviation).reshape(shape))
    return value


def _declare(model: ModelProto, plan: Plan) -> None:
    """Write the inputs and the outputs, and what is known of the model."""
    width, height = plan.facts.size_wh
    batch = "N" if plan.open_batch else 1
    sides = [height, width] if plan.preparation.resize == STRETCH else ["height", "width"]
    float32 = TensorProto.FLOAT
    image = helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, [batch, *sides, CHANNELS])
    boxes = helper.make_tensor_value_info(BOXES, float32, [batch, "n", 4])
    scores = helper.make_tensor_value_info(SCORES, float32, [batch, "n", 1])
    del model.graph.input[:], model.graph.output[:]
    model.graph.input.append(image)
    model.graph.output.extend([boxes, scores])
    model.ir_version = max(model.ir_version, _MIN_IR_VERSION)
