"""AI.MODELSTORE, AI.MODELGET, AI.MODELDEL, AI.MODELEXECUTE and AI._MODELSCAN."""

from __future__ import annotations

import re

from rededge_nb.edge.ai import backends, configuration, store
from rededge_nb.edge.ai.arguments import Words, integer, wrong_arity
from rededge_nb.edge.ai.sessions import Identity
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.commands import OK, Call, CommandError

_DEVICE = re.compile(rb"(CPU|GPU)(:[0-9]+)?", re.IGNORECASE)
_MAX_DEVICE = 10


def modelstore(call: Call) -> object:
    """`AI.MODELSTORE key backend device [TAG t] [BATCHSIZE n] … [OUTPUTS c name …] BLOB data [data …]`.

    The batching options are kept and told by AI.MODELGET; runs are not joined yet.
    """
    if len(call.args) < 5:
        raise wrong_arity(call)
    words = Words(call.args)
    key = words.take("")
    backend = words.take("").decode("latin-1").upper()
    if backend not in backends.NAMES:
        raise CommandError("ERR unsupported backend")
    device = words.take("")
    if len(device) >= _MAX_DEVICE or not _DEVICE.fullmatch(device):
        raise CommandError("ERR Invalid DEVICE")
    tag = words.take("ERR Insufficient arguments, missing model BLOB") if words.take_keyword(b"TAG") else b""
    batchsize, minbatchsize, minbatchtimeout = _batching(words)
    _names(words, backend)
    if not words.take_keyword(b"BLOB"):
        raise CommandError(
            "ERR Invalid argument, expected BLOB" if len(words) else "ERR Insufficient arguments, missing model BLOB"
        )
    blob = b"".join(words.take_rest() or [words.take("ERR Insufficient arguments, missing model BLOB")])
    identity = Identity(backend, device.decode().upper(), store.digest_of(blob))
    loaded = call.worker.sessions.load(identity, blob)
    model = store.Model(
        backend=backend,
        device=device.decode(),
        tag=tag,
        batchsize=batchsize,
        minbatchsize=minbatchsize,
        minbatchtimeout=minbatchtimeout,
        inputs=tuple(loaded.inputs),
        outputs=tuple(loaded.outputs),
    )
    store.replace(call.redis, store.MODEL, [(key, model.fields(blob, identity.digest))])
    call.worker.sessions.hold(call.redis, key, identity)
    call.worker.sessions.sweep(call.worker.client)
    return OK


def modelget(call: Call) -> object:
    """`AI.MODELGET key [META] [BLOB]`."""
    if not 1 <= len(call.args) <= 3:
        raise wrong_arity(call)
    key, *words = call.args
    asked = {word.upper() for word in words} & {b"META", b"BLOB"}
    model = store.get_model(call.redis, key)
    data = None if asked == {b"META"} else _chunks(call, store.read(call.redis, key, store.MODEL, ["blob"])[0])
    if asked == {b"BLOB"}:
        return data
    meta = [
        *("backend", model.backend, "device", model.device, "tag", model.tag),
        *("batchsize", model.batchsize, "minbatchsize", model.minbatchsize),
        *("inputs", list(model.inputs), "outputs", list(model.outputs)),
        *("minbatchtimeout", model.minbatchtimeout),
    ]
    return meta if data is None else [*meta, "blob", data]


def modeldel(call: Call) -> object:
    """`AI.MODELDEL key`."""
    if len(call.args) != 1:
        raise wrong_arity(call)
    store.delete(call.redis, call.args[0], store.MODEL)
    call.worker.sessions.sweep(call.worker.client)
    return OK


def modelexecute(call: Call) -> object:
    """`AI.MODELEXECUTE key INPUTS n in … OUTPUTS m out … [TIMEOUT ms]`.

    TIMEOUT is checked and has no effect: it limits the time in the queue, which the worker is not told.
    """
    if len(call.args) < 7:
        raise wrong_arity(call)
    words = Words(call.args)
    session = call.worker.sessions.get(call.redis, words.take(""))
    inputs = _keys(words, "input", len(session.inputs))
    outputs = _keys(words, "output", len(session.outputs))
    _timeout(words)
    tensors = store.get_tensors(call.redis, inputs)
    results = session.run_all([tensor.array for tensor in tensors])
    store.set_tensors(
        call.redis,
        [(key, Tensor.from_array(result)) for key, result in zip(outputs, results, strict=True) if result is not None],
    )
    return OK


def modelscan(call: Call) -> object:
    """`AI._MODELSCAN`."""
    if call.args:
        raise wrong_arity(call)
    return [[key, tag] for key, tag in store.scan_models(call.redis)]


def _batching(words: Words) -> tuple[int, int, int]:
    batchsize = _size(words, "BATCHSIZE")
    minbatchsize = _size(words, "MINBATCHSIZE")
    if minbatchsize and not batchsize:
        raise CommandError("ERR MINBATCHSIZE specified without BATCHSIZE")
    minbatchtimeout = _size(words, "MINBATCHTIMEOUT")
    if minbatchtimeout and not minbatchsize:
        raise CommandError("ERR MINBATCHTIMEOUT specified without MINBATCHSIZE")
    return batchsize, minbatchsize, minbatchtimeout


def _size(words: Words, keyword: str) -> int:
    if not words.take_keyword(keyword.encode()):
        return 0
    size = words.take_number(f"ERR Invalid argument for {keyword}")
    if size < 0:
        raise CommandError(f"ERR Invalid argument for {keyword}")
    return size


def _names(words: Words, backend: str) -> None:
    """Pass over the names of inputs and outputs, which TF graphs need and others must not have."""
    if not len(words):
        raise CommandError("ERR Insufficient arguments, missing model BLOB")
    for side in ("input", "output"):
        given = words.take_keyword(f"{side.upper()}S".encode())
        if backend != "TF":
            if given:
                raise CommandError(f"ERR {side.upper()}S argument should not be specified for this backend")
            continue
        if not given:
            raise CommandError(f"ERR {side.upper()}S not specified for TF")
        count = words.take_number(f"ERR Invalid argument for {side}_count")
        if count <= 0:
            raise CommandError(f"ERR Invalid argument for {side}_count")
        words.take_many(count, f"ERR number of model {side}s does not match the number of given arguments")


def _chunks(call: Call, blob: bytes) -> bytes | list[bytes]:
    size = configuration.model_chunk_size(call.worker.client(0))
    count = len(blob) // size + 1
    return blob if count == 1 else [blob[i * size : (i + 1) * size] for i in range(count)]


def _keys(words: Words, side: str, expected: int) -> list[bytes]:
    keyword = f"{side.upper()}S"
    if not words.take_keyword(keyword.encode()):
        raise CommandError(f"ERR {keyword} not specified")
    count = words.take_number(f"ERR Invalid argument for {side}_count")
    if count <= 0:
        raise CommandError(f"ERR {side.capitalize()} count must be a positive integer")
    if count != expected:
        raise CommandError(f"Number of keys given as {keyword} here does not match model definition")
    return words.take_many(
        count, f"ERR number of {side} keys to AI.MODELEXECUTE command does not match the number of given arguments"
    )


def _timeout(words: Words) -> None:
    if words.take_keyword(b"TIMEOUT"):
        timeout = integer(words.take("ERR No value provided for TIMEOUT"))
        if timeout is None or timeout <= 0:
            raise CommandError("ERR Invalid value for TIMEOUT")
    if len(words):
        raise CommandError(f"Invalid argument: {words.take('').decode('utf-8', 'replace')}")
