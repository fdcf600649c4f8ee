"""Parsing the arguments of the commands that run models and scripts, alone or in a DAG."""

from __future__ import annotations

from collections.abc import Sequence

from rededge_nb.edge.ai.backends.invocation import Invocation
from rededge_nb.edge.ai.execution.loaded_models import INPUTS_MISMATCH
from rededge_nb.edge.ai.execution.runs import ModelLookup, ModelRun, ScriptRun
from rededge_nb.edge.ai.parsing.arguments import ArgumentReader, integer, text
from rededge_nb.edge.switchboard.calls import CommandError, arity_text

OUTPUTS_MISMATCH = "Number of keys given as OUTPUTS here does not match model definition"
_SCRIPTEXECUTE = "AI.SCRIPTEXECUTE"
_SCOPES = (b"KEYS", b"INPUTS", b"ARGS", b"OUTPUTS")
_COUNT_NAMES = {b"INPUTS": "inputs", b"OUTPUTS": "outputs", b"ARGS": "keys"}


def parse_modelexecute(args: Sequence[bytes], lookup: ModelLookup, name: str) -> ModelRun:
    """`key INPUTS n in … OUTPUTS m out … [TIMEOUT ms]`.

    Raises:
        CommandError: The arguments are wrong, or the key holds no model.
    """
    if len(args) < 7:
        raise CommandError(arity_text(name))
    words = ArgumentReader(list(args))
    model = lookup.models.find_model(lookup.redis, words.take(""), lookup.prefetched)
    inputs = _counted(words, "input", len(model.inputs))
    outputs = _counted(words, "output", len(model.outputs))
    timeout = None
    if words.take_keyword(b"TIMEOUT"):
        timeout = parse_timeout(words)
    if len(words):
        raise CommandError(f"Invalid argument: {text(words.take(''))}")
    return ModelRun(model, inputs, outputs, timeout)


def parse_modelrun(args: Sequence[bytes], lookup: ModelLookup, name: str) -> ModelRun:
    """`key [TIMEOUT ms] INPUTS in … OUTPUTS out …`.

    Raises:
        CommandError: The arguments are wrong, or the key holds no model.
    """
    if len(args) < 5:
        raise CommandError(arity_text(name))
    words = ArgumentReader(list(args))
    model = lookup.models.find_model(lookup.redis, words.take(""))
    timeout = parse_timeout(words) if words.take_keyword(b"TIMEOUT") else None
    if not words.take_keyword(b"INPUTS"):
        raise CommandError("ERR INPUTS not specified")
    inputs, outputs = _split_at(words.take_rest(), b"OUTPUTS")
    if len(inputs) != len(model.inputs):
        raise CommandError(INPUTS_MISMATCH)
    if len(outputs) != len(model.outputs):
        raise CommandError(OUTPUTS_MISMATCH)
    return ModelRun(model, inputs, outputs, timeout)


def parse_scriptexecute(args: Sequence[bytes], lookup: ModelLookup, name: str, *, in_dag: bool = False) -> ScriptRun:
    """`key function [KEYS n k …] [INPUTS n t …] [ARGS n a …] [OUTPUTS n t …] [TIMEOUT ms]`.

    Raises:
        CommandError: The arguments are wrong, or the key holds no script.
    """
    if len(args) < 2:
        raise CommandError(arity_text(name))
    words = ArgumentReader(list(args))
    script = lookup.models.find_script(lookup.redis, words.take(""))
    function = text(words.take(""))
    if not in_dag and words.peek() not in (b"KEYS", b"INPUTS"):
        raise CommandError(f"ERR KEYS or INPUTS scope must be provided first for {_SCRIPTEXECUTE} command")
    scopes: dict[bytes, list[bytes]] = {}
    timeout = None
    while len(words):
        if timeout is not None:
            raise CommandError(f"ERR Encountered problem parsing {_SCRIPTEXECUTE}")
        if words.take_keyword(b"TIMEOUT"):
            timeout = parse_timeout(words, f" in {_SCRIPTEXECUTE}")
            continue
        scope = words.peek() or b""
        word = words.take("")
        if scope not in _SCOPES:
            raise CommandError(f"ERR Invalid {_SCRIPTEXECUTE} command. Unexpected argument: {text(word)}")
        if scope in scopes:
            raise CommandError(f"ERR Already Encountered {scope.decode()} scope in {_SCRIPTEXECUTE} command")
        scopes[scope] = _keys(words) if scope == b"KEYS" else _scope(words, scope)
    invocation = Invocation(
        function,
        keys=[text(key) for key in scopes.get(b"KEYS", ())],
        args=[text(argument) for argument in scopes.get(b"ARGS", ())],
        outputs=len(scopes.get(b"OUTPUTS", ())),
    )
    return ScriptRun(script, invocation, scopes.get(b"INPUTS", []), scopes.get(b"OUTPUTS", []), timeout)


