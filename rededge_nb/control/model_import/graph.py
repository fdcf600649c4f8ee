"""Adding nodes to an ONNX graph.

Only operators are used that are the same in opset 11 to 22, so that the nodes fit into every model: for example
`Reshape`, but not `Squeeze`, whose axes were an attribute up to opset 12 and are an input since 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from onnx import NodeProto, TensorProto, helper, numpy_helper

PREFIX = "rededge_"
"""All names of added nodes and values begin with it."""
_LAST = np.iinfo(np.int64).max


class Graph:
    """Nodes and constants that are added to a model. The methods add a node and return the name of its result.

    Args:
        opset: The opset of the model.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node of any kind."""
        name = f"{PREFIX}{len(self.nodes)}_{kind}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, values: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        """Add a constant."""
        name = f"{PREFIX}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def integers(self, values: ArrayLike) -> str:
        """Add a constant of int64."""
        return self.constant(values, np.int64)

    def cast(self, value: str, to: TensorProto.DataType) -> str:
        """Convert to a type."""
        return self.node("Cast", [value], to=to)

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Change the shape: 0 keeps a dimension, -1 is what is left."""
        return self.node("Reshape", [value, self.integers(shape)])

    def transpose(self, value: str, order: Sequence[int]) -> str:
        """Change the order of the axes."""
        return self.node("Transpose", [value], perm=list(order))

    def part(self, value: str, axis: int, start: int, end: int | None = None) -> str:
        """The elements `start` to `end`, without `end`, along one axis; without an end up to the last."""
        ends = self.integers([_LAST if end is None else end])
        return self.node("Slice", [value, self.integers([start]), ends, self.integers([axis])])

    def pick(self, value: str, axis: int, places: Sequence[int]) -> str:
        """The elements at these places along one axis."""
        if list(places) == list(range(places[0], places[0] + len(places))):  # a slice is faster
            return self.part(value, axis, places[0], places[0] + len(places))
        return self.node("Gather", [value, self.integers(list(places))], axis=axis)

    def calculate(self, kind: str, first: str, second: str | ArrayLike) -> str:
        """`Add`, `Sub`, `Mul` or `Div` of a value with another one or with a constant."""
        return self.node(kind, [first, second if isinstance(second, str) else self.constant(second)])

    def join(self, values: Sequence[str], axis: int) -> str:
        """Put values one after the other along an axis."""
        return values[0] if len(values) == 1 else self.node("Concat", values, axis=axis)


def rename_values(graph: Any, names: dict[str, str]) -> None:
    """Rename values in a graph and in the graphs inside of its nodes.

    Args:
        graph: A GraphProto; it is changed.
        names: New names by the present ones.
    """
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                rename_values(inner, names)
    for named in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        named.name = names.get(named.name, named.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = names.get(sparse.values.name, sparse.values.name)
    for annotation in graph.quantization_annotation:
        annotation.tensor_name = names.get(annotation.tensor_name, annotation.tensor_name)
        for entry in annotation.quant_parameter_tensor_names:
            entry.value = names.get(entry.value, entry.value)


def value_names(graph: Any) -> set[str]:
    """The names of all values in a graph and in the graphs inside of its nodes."""
    names = {named.name for named in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        names.update(node.input, node.output)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                names |= value_names(inner)
    return names
