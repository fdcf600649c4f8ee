"""AI.MODELSTORE, AI.MODELSET and AI.MODELGET."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.commands import configuration
from rededge_nb.edge.ai.commands.stored import DEVICE, DEVICE_LENGTH_LIMIT, store
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels, identity_of
from rededge_nb.edge.ai.parsing.arguments import ArgumentReader
from rededge_nb.edge.ai.storage import hashes, records
from rededge_nb.edge.switchboard.calls import Call, CommandError

MISSING_BLOB = "ERR Insufficient arguments, missing model BLOB"
_KEYWORDS = (b"TAG", b"BATCHSIZE", b"MINBATCHSIZE", b"MINBATCHTIMEOUT", b"INPUTS", b"OUTPUTS", b"BLOB")


@dataclass(frozen=True)
class _Options:
    tag: bytes
    batching: tuple[int, int, int]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def modelstore(call: Call, models: LoadedModels) -> object:
    """`AI.MODELSTORE key backend device [TAG t] [BATCHSIZE n] … [OUTPUTS c name …] BLOB data [data …]`."""
    words = ArgumentReader(call.args)
    key, backend, device = words.take(""), _backend(words), words.take("")
    if len(device) >= DEVICE_LENGTH_LIMIT or not DEVICE.fullmatch(device):
        raise CommandError("ERR Invalid DEVICE")
    tag = words.take(MISSING_BLOB) if words.take_keyword(b"TAG") else b""
    batching = _batching(words)
    if not len(words):
        raise CommandError(MISSING_BLOB)
    inputs, outputs = _counted_names(words, "input", backend), _counted_names(words, "output", backend)
    if not words.take_keyword(b"BLOB"):
        expected = len(words) or backend == "TF"
        raise CommandError("ERR Invalid argument, expected BLOB" if expected else MISSING_BLOB)
    return _store(call, models, key, backend, device, _blob(words), _Options(tag, batching, inputs, outputs))


def modelset(call: Call, models: LoadedModels) -> object:
    """`AI.MODELSET key backend device [TAG t] [BATCHSIZE n] … [INPUTS name … OUTPUTS name …] BLOB data [data …]`.

    Without the word BLOB the last argument is the model, as it was up to RedisAI 0.9.
    """
    words = ArgumentReader(call.args)
    key, backend = words.take(""), _backend(words)
    device = words.take("ERR Invalid DEVICE")
    if len(device) > DEVICE_LENGTH_LIMIT or device.upper() in _KEYWORDS:
        raise CommandError("ERR Invalid DEVICE")
    if not DEVICE.fullmatch(device):
        raise CommandError("ERR unsupported device")
    tag = words.take(MISSING_BLOB) if words.take_keyword(b"TAG") else b""
    if backend == "TFLITE" and words.peek() == b"BATCHSIZE":
        raise CommandError("ERR Auto-batching not supported by the TFLITE backend")
    batching = _batching(words)
    if backend != "TF":
        return _store(
            call,
            models,
            key,
            backend,
            device,
            _blob_after_any_words(words, may_be_bare=batching == (0, 0, 0)),
            _Options(tag, batching),
        )
    if not len(words) or words.peek() == b"BLOB":
        raise CommandError("ERR Insufficient arguments, INPUTS and OUTPUTS not specified")
    if not words.take_keyword(b"INPUTS"):
        raise CommandError("ERR INPUTS not specified")
    inputs = _names_until(words, b"OUTPUTS", b"BLOB")
    if not words.take_keyword(b"OUTPUTS"):
        raise CommandError("ERR OUTPUTS not specified")
    outputs = _names_until(words, b"BLOB")
    if words.take_keyword(b"BLOB"):
        blob = _blob(words)
    elif len(outputs) > 1:
        blob = outputs.pop()
    else:
        raise CommandError(MISSING_BLOB)
    names = (tuple(name.decode("utf-8", "replace") for name in side) for side in (inputs, outputs))
    return _store(call, models, key, backend, device, blob, _Options(tag, batching, *names))


def modelget(call: Call, models: LoadedModels) -> object:
    """`AI.MODELGET key [META] [BLOB]`."""
    key, *words = call.args
    asked = {word.upper() for word in words} & {b"META", b"BLOB"}
    model = records.get_model(call.redis, key)
    data = None if asked == {b"META"} else _chunks(models, hashes.read(call.redis, key, hashes.MODEL, ["blob"])[0])
    if asked == {b"BLOB"}:
        return data
    meta = [
        *("backend", model.backend, "device", model.device, "tag", model.tag),
        *("batchsize", model.batchsize, "minbatchsize", model.minbatchsize),
        *("inputs", list(model.inputs), "outputs", list(model.outputs)),
        *("minbatchtimeout", model.minbatchtimeout),
    ]
    return meta if data is None else [*meta, "blob", data]


def _store(
    call: Call, models: LoadedModels, key: bytes, backend: str, device: bytes, blob: bytes, options: _Options
) -> object:
    batchsize, minbatchsize, minbatchtimeout = options.batching
    record = records.ModelRecord(
        backend=backend,
        device=device.decode(),
        tag=options.tag,
        batchsize=batchsize,
        minbatchsize=minbatchsize,
        minbatchtimeout=minbatchtimeout,
        inputs=options.inputs,
        outputs=options.outputs,
    )
    identity = identity_of(record, hashes.digest_of(blob))
    loaded = models.load(identity, blob)
    record = replace(record, inputs=tuple(loaded.inputs), outputs=tuple(loaded.outputs))
    fields = record.fields(blob, identity.digest)
    return store(call, models, kind=hashes.MODEL, key=key, fields=fields, identity=identity)


def _backend(words: ArgumentReader) -> str:
    backend = words.take("").decode("latin-1").upper()
    if backend not in backends.NAMES:
        raise CommandError("ERR unsupported backend")
    return backend


def _batching(words: ArgumentReader) -> tuple[int, int, int]:
    batchsize = _size(words, "BATCHSIZE")
    minbatchsize = _size(words, "MINBATCHSIZE")
    if minbatchsize and not batchsize:
        raise CommandError("ERR MINBATCHSIZE specified without BATCHSIZE")
    minbatchtimeout = _size(words, "MINBATCHTIMEOUT")
    if minbatchtimeout and not minbatchsize:
        raise CommandError("ERR MINBATCHTIMEOUT specified without MINBATCHSIZE")
    return batchsize, minbatchsize, minbatchtimeout


def _size(words: ArgumentReader, keyword: str) -> int:
    if not words.take_keyword(keyword.encode()):
        return 0
    size = words.take_number(f"ERR Invalid argument for {keyword}")
    if size < 0:
        raise CommandError(f"ERR Invalid argument for {keyword}")
    return size


def _counted_names(words: ArgumentReader, side: str, backend: str) -> tuple[str, ...]:
    """Names of a TF graph's inputs or outputs; for other backends the caller must not give any."""
    given = words.take_keyword(f"{side.upper()}S".encode())
    if backend != "TF":
        if given:
            raise CommandError(f"ERR {side.upper()}S argument should not be specified for this backend")
        return ()
    if not given:
        raise CommandError(f"ERR {side.upper()}S not specified for TF")
    count = words.take_number(f"ERR Invalid argument for {side}_count")
    if count <= 0:
        raise CommandError(f"ERR Invalid argument for {side}_count")
    names = words.take_many(count, f"ERR number of model {side}s does not match the number of given arguments")
    return tuple(name.decode("utf-8", "replace") for name in names)


def _names_until(words: ArgumentReader, *keywords: bytes) -> list[bytes]:
    names: list[bytes] = []
    while len(words) and words.peek() not in keywords:
        names.append(words.take(""))
    return names


def _blob(words: ArgumentReader) -> bytes:
    return b"".join(words.take_rest() or [words.take(MISSING_BLOB)])


def _blob_after_any_words(words: ArgumentReader, *, may_be_bare: bool) -> bytes:
    """The words after BLOB, whatever comes before it; without BLOB the only word that is left, if `may_be_bare`.

    RedisAI up to 0.9 had no word BLOB, but no sizes of batches either.
    """
    before = _names_until(words, b"BLOB")
    if words.take_keyword(b"BLOB"):
        return _blob(words)
    if len(before) != 1 or not may_be_bare:
        raise CommandError(MISSING_BLOB)
    return before[0]


def _chunks(models: LoadedModels, blob: bytes) -> bytes | list[bytes]:
    size = configuration.model_chunk_size(models.client_of(0))
    count = len(blob) // size + 1
    return blob if count == 1 else [blob[i * size : (i + 1) * size] for i in range(count)]
