"""Finding tensors of an ONNX file whose data is in other files ("external data").

ONNX Runtime would read such files from the worker's disk: a client could read any file there. So these models are
refused before ONNX Runtime gets them. The package `onnx` could tell, but would be needed for this alone; instead the
protobuf message is read here, by the field numbers of onnx.proto, which never change.
"""

from __future__ import annotations

from collections.abc import Iterator

from rededge_nb.edge.switchboard.calls import CommandError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 100
"""Protobuf's own limit for nested messages."""
_TAG_MASK = 0xFFFF_FFFF
"""Protobuf ignores all but the lower 32 bits of a tag."""
_DATA_LOCATION = 14

# message -> field number -> type of the message in that field; only fields that can lead to a tensor
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "tensor": {},
}


def has_external_data(blob: bytes) -> bool:
    """Whether the data of a tensor is in another file.

    Raises:
        ValueError: The blob is not a protobuf message, or has more nested messages than protobuf allows. Such a file
            must not be given to ONNX Runtime, whose parser may accept it.
    """
    pending = [("model", memoryview(blob), 0)]
    while pending:
        message, data, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        for number, value in _walk(data):
            if message == "tensor" and number == _DATA_LOCATION and isinstance(value, int) and value:
                return True
            inner = _FIELDS[message].get(number)
            if inner is not None and isinstance(value, memoryview):
                pending.append((inner, value, depth + 1))
    return False


def refuse_external_data(blob: bytes) -> None:
    """Check that the data of all tensors is in the model's own file.

    Raises:
        CommandError: It is not, or the file is not a protobuf message.
    """
    try:
        external = has_external_data(blob)
    except ValueError as error:
        raise CommandError("Failed to load model because protobuf parsing failed.") from error
    if external:
        raise CommandError("Initializer tensors with external data is not allowed.")


def _walk(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The field numbers and values of one message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = (tag & _TAG_MASK) >> 3, tag & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"field {number} is of kind {kind}, which no ONNX file has")
        if position + size > len(data):
            raise ValueError(f"field {number} is cut off")
        yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a varint that does not end")
