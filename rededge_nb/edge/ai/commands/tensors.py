"""AI.TENSORSET and AI.TENSORGET."""

from __future__ import annotations

from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.ai.parsing.arguments import ArgumentReader
from rededge_nb.edge.ai.parsing.tensors import parse_formats, parse_tensor, tensor_reply
from rededge_nb.edge.ai.storage import hashes, writing
from rededge_nb.edge.switchboard.calls import OK, Call, CommandError


def tensorset(call: Call, _: LoadedModels) -> object:
    """`AI.TENSORSET key dtype [dim ...] [BLOB data | VALUES v ...]`."""
    key, *words = call.args
    try:
        fields = hashes.tensor_fields(*parse_tensor(ArgumentReader(words)))
    except CommandError:
        # RedisAI reports a key of another type first, and errors in the arguments after that.
        hashes.check_replaceable(call.redis, key, hashes.TENSOR)
        raise
    writing.replace(call.redis, hashes.TENSOR, [(key, fields)])
    return OK


def tensorget(call: Call, _: LoadedModels) -> object:
    """`AI.TENSORGET key [META] [BLOB | VALUES]`."""
    key, *words = call.args
    try:
        formats = parse_formats(words)
    except CommandError:
        # RedisAI reports a missing key or one of another type first, and errors in the arguments after that.
        hashes.read(call.redis, key, hashes.TENSOR, [])
        raise
    if formats == {b"META"}:
        dtype, shape = hashes.read(call.redis, key, hashes.TENSOR, ["dtype", "shape"])
        return ["dtype", dtype.decode("latin-1"), "shape", list(hashes.shape_of(shape))]
    return tensor_reply(hashes.get_tensor(call.redis, key), formats)
