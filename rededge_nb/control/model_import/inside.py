"""What the nodes inside a graph show: how many classes there are, and whether the model scales its input itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, numpy_helper

_PASSING = ("Cast", "Transpose", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Gather", "QuantizeLinear")
"""Nodes that leave values as they are."""
_MOST_CLASSES = 20_000


def scores_before_nms(model: ModelProto) -> str | None:
    """The name of the scores, (N, classes, n), that the model's own non-maximum suppression gets; None without one."""
    found = [node.input[1] for node in model.graph.node if node.op_type == "NonMaxSuppression" and len(node.input) > 1]
    return found[0] if found else None


def classes_after_top(model: ModelProto) -> int | None:
    """How many classes a transformer has.

    It takes the best of all scores of all objects and classes. Then it divides their places by the number of classes.
    """
    makers = _makers(model)
    constants = _constants(model)
    for node in model.graph.node:
        if node.op_type not in ("Mod", "Div") or len(node.input) != 2 or node.input[1] not in constants:
            continue
        source = makers.get(node.input[0])
        while source is not None and source.op_type in _PASSING and source.input:
            source = makers.get(source.input[0])
        number = constants[node.input[1]]
        if source is not None and source.op_type == "TopK" and number == int(number) and 0 < number <= _MOST_CLASSES:
            return int(number)
    return None


def divides_by_255(model: ModelProto, name: str) -> bool:
    """Whether the first thing that a model does with an input is to divide it by 255 or a like number."""
    constants, values = _constants(model), {name}
    for node in model.graph.node:
        if not values.intersection(node.input):
            continue
        if node.op_type in _PASSING or node.op_type in ("Sub", "Add"):
            values.update(node.output)
            continue
        number = next((constants[each] for each in node.input if each in constants), None)
        if number is None:
            continue
        if (node.op_type == "Div" and 50 <= number <= 256) or (node.op_type == "Mul" and 1 / 256 <= number <= 1 / 50):
            return True
    return False


def _makers(model: ModelProto) -> dict[str, NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def _constants(model: ModelProto) -> dict[str, float]:
    """Constants by name: of several numbers, their mean."""
    tensors: list[tuple[str, Any]] = [(each.name, each) for each in model.graph.initializer]
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output:
            tensors += [(node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value"]
    constants = {}
    for name, tensor in tensors:
        if len(tensor.dims) > 4 or any(not 0 < length <= 4 for length in tensor.dims):
            continue
        try:
            array = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, DecodeError, RuntimeError, KeyError):  # a damaged constant: it is no evidence
            continue
        if array.dtype.kind in "fiu" and array.size and np.isfinite(array).all():
            constants[name] = float(np.mean(array))
    return constants
