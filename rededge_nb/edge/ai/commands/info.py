"""AI.INFO and AI.CONFIG."""

from __future__ import annotations

from dataclasses import asdict

from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.commands import configuration
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.ai.parsing.arguments import integer
from rededge_nb.edge.ai.storage import counts_of_workers, hashes, records
from rededge_nb.edge.switchboard.calls import OK, Call, CommandError, wrong_arity

NO_INFO = "ERR cannot find run info for key"


def info(call: Call, models: LoadedModels) -> object:
    """`AI.INFO key [RESETSTAT | MEMORY]`: statistics of the runs of a model or script, those in gears included.

    MEMORY is our addition: the reply has one more field, `memory`, with the bytes that the model or script uses in the
    worker that answers (0 if it is not loaded there).
    """
    key, option = call.args[0], b"".join(call.args[1:]).upper()
    kind = hashes.kind_at(call.redis, key)
    if kind not in (hashes.MODEL, hashes.SCRIPT):
        raise CommandError(NO_INFO)
    counts_of_workers.ask_all(call.redis)
    try:
        if option == b"RESETSTAT":
            models.statistics.reset(call.redis, call.db, key, kind)
            return OK
        record = records.get_model(call.redis, key) if kind == hashes.MODEL else records.get_script(call.redis, key)
        runs = models.statistics.read(call.redis, call.db, key, kind)
    except CommandError as error:
        raise CommandError(NO_INFO) from error
    backend = record.backend if isinstance(record, records.ModelRecord) else "TORCH"
    reply: list[object] = ["key", key, "type", kind.upper(), "backend", backend]
    reply += ["device", record.device, "tag", record.tag]
    for name, count in asdict(runs).items():
        reply += [name, -1 if name == "samples" and kind == hashes.SCRIPT else count]
    return [*reply, "memory", models.memory(call.redis, key)] if option == b"MEMORY" else reply


def config(call: Call, models: LoadedModels) -> object:
    """`AI.CONFIG GET name`, `MODEL_CHUNK_SIZE n`, `BACKENDSPATH path` and `LOADBACKEND backend path`."""
    subcommand, *words = call.args
    match subcommand.upper():
        case b"GET":
            if not words:
                raise wrong_arity(call)
            return _setting(models, words[0].upper())
        case b"MODEL_CHUNK_SIZE":
            if not words:
                raise CommandError("ERR MODEL_CHUNK_SIZE: missing chunk size")
            size = integer(words[0])
            if size is None or size < 1:
                raise CommandError("ERR MODEL_CHUNK_SIZE: invalid chunk size")
            configuration.set_model_chunk_size(models.client_of(0), size)
        case b"BACKENDSPATH":
            if not words:
                raise CommandError("ERR BACKENDSPATH: missing path argument")
            configuration.set_backends_path(models.client_of(0), words[0])
        case b"LOADBACKEND":
            if len(words) < 2:
                raise wrong_arity(call)
            _load_backend(words[0].decode("latin-1").upper())
        case _:
            raise CommandError("ERR unsupported subcommand")
    return OK


def _setting(models: LoadedModels, name: bytes) -> int | bytes | None:
    if name == b"MODEL_CHUNK_SIZE":
        return configuration.model_chunk_size(models.client_of(0))
    return configuration.backends_path(models.client_of(0)) if name == b"BACKENDSPATH" else None


def _load_backend(name: str) -> None:
    """Import one of our own backends. The path that the client gives is ignored: a client must not load code."""
    if name not in backends.NAMES:
        raise CommandError("ERR unsupported backend")
    try:
        backends.module_of(name)
    except CommandError as error:
        raise CommandError("ERR error loading backend") from error
