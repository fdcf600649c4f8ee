"""The arguments of the script commands, which are checked before torch is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, cast

import pytest
import redis

from rededge_nb.edge.ai.execution.scripts import Invocation, LoadedScript
from rededge_nb.edge.ai.parsing.runs import ModelLookup, ScriptRun, parse_scriptexecute, parse_scriptrun
from rededge_nb.edge.ai.storage.statistics import Statistics, StoredValue
from rededge_nb.edge.switchboard.calls import CommandError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
EXECUTE, RUN = "AI.SCRIPTEXECUTE", "AI.SCRIPTRUN"
Words = tuple[str | int, ...]


class AnyScript:
    """Stands in for LoadedModels: every key holds the same script, which is never run."""

    def find_script(self, client: object, key: bytes) -> LoadedScript:
        stored, compiled = StoredValue(0, key, b""), cast(Any, None)
        return LoadedScript("cpu:1", ("f",), compiled, stored, Statistics(), cast(Any, self), cast(Any, client))


LOOKUP = ModelLookup(cast(Any, None), cast(Any, AnyScript()))


def encoded(words: Words) -> list[bytes]:
    return [str(word).encode() for word in words]


def test_scopes_come_in_any_order() -> None:
    words: Words = ("s", "f", "inputs", 2, "a", "INPUTS", "ARGS", 0, "OUTPUTS", 1, "c", "KEYS", 1, "k", "TIMEOUT", 1500)
    run = parse_scriptexecute(encoded(words), LOOKUP, EXECUTE)
    invocation = Invocation("f", keys=["k"], args=[], outputs=1)
    assert run == ScriptRun(run.script, invocation, [b"a", b"INPUTS"], [b"c"], 1.5)
    assert run.device == "CPU:1"


def test_within_a_dag_any_scope_may_be_first() -> None:
    run = parse_scriptexecute(encoded(("s", "f", "ARGS", 1, "x")), LOOKUP, EXECUTE, in_dag=True)
    assert run.invocation.args == ["x"]


@pytest.mark.parametrize(
    ("words", "inputs", "outputs", "timeout"),
    [
        (("s", "f", "INPUTS", "a", "b", "OUTPUTS", "c"), [b"a", b"b"], [b"c"], None),
        (("s", "f", "TIMEOUT", 2000, "INPUTS", "a", "$", "b", "OUTPUTS", "c"), [b"a", b"b"], [b"c"], 2.0),
        (("s", "f", "OUTPUTS", "c"), [], [b"c"], None),
        (("s", "f"), [], [], None),
    ],
)
def test_the_older_form(words: Words, inputs: list[bytes], outputs: list[bytes], timeout: float | None) -> None:
    run = parse_scriptrun(encoded(words), LOOKUP, RUN)
    assert (run.inputs, run.outputs, run.timeout) == (inputs, outputs, timeout)


NOT_GIVEN = "does not match the number of given arguments"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("s",), "ERR wrong number of arguments for 'AI.SCRIPTEXECUTE' command"),
        (("s", "f"), "ERR KEYS or INPUTS scope must be provided first for AI.SCRIPTEXECUTE command"),
        (
            ("s", "f", "OUTPUTS", 1, "c"),
            "ERR KEYS or INPUTS scope must be provided first for AI.SCRIPTEXECUTE command",
        ),
        (("s", "f", "KEYS"), "ERR Missing arguments after KEYS keyword"),
        (("s", "f", "KEYS", 1), "ERR Missing arguments after KEYS keyword"),
        (("s", "f", "KEYS", 0, "INPUTS", 0), "ERR Invalid or negative value found in number of KEYS"),
        (("s", "f", "KEYS", "x", "k"), "ERR Invalid or negative value found in number of KEYS"),
        (
            ("s", "f", "KEYS", 10**12, "k"),
            f"ERR Number of pre declared KEYS to be used in the command {NOT_GIVEN}",
        ),
        (("s", "f", "INPUTS"), "ERR Invalid arguments provided to AI.SCRIPTEXECUTE"),
        (("s", "f", "INPUTS", "x", "a"), "ERR Invalid argument for inputs count in AI.SCRIPTEXECUTE"),
        (("s", "f", "INPUTS", -1, "a"), "ERR Invalid argument for inputs count in AI.SCRIPTEXECUTE"),
        (
            ("s", "f", "INPUTS", 0, "OUTPUTS", "x"),
            "ERR Invalid argument for outputs count in AI.SCRIPTEXECUTE",
        ),
        (("s", "f", "INPUTS", 0, "ARGS", "x"), "ERR Invalid argument for keys count in AI.SCRIPTEXECUTE"),
        (("s", "f", "INPUTS", 2, "a"), f"ERR number of inputs to AI.SCRIPTEXECUTE command {NOT_GIVEN}"),
        (("s", "f", "INPUTS", 0, "OUTPUTS", 2, "c"), f"ERR number of outputs to AI.SCRIPTEXECUTE command {NOT_GIVEN}"),
        (("s", "f", "INPUTS", 0, "ARGS", 1), f"ERR number of args to AI.SCRIPTEXECUTE command {NOT_GIVEN}"),
        (
            ("s", "f", "INPUTS", 0, "INPUTS", 1, "a"),
            "ERR Already Encountered INPUTS scope in AI.SCRIPTEXECUTE command",
        ),
        (("s", "f", "INPUTS", 0, "TIMEOUT"), "ERR No value provided for TIMEOUT in AI.SCRIPTEXECUTE"),
        (("s", "f", "INPUTS", 0, "TIMEOUT", 0), "ERR Invalid value for TIMEOUT"),
        (("s", "f", "INPUTS", 0, "TIMEOUT", "x"), "ERR Invalid value for TIMEOUT"),
        (("s", "f", "INPUTS", 0, "more"), "ERR Invalid AI.SCRIPTEXECUTE command. Unexpected argument: more"),
        (("s", "f", "INPUTS", 0, "TIMEOUT", 1, "more"), "ERR Encountered problem parsing AI.SCRIPTEXECUTE"),
    ],
)
def test_errors_of_scriptexecute(words: Words, error: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_scriptexecute(encoded(words), LOOKUP, EXECUTE)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("s",), "ERR wrong number of arguments for 'AI.SCRIPTRUN' command"),
        (("s", "INPUTS", "a", "OUTPUTS", "c"), "ERR function name not specified"),
        (("s", "f", "TIMEOUT", 0, "INPUTS", "a"), "ERR Invalid value for TIMEOUT"),
        (("s", "f", "a", "OUTPUTS", "c"), "ERR Unrecongnized parameter to SCRIPTRUN"),
        (
            ("s", "f", "INPUTS", "$", "a", "$", "b", "OUTPUTS", "c"),
            "ERR Already encountered a variable size list of tensors",
        ),
        (
            ("s", "f", "INPUTS", "a", "OUTPUTS", "$", "c"),
            "ERR Encountered a variable size list of tensors outside of input section",
        ),
    ],
)
def test_errors_of_scriptrun(words: Words, error: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_scriptrun(encoded(words), LOOKUP, RUN)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("CPU", "ENTRY_POINTS", 1, "f", "SOURCE"), "ERR wrong number of arguments for 'AI.SCRIPTSTORE' command"),
        (
            ("CPU", "TAG", "t", "SOURCE", "x", "more", "more"),
            "ERR Insufficient arguments, missing script entry points",
        ),
        (
            ("CPU", "ENTRY_POINTS", "f", "SOURCE", "x", "more"),
            "ERR Non numeric entry points number provided to AI.SCRIPTSTORE command",
        ),
        (("CPU", "ENTRY_POINTS", 9, "f", "SOURCE", "x"), "ERR Insufficient arguments, missing script entry points"),
        (("CPU", "ENTRY_POINTS", 2, "f", "SOURCE", "x"), "ERR Insufficient arguments, missing script SOURCE"),
        (
            ("CPU", "ENTRY_POINTS", 2, "f", "g", "SOURCE"),
            "ERR Insufficient arguments, missing script SOURCE",
        ),
        (("bad", "ENTRY_POINTS", 1, "f", "SOURCE", "x"), "ERR unsupported device"),
        (("CPU:1234567", "ENTRY_POINTS", 1, "f", "SOURCE", "x"), "ERR unsupported device"),
    ],
)
def test_errors_of_scriptstore(error_of: Callable[..., str], client: redis.Redis, words: Words, error: str) -> None:
    assert error_of("AI.SCRIPTSTORE", "s", *words) == error
    assert client.keys() == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("CPU",), "ERR wrong number of arguments for 'AI.SCRIPTSET' command"),
        (("CPU", "TAG", "t", "SOURCE", "x", "more"), "ERR wrong number of arguments for 'AI.SCRIPTSET' command"),
        (("CPU", "SORCE", "x"), "ERR Insufficient arguments, missing script SOURCE"),
        (("CPU", "SOURCE"), "ERR Insufficient arguments, missing script SOURCE"),
        (("bad", "SOURCE", "x"), "ERR unsupported device"),
    ],
)
def test_errors_of_scriptset(error_of: Callable[..., str], client: redis.Redis, words: Words, error: str) -> None:
    assert error_of("AI.SCRIPTSET", "s", *words) == error
    assert client.keys() == []


def test_other_errors_of_stored_scripts(
    call: Callable[..., object], error_of: Callable[..., str], client: redis.Redis
) -> None:
    client.set("text", "x")
    call("AI.TENSORSET", "tensor", "FLOAT", 1)
    for name in ("AI.SCRIPTGET", "AI.SCRIPTDEL"):
        assert error_of(name) == f"ERR wrong number of arguments for '{name}' command"
        assert error_of(name, "s", 1, 2, 3) == f"ERR wrong number of arguments for '{name}' command"
        assert error_of(name, "s") == "ERR script key is empty"
        assert error_of(name, "text") == WRONG_TYPE
        assert error_of(name, "tensor") == WRONG_TYPE
    for name in ("AI.SCRIPTEXECUTE", "AI.SCRIPTRUN"):
        assert error_of(name, "s", "f", "INPUTS", 1, "a") == "ERR script key is empty"
        assert error_of(name, "tensor", "f", "INPUTS", 1, "a") == WRONG_TYPE
    assert error_of("AI._SCRIPTSCAN", 1) == "ERR wrong number of arguments for 'AI._SCRIPTSCAN' command"
    assert call("AI._SCRIPTSCAN") == []


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_the_error_without_torch_has_the_command_that_installs_it(
    error_of: Callable[..., str], client: redis.Redis
) -> None:
    error = error_of("AI.SCRIPTSET", "s", "CPU", "SOURCE", "def f(a):\n    return a\n")
    assert error.startswith("ERR Could not load backend")
    assert "pip install 'rededge_nb[torch]'" in error
    assert client.keys() == []