def parse_scriptrun(args: Sequence[bytes], lookup: ModelLookup, name: str) -> ScriptRun:
    """`key function [TIMEOUT ms] INPUTS t … [$ t …] OUTPUTS t …`.

    Raises:
        CommandError: The arguments are wrong, or the key holds no script.
    """
    if len(args) < 2:
        raise CommandError(arity_text(name))
    words = ArgumentReader(list(args))
    script = lookup.models.find_script(lookup.redis, words.take(""))
    if words.peek() in (b"TIMEOUT", b"INPUTS", b"OUTPUTS"):
        raise CommandError("ERR function name not specified")
    function = text(words.take(""))
    timeout = parse_timeout(words) if words.take_keyword(b"TIMEOUT") else None
    inputs: list[bytes] = []
    outputs: list[bytes] = []
    if words.take_keyword(b"INPUTS"):
        inputs, outputs = _split_at(words.take_rest(), b"OUTPUTS")
    elif words.take_keyword(b"OUTPUTS"):
        outputs = words.take_rest()
    elif len(words):
        raise CommandError("ERR Unrecongnized parameter to SCRIPTRUN")
    if b"$" in outputs:
        raise CommandError("ERR Encountered a variable size list of tensors outside of input section")
    if inputs.count(b"$") > 1:
        raise CommandError("ERR Already encountered a variable size list of tensors")
    inputs = [key for key in inputs if key != b"$"]
    return ScriptRun(script, Invocation(function, outputs=len(outputs)), inputs, outputs, timeout)


def parse_timeout(words: ArgumentReader, where: str = "") -> float:
    """The argument of TIMEOUT in seconds; the client gives milliseconds.

    Raises:
        CommandError: There is no number above 0.
    """
    milliseconds = integer(words.take(f"ERR No value provided for TIMEOUT{where}"))
    if milliseconds is None or milliseconds <= 0:
        raise CommandError("ERR Invalid value for TIMEOUT")
    return milliseconds / 1000


def _counted(words: ArgumentReader, side: str, expected: int) -> list[bytes]:
    keyword = f"{side.upper()}S"
    if not words.take_keyword(keyword.encode()):
        raise CommandError(f"ERR {keyword} not specified")
    count = words.take_number(f"ERR Invalid argument for {side}_count")
    if count <= 0:
        raise CommandError(f"ERR {side.capitalize()} count must be a positive integer")
    if count != expected:
        raise CommandError(INPUTS_MISMATCH if side == "input" else OUTPUTS_MISMATCH)
    return words.take_many(
        count, f"ERR number of {side} keys to AI.MODELEXECUTE command does not match the number of given arguments"
    )


def _keys(words: ArgumentReader) -> list[bytes]:
    if len(words) < 2:
        raise CommandError("ERR Missing arguments after KEYS keyword")
    count = integer(words.take(""))
    if count is None or count < 1:
        raise CommandError("ERR Invalid or negative value found in number of KEYS")
    return words.take_many(
        count,
        "ERR Number of pre declared KEYS to be used in the command does not match the number of given arguments",
    )


def _scope(words: ArgumentReader, scope: bytes) -> list[bytes]:
    count = integer(words.take(f"ERR Invalid arguments provided to {_SCRIPTEXECUTE}"))
    if count is None or count < 0:
        raise CommandError(f"ERR Invalid argument for {_COUNT_NAMES[scope]} count in {_SCRIPTEXECUTE}")
    name = scope.decode().lower()
    return words.take_many(
        count, f"ERR number of {name} to {_SCRIPTEXECUTE} command does not match the number of given arguments"
    )


def _split_at(words: list[bytes], keyword: bytes) -> tuple[list[bytes], list[bytes]]:
    """The words before and after the first `keyword`, in upper or lower case."""
    at = next((index for index, word in enumerate(words) if word.upper() == keyword), len(words))
    return words[:at], words[at + 1 :]
