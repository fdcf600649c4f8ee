"""The arguments of AI.TENSORSET and AI.TENSORGET, and the reply of AI.TENSORGET."""

from __future__ import annotations

import math

from rededge_nb.edge.ai.parsing.arguments import ArgumentReader, integer
from rededge_nb.edge.ai.tensors import MAX_DIMS, Tensor, check_blob, dtype_named, parse_values, zeros_blob
from rededge_nb.edge.switchboard.calls import CommandError

_FORMATS = (b"META", b"BLOB", b"VALUES")


def parse_formats(words: list[bytes]) -> set[bytes]:
    """The parts of the reply that a client asks AI.TENSORGET for: META, BLOB, VALUES.

    Raises:
        CommandError: A word is none of these, or both BLOB and VALUES are given.
    """
    formats = {word.upper() for word in words} or {b"META", b"BLOB"}
    if not formats.issubset(_FORMATS):
        raise CommandError("ERR unsupported data format")
    if {b"BLOB", b"VALUES"} <= formats:
        raise CommandError("ERR both BLOB and VALUES specified")
    return formats


def tensor_reply(tensor: Tensor, formats: set[bytes]) -> object:
    """The reply of AI.TENSORGET, with the parts that `formats` names."""
    meta: list[object] = ["dtype", tensor.dtype, "shape", list(tensor.shape)] if b"META" in formats else []
    if b"VALUES" in formats:
        data: list[object] = ["values", tensor.to_values()]
    elif b"BLOB" in formats:
        data = ["blob", tensor.to_blob()]
    else:
        return meta
    return [*meta, *data] if meta else data[1]


def parse_tensor(words: ArgumentReader) -> tuple[str, tuple[int, ...], bytes]:
    """Dtype, shape and blob from the arguments of AI.TENSORSET after the key.

    Raises:
        CommandError: The arguments do not describe a tensor.
    """
    dtype = dtype_named(words.take(""))
    dims: list[int] = []
    while len(words):
        if words.take_keyword(b"BLOB"):
            if len(words) != 1:
                raise CommandError(
                    "ERR a single binary string should come after the BLOB argument in 'AI.TENSORSET' command"
                )
            blob = words.take("")
            check_blob(dtype, tuple(dims), blob)
            return dtype, tuple(dims), blob
        if words.take_keyword(b"VALUES"):
            if len(words) != math.prod(dims):
                raise CommandError("ERR wrong number of values was given in 'AI.TENSORSET' command")
            tensor = Tensor.from_values(dtype, dims, parse_values(dtype, words.take_rest()))
            return dtype, tensor.shape, tensor.to_blob()
        dims.append(_dimension(words.take(""), len(dims)))
    return dtype, tuple(dims), zeros_blob(dtype, tuple(dims))


def _dimension(word: bytes, known: int) -> int:
    dim = integer(word)
    if dim is None or dim <= 0:
        raise CommandError("ERR invalid or negative value found in tensor shape")
    if known == MAX_DIMS:
        raise CommandError(f"ERR a tensor has at most {MAX_DIMS} dimensions")
    return dim
