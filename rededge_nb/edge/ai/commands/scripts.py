"""AI.SCRIPTSTORE, AI.SCRIPTSET and AI.SCRIPTGET."""

from __future__ import annotations

from rededge_nb.edge.ai.commands.stored import DEVICE, DEVICE_LENGTH_LIMIT, store
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels, script_identity
from rededge_nb.edge.ai.parsing.arguments import ArgumentReader, text
from rededge_nb.edge.ai.storage import hashes, records
from rededge_nb.edge.switchboard.calls import Call, CommandError, wrong_arity

MISSING_SOURCE = "ERR Insufficient arguments, missing script SOURCE"


def scriptstore(call: Call, models: LoadedModels) -> object:
    """`AI.SCRIPTSTORE key device [TAG t] ENTRY_POINTS n name … SOURCE text`."""
    words = ArgumentReader(call.args)
    key, device = words.take(""), words.take("")
    tag = words.take("") if words.take_keyword(b"TAG") else b""
    if not words.take_keyword(b"ENTRY_POINTS"):
        raise CommandError("ERR Insufficient arguments, missing script entry points")
    count = words.take_number("ERR Non numeric entry points number provided to AI.SCRIPTSTORE command")
    if not 0 < count <= len(words):
        raise CommandError("ERR Insufficient arguments, missing script entry points")
    names = tuple(text(name) for name in words.take_many(count, ""))
    if not words.take_keyword(b"SOURCE"):
        raise CommandError(MISSING_SOURCE)
    return _store(call, models, key, _script(device, tag, names, words.take(MISSING_SOURCE)))


def scriptset(call: Call, models: LoadedModels) -> object:
    """`AI.SCRIPTSET key device [TAG t] SOURCE text`; the word SOURCE is optional, as it was up to RedisAI 0.9."""
    words = ArgumentReader(call.args)
    key, device = words.take(""), words.take("")
    tag = words.take("") if len(words) > 2 and words.take_keyword(b"TAG") else b""
    if not words.take_keyword(b"SOURCE") and len(words) != 1:
        raise CommandError(MISSING_SOURCE)
    source = words.take(MISSING_SOURCE)
    if len(words):
        raise wrong_arity(call)
    return _store(call, models, key, _script(device, tag, (), source))


def scriptget(call: Call, _: LoadedModels) -> object:
    """`AI.SCRIPTGET key [META] [SOURCE]`."""
    key, *words = call.args
    asked = {word.upper() for word in words} & {b"META", b"SOURCE"}
    script = records.get_script(call.redis, key)
    if asked == {b"SOURCE"}:
        return script.source
    meta = ["device", script.device, "tag", script.tag, "Entry Points", list(script.entry_points)]
    return meta if asked == {b"META"} else [*meta, "source", script.source]


def _script(device: bytes, tag: bytes, entry_points: tuple[str, ...], source: bytes) -> records.ScriptRecord:
    if len(device) >= DEVICE_LENGTH_LIMIT or not DEVICE.fullmatch(device):
        raise CommandError("ERR unsupported device")
    return records.ScriptRecord(device.decode(), tag, entry_points, source)


def _store(call: Call, models: LoadedModels, key: bytes, script: records.ScriptRecord) -> object:
    models.compile(script)
    identity = script_identity(script)
    return store(call, models, kind=hashes.SCRIPT, key=key, fields=script.fields(), identity=identity)
