"""AI.TENSORSET and AI.TENSORGET."""

from __future__ import annotations

import math

from rededge_nb.edge.ai import store
from rededge_nb.edge.ai.arguments import Words, integer, wrong_arity
from rededge_nb.edge.ai.tensors import MAX_DIMS, Tensor, check_blob, dtype_named, parse_values, zeros_blob
from rededge_nb.edge.commands import OK, Call, CommandError

_FORMATS = (b"META", b"BLOB", b"VALUES")


def tensorset(call: Call) -> object:
    """`AI.TENSORSET key dtype [dim ...] [BLOB data | VALUES v ...]`."""
    if len(call.args) < 3:
        raise wrong_arity(call)
    key, *words = call.args
    try:
        fields = _parse(Words(words))
    except CommandError:
        # a key of another type is told before any mistake in the words
        store.check_replaceable(call.redis, key, store.TENSOR)
        raise
    store.replace(call.redis, store.TENSOR, [(key, fields)])
    return OK


def tensorget(call: Call) -> object:
    """`AI.TENSORGET key [META] [BLOB | VALUES]`."""
    if not 1 <= len(call.args) <= 3:
        raise wrong_arity(call)
    key, *words = call.args
    formats = {word.upper() for word in words} or {b"META", b"BLOB"}
    mistake = None
    if not formats.issubset(_FORMATS):
        mistake = "ERR unsupported data format"
    elif {b"BLOB", b"VALUES"} <= formats:
        mistake = "ERR both BLOB and VALUES specified"
    # a missing key or one of another type is told before any mistake in the words
    wants_data = mistake is None and formats != {b"META"}
    dtype, shape, *blob = store.read(call.redis, key, store.TENSOR, ["dtype", "shape", *["blob"] * wants_data])
    if mistake is not None:
        raise CommandError(mistake)
    reply: list[object] = ["dtype", dtype, "shape", list(store.shape_of(shape))] if b"META" in formats else []
    if b"VALUES" in formats:
        reply += ["values", Tensor.from_blob(dtype.decode("latin-1"), store.shape_of(shape), blob[0]).to_values()]
    elif b"BLOB" in formats:
        reply += ["blob", blob[0]]
    return reply if b"META" in formats else reply[1]


def _parse(words: Words) -> store.Fields:
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
            return store.tensor_fields(dtype, tuple(dims), blob)
        if words.take_keyword(b"VALUES"):
            if len(words) != math.prod(dims):
                raise CommandError("ERR wrong number of values was given in 'AI.TENSORSET' command")
            tensor = Tensor.from_values(dtype, dims, parse_values(dtype, words.take_rest()))
            return store.tensor_fields(dtype, tensor.shape, tensor.to_blob())
        dims.append(_dimension(words.take(""), len(dims)))
    return store.tensor_fields(dtype, tuple(dims), zeros_blob(dtype, tuple(dims)))


def _dimension(word: bytes, known: int) -> int:
    dim = integer(word)
    if dim is None or dim <= 0:
        raise CommandError("ERR invalid or negative value found in tensor shape")
    if known == MAX_DIMS:
        raise CommandError(f"ERR a tensor has at most {MAX_DIMS} dimensions")
    return dim
