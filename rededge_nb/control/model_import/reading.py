"""Reading an ONNX file whose author is unknown.

Weights may be in other files ("external data"). The ONNX file names them, so it could name any file of the machine.
Only regular files in the folder of the ONNX file are read, and the result contains all its weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, helper

from rededge_nb.edge.ai.backends.onnx_external import has_external_data
from rededge_nb.errors import ModelImportError

MAX_BYTES = 2 * 1024**3 - 64 * 1024**2
"""A protobuf message is smaller than 2 GB; the rest is for the nodes that are added."""
MIN_OPSET = 11

_KINDS = {
    b"PK\x03\x04": "a PyTorch or other zip file: export it to ONNX first, for example with `yolo export format=onnx`",
    b"\x89HDF": "an HDF5 file (Keras): convert it with tf2onnx first",
    b"version https://git-lfs": "a pointer of Git LFS, not the model: run `git lfs pull`",
    b"<": "a web page or XML: download the ONNX file itself",
}
_LARGE_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def read_model(path: Path) -> ModelProto:
    """Read an ONNX file with all its weights.

    Raises:
        ModelImportError: It is not a usable ONNX file, too large, or its weights are not in its folder.
    """
    blob = _read(path)
    try:
        model: ModelProto = ModelProto.FromString(blob)
    except (DecodeError, RecursionError) as error:
        raise ModelImportError(f"{path.name} is not an ONNX file, or is damaged: {_what(blob) or error}") from error
    if not model.graph.node or not model.graph.output:
        raise ModelImportError(
            f"{path.name} is not an ONNX file, or is damaged: {_what(blob) or 'it has no nodes or no outputs'}"
        )
    del blob
    _check_opset(model, path)
    _add_weights(model, path)
    return model


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators that a model uses; 0 if it names none."""
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ModelImportError(f"there is no file {path}" if not path.exists() else f"{path} is not a file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelImportError(f"{path.name} has {size:,} bytes: at most {MAX_BYTES:,} can be imported")
        return path.read_bytes()
    except OSError as error:
        raise ModelImportError(f"{path} cannot be read: {error.strerror}") from error


def _what(blob: bytes) -> str:
    """What a file is that is not an ONNX file; empty if that is not known."""
    if not blob:
        return "it is empty"
    if blob[4:8] == b"TFL3":
        return "it is a TensorFlow Lite file: convert it with tf2onnx first"
    return next((f"it is {text}" for start, text in _KINDS.items() if blob.startswith(start)), "")


def _check_opset(model: ModelProto, path: Path) -> None:
    opset = opset_of(model)
    if opset < MIN_OPSET:
        raise ModelImportError(f"{path.name} uses opset {opset}: export it with opset {MIN_OPSET} or a later one")


def _add_weights(model: ModelProto, path: Path) -> None:
    """Replace each reference to another file by the weights in it."""
    total = model.ByteSize()
    for tensor in _weights(model.graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        data = _external_bytes(tensor, path, MAX_BYTES - total)
        total += len(data)
        for field in _LARGE_FIELDS:
            tensor.ClearField(field)
        tensor.raw_data = data
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    try:
        outside = has_external_data(model.SerializeToString())
    except ValueError as error:
        raise ModelImportError(f"{path.name} is damaged: {error}") from error
    if outside:
        raise ModelImportError(
            f"{path.name} has constants in other files, which only weights may have: save it as one file"
        )


def _weights(graph: Any) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _weights(inner)


def _external_bytes(tensor: TensorProto, path: Path, left: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = _external_file(entries.get("location", ""), path)
    needed = _byte_count(tensor, path)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", needed))
    except ValueError:
        raise ModelImportError(f"{path.name}: the place of the weights {_shown(tensor.name)} is not a number") from None
    if length != needed or offset < 0:
        raise ModelImportError(
            f"{path.name}: the weights {_shown(tensor.name)} need {needed:,} bytes; "
            f"the file says {length:,} at {offset:,}"
        )
    if length > left:
        raise ModelImportError(f"{path.name} has more than {MAX_BYTES:,} bytes with its weights: that is too much")
    try:
        if offset + length > file.stat().st_size:
            raise ModelImportError(f"{file.name} is too short for the weights of {path.name}: copy it again")
        with file.open("rb") as opened:
            opened.seek(offset)
            return opened.read(length)
    except OSError as error:
        raise ModelImportError(f"{file.name}, with weights of {path.name}, cannot be read: {error.strerror}") from error


def _external_file(location: str, path: Path) -> Path:
    """The file that an ONNX file names for weights, if it is in the ONNX file's folder."""
    folder = path.parent.resolve()
    named = PureWindowsPath(location)  # it has both kinds of separators
    bad = not location or "\0" in location or named.is_absolute() or named.drive or named.root or ".." in named.parts
    if bad:
        raise ModelImportError(
            f"{path.name} asks for weights in {_shown(location)}: only files in its own folder are read"
        )
    try:
        file = (folder / location).resolve()
        if not file.is_relative_to(folder):
            raise ModelImportError(
                f"{path.name} asks for weights in {_shown(location)}, a link to another folder: "
                "copy the file itself there"
            )
        if not file.is_file():
            raise ModelImportError(
                f"{path.name} has weights in the file {_shown(location)}, which is not beside it: copy both files"
            )
    except (OSError, RuntimeError) as error:  # a name that is too long, a circle of links
        raise ModelImportError(f"{path.name} asks for weights in {_shown(location)}: {error}") from error
    return file


def _byte_count(tensor: TensorProto, path: Path) -> int:
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError:
        dtype = np.dtype(object)
    if dtype.hasobject or min(tensor.dims, default=0) < 0:
        raise ModelImportError(
            f"{path.name}: the weights {_shown(tensor.name)} have a type or shape that is not allowed"
        )
    count = math.prod(tensor.dims)
    half_bytes = (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1)
    bits = 4 if tensor.data_type in half_bytes else 8 * dtype.itemsize
    return int(count * bits + 7) // 8


def _shown(text: str) -> str:
    """A text of the file, short and printable, in quotes."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
