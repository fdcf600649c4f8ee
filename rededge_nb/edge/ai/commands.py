"""The table of AI commands, and the two that are about neither tensors nor one model's data: AI.INFO, AI.CONFIG."""

from __future__ import annotations

from dataclasses import asdict

from rededge_nb.edge.ai import configuration, store
from rededge_nb.edge.ai.arguments import integer, wrong_arity
from rededge_nb.edge.ai.model_commands import modeldel, modelexecute, modelget, modelscan, modelstore
from rededge_nb.edge.ai.tensor_commands import tensorget, tensorset
from rededge_nb.edge.commands import OK, Call, Command, CommandError


def info(call: Call) -> object:
    """`AI.INFO key [RESETSTAT]`: what a model's runs took, gears' runs included."""
    if not 1 <= len(call.args) <= 2:
        raise wrong_arity(call)
    key = call.args[0]
    try:
        model = store.get_model(call.redis, key)
        if call.args[1:] and call.args[1].upper() == b"RESETSTAT":
            call.worker.statistics.reset(call.redis, call.db, key)
            return OK
        runs = call.worker.statistics.read(call.redis, call.db, key)
    except CommandError as error:
        raise CommandError("ERR cannot find run info for key") from error
    reply: list[object] = ["key", key, "type", "MODEL", "backend", model.backend, "device", model.device]
    reply += ["tag", model.tag]
    for name, count in asdict(runs).items():
        reply += [name, count]
    return reply


def config(call: Call) -> object:
    """`AI.CONFIG GET name` and `AI.CONFIG MODEL_CHUNK_SIZE n`."""
    if not call.args:
        raise wrong_arity(call)
    subcommand = call.args[0].upper()
    if subcommand == b"GET":
        if len(call.args) < 2:
            raise wrong_arity(call)
        return _setting(call, call.args[1].upper())
    if subcommand != b"MODEL_CHUNK_SIZE":
        raise CommandError("ERR unsupported subcommand")
    if len(call.args) < 2:
        raise CommandError("ERR MODEL_CHUNK_SIZE: missing chunk size")
    size = integer(call.args[1])
    if size is None or size < 1:
        raise CommandError("ERR MODEL_CHUNK_SIZE: invalid chunk size")
    configuration.set_model_chunk_size(call.worker.client(0), size)
    return OK


def _setting(call: Call, name: bytes) -> int | str | None:
    if name == b"MODEL_CHUNK_SIZE":
        return configuration.model_chunk_size(call.worker.client(0))
    return configuration.backends_path() if name == b"BACKENDSPATH" else None


_WRITE, _READ = "write deny-oom", "readonly"

COMMANDS: tuple[Command, ...] = (
    Command("AI.TENSORSET", tensorset, "ai", -1, _WRITE, "write", "w"),
    Command("AI.TENSORGET", tensorget, "ai", -1, _READ, "read", "r"),
    Command("AI.MODELSTORE", modelstore, "ai", -1, _WRITE, "write", "w"),
    Command("AI.MODELGET", modelget, "ai", -1, _READ, "read", "r"),
    Command("AI.MODELDEL", modeldel, "ai", -1, "write", "write", "w"),
    Command("AI.MODELEXECUTE", modelexecute, "ai", -1, _WRITE, "write", "r INPUTS:r OUTPUTS:w"),
    Command("AI._MODELSCAN", modelscan, "ai", -1, _READ, "read"),
    Command("AI.INFO", info, "ai", -1, _READ, "read", "r"),
    Command("AI.CONFIG", config, "ai", -1, "write", "write admin dangerous"),
)
