"""AI.TENSORSET and AI.TENSORGET."""

from __future__ import annotations

from rededge_nb.edge.ai.execution.sessions import Sessions
from rededge_nb.edge.ai.parsing.arguments import ArgumentReader
from rededge_nb.edge.ai.parsing.tensors import parse_formats, parse_tensor, tensor_reply
from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.switchboard.calls import OK, Call, CommandError


def tensorset(call: Call, _: Sessions) -> object:
    """`AI.TENSORSET key dtype [dim ...] [BLOB data | VALUES v ...]`."""
    key, *words = call.args
    try:
        fields = hashes.tensor_fields(*parse_tensor(ArgumentReader(words)))
    except CommandError:
        # a key of another type is told before any mistake in the words
        hashes.check_replaceable(call.redis, key, hashes.TENSOR)
        raise
    hashes.replace(call.redis, hashes.TENSOR, [(key, fields)])
    return OK


def tensorget(call: Call, _: Sessions) -> object:
    """`AI.TENSORGET key [META] [BLOB | VALUES]`."""
    key, *words = call.args
    try:
        formats = parse_formats(words)
    except CommandError:
        # a missing key or one of another type is told before any mistake in the words
        hashes.read(call.redis, key, hashes.TENSOR, [])
        raise
    if formats == {b"META"}:
        dtype, shape = hashes.read(call.redis, key, hashes.TENSOR, ["dtype", "shape"])
        return ["dtype", dtype.decode("latin-1"), "shape", list(hashes.shape_of(shape))]
    return tensor_reply(hashes.get_tensor(call.redis, key), formats)
