"""Tiny ONNX files, encoded by hand so that the tests need no further package."""

from __future__ import annotations

import struct

FLOAT, INT64, STRING, BOOL, DOUBLE, UINT32 = 1, 7, 8, 9, 11, 12
"""Element types of onnx.proto."""


def field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: a varint, or something with a length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def value(name: str, element_type: int, dims: list[int | str]) -> bytes:
    """A ValueInfoProto."""
    shape = b"".join(field(1, field(1, dim) if isinstance(dim, int) else field(2, dim)) for dim in dims)
    return field(1, name) + field(2, field(1, field(1, element_type) + field(2, shape)))


def node(op: str, inputs: list[str], outputs: list[str], attributes: bytes = b"") -> bytes:
    """A NodeProto."""
    return (
        b"".join(field(1, name) for name in inputs)
        + b"".join(field(2, name) for name in outputs)
        + field(4, op)
        + attributes
    )


def int64_tensor(name: str, numbers: list[int]) -> bytes:
    """A TensorProto of one dimension."""
    return (
        field(1, len(numbers)) + field(2, INT64) + field(8, name) + field(9, struct.pack(f"<{len(numbers)}q", *numbers))
    )


def external_tensor(name: str, location: str) -> bytes:
    """A TensorProto of one float whose data is in another file."""
    where = field(13, field(1, "location") + field(2, location))
    return field(1, 1) + field(2, FLOAT) + field(8, name) + where + field(14, 1)


def graph(
    nodes: list[bytes], inputs: list[bytes], outputs: list[bytes], initializers: list[bytes] | None = None
) -> bytes:
    """A GraphProto."""
    parts = ((1, nodes), (2, [b"g"]), (5, initializers or []), (11, inputs), (12, outputs))
    return b"".join(field(number, item) for number, items in parts for item in items)


def model(content: bytes) -> bytes:
    """A ModelProto of one graph."""
    return field(1, 8) + field(7, content) + field(8, field(1, "") + field(2, 13))


def binary(op: str, element_type: int = FLOAT, dims: list[int | str] | None = None) -> bytes:
    """A model `c = op(a, b)`."""
    shape = dims or ["n", 2]
    return model(
        graph(
            [node(op, ["a", "b"], ["c"])],
            [value("a", element_type, shape), value("b", element_type, shape)],
            [value("c", element_type, shape)],
        )
    )


def identity(element_type: int, dims: list[int | str] | None = None) -> bytes:
    """A model `c = a`."""
    shape = dims or ["n"]
    return model(
        graph([node("Identity", ["a"], ["c"])], [value("a", element_type, shape)], [value("c", element_type, shape)])
    )


def cast(source: int, target: int) -> bytes:
    """A model that gives its input's elements another type."""
    attribute = field(5, field(1, "to") + field(3, target) + field(20, 2))
    return model(
        graph([node("Cast", ["a"], ["c"], attribute)], [value("a", source, ["n"])], [value("c", target, ["n"])])
    )


def huge(elements: int) -> bytes:
    """A model that adds up `elements` zeros, and its input to them."""
    nodes = [
        node("ConstantOfShape", ["shape"], ["zeros"]),
        node("ReduceSum", ["zeros"], ["sum"]),
        node("Add", ["a", "sum"], ["c"]),
    ]
    shape = int64_tensor("shape", [elements // 1000, 1000])
    return model(graph(nodes, [value("a", FLOAT, ["n", "m"])], [value("c", FLOAT, ["n", "m"])], [shape]))


def endless() -> bytes:
    """A model that goes round in a loop for longer than anybody waits."""
    body = graph(
        [node("Identity", ["going"], ["still_going"]), node("Add", ["x", "x"], ["y"])],
        [value("round", INT64, []), value("going", BOOL, []), value("x", FLOAT, ["n", "m"])],
        [value("still_going", BOOL, []), value("y", FLOAT, ["n", "m"])],
    )
    attribute = field(5, field(1, "body") + field(6, body) + field(20, 5))
    rounds = field(2, INT64) + field(8, "rounds") + field(9, struct.pack("<q", 2**62))
    return model(
        graph(
            [node("Loop", ["rounds", "", "a"], ["c"], attribute)],
            [value("a", FLOAT, ["n", "m"])],
            [value("c", FLOAT, ["n", "m"])],
            [rounds],
        )
    )


def external() -> bytes:
    """A model whose weight is in another file."""
    return model(
        graph(
            [node("Add", ["a", "w"], ["c"])],
            [value("a", FLOAT, ["n"])],
            [value("c", FLOAT, ["n"])],
            [external_tensor("w", "weights.bin")],
        )
    )


def with_sequence() -> bytes:
    """A model whose first output is a sequence of tensors, and its second the input."""
    # SequenceTypeProto of a float tensor
    sequence = field(1, "s") + field(2, field(4, field(1, field(1, field(1, FLOAT)))))
    return model(
        graph(
            [node("SequenceConstruct", ["a"], ["s"]), node("Identity", ["a"], ["c"])],
            [value("a", FLOAT, ["n"])],
            [sequence, value("c", FLOAT, ["n"])],
        )
    )


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
