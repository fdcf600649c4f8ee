from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import redis

from rededge_nb.edge.ai.execution.dag import Dag, TensorGet
from rededge_nb.edge.ai.execution.queues import Job, Queues
from rededge_nb.edge.ai.parsing.runs import ModelRun
from rededge_nb.edge.ai.tensors import Array, Tensor
from rededge_nb.edge.switchboard.calls import OK, CommandError
from tests.edge.ai import onnx_files
from tests.edge.ai.conftest import PATIENCE

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
ADD, MUL = onnx_files.binary("Add"), onnx_files.binary("Mul")
MISSING = "ERR tensor key is empty or in a different shard"

Words = tuple[str | bytes | int, ...]
ADD_AB: Words = ("AI.MODELEXECUTE", "add", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c")
GET_C: Words = ("|>", "AI.TENSORGET", "c", "VALUES")


@pytest.fixture(autouse=True)
def stored(call: Callable[..., object], client: redis.Redis) -> None:
    call("AI.MODELSTORE", "add", "ONNX", "CPU", "BLOB", ADD)
    call("AI.MODELSTORE", "mul", "ONNX", "CPU:1", "BLOB", MUL)
    call("AI.TENSORSET", "a", "FLOAT", 1, 2, "VALUES", 1, 2)
    call("AI.TENSORSET", "b", "FLOAT", 1, 2, "VALUES", 10, 20)
    client.set("text", "x")


def test_operations_pass_tensors_on_and_persist_those_that_are_named(
    call: Callable[..., object], client: redis.Redis
) -> None:
    words: Words = ("LOAD", 2, "a", "b", "PERSIST", 2, "c", "e", "TIMEOUT", 5000, "ROUTING", "x", "|>")
    words += (*ADD_AB, "|>", "AI.MODELEXECUTE", "mul", "INPUTS", 2, "c", "b", "OUTPUTS", 1, "d")
    words += ("|>", "AI.TENSORGET", "d", "VALUES", "|>", "AI.TENSORSET", "e", "INT8", 1, "VALUES", 7, *GET_C)
    assert call("AI.DAGEXECUTE", *words) == [OK, OK, [b"110", b"440"], OK, [b"11", b"22"]]
    assert call("AI.TENSORGET", "c", "VALUES") == [b"11", b"22"]
    assert call("AI.TENSORGET", "e", "META", "VALUES") == ["dtype", "INT8", "shape", [1], "values", [7]]
    assert not client.exists("d")


@pytest.mark.parametrize("name", ["AI.DAGRUN", "AI.DAGRUN_RO"])
def test_the_older_commands(call: Callable[..., object], name: str) -> None:
    words: Words = ("|>", "AI.TENSORSET", "z", "FLOAT", 1, 2)
    words += ("|>", "AI.MODELRUN", "add", "INPUTS", "z", "z", "OUTPUTS", "c", "|>", "AI.TENSORGET", "c", "META", "BLOB")
    assert call(name, *words) == [OK, OK, ["dtype", "FLOAT", "shape", [1, 2], "blob", bytes(8)]]
    if name == "AI.DAGRUN":
        persisted: Words = ("LOAD", 1, "a", "PERSIST", 1, "k", "|>", "AI.MODELRUN", "add", "INPUTS", "a", "a")
        assert call(name, *persisted, "OUTPUTS", "k") == [OK]
        assert call("AI.TENSORGET", "k", "VALUES") == [b"2", b"4"]


def test_a_name_may_be_written_again(call: Callable[..., object]) -> None:
    again: Words = ("|>", "AI.MODELEXECUTE", "add", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "a")
    words: Words = (*again, *again, "|>", "AI.TENSORGET", "a", "VALUES", "|>", "AI.TENSORSET", "a", "FLOAT", 1, 1)
    got = call("AI.DAGEXECUTE", "LOAD", 2, "a", "b", "PERSIST", 1, "a", *words)
    assert got == [OK, OK, [b"21", b"42"], OK]
    assert call("AI.TENSORGET", "a", "META") == ["dtype", "FLOAT", "shape", [1, 1]]


def test_a_read_only_dag_refuses_scripts_and_persists_nothing(call: Callable[..., object]) -> None:
    assert call("AI.DAGEXECUTE_RO", "LOAD", 2, "a", "b", "|>", *ADD_AB, *GET_C) == [OK, [b"11", b"22"]]


def test_after_a_failure_no_operation_is_done_and_nothing_is_persisted(
    call: Callable[..., object], client: redis.Redis
) -> None:
    words: Words = ("|>", "AI.TENSORSET", "z", "FLOAT", 1, 3)
    words += ("|>", "AI.MODELEXECUTE", "add", "INPUTS", 2, "z", "z", "OUTPUTS", 1, "bad")
    words += ("|>", *ADD_AB, *GET_C, "|>", "AI.TENSORGET", "a", "VALUES")
    replies = call("AI.DAGEXECUTE", "LOAD", 2, "a", "b", "PERSIST", 2, "a", "z", *words)
    assert isinstance(replies, list)
    assert isinstance(replies[1], CommandError)
    assert "invalid dimensions" in str(replies[1])
    assert [replies[0], *replies[2:]] == [OK, "NA", "NA", [b"1", b"2"]]
    assert not client.exists("z")


def test_an_output_that_is_not_a_tensor_is_never_made(call: Callable[..., object]) -> None:
    call("AI.MODELSTORE", "sequence", "ONNX", "CPU", "BLOB", onnx_files.with_sequence())
    words: Words = ("|>", "AI.TENSORSET", "v", "FLOAT", 1)
    words += ("|>", "AI.MODELEXECUTE", "sequence", "INPUTS", 1, "v", "OUTPUTS", 2, "s", "t", "|>", "AI.TENSORGET", "s")
    assert call("AI.DAGEXECUTE", "PERSIST", 1, "t", *words) == [OK, OK, "NA"]


def test_a_key_of_another_type_is_reported_at_the_end_of_the_reply(
    call: Callable[..., object], client: redis.Redis
) -> None:
    words: Words = ("|>", "AI.TENSORSET", "text", "FLOAT", 1, "|>", "AI.TENSORSET", "new", "FLOAT", 1)
    *replies, error = call("AI.DAGEXECUTE", "PERSIST", 2, "text", "new", *words)
    assert replies == [OK, OK]
    assert str(error) == WRONG_TYPE
    assert client.get("text") == b"x"
    assert client.exists("new")


def model_run(outputs: int) -> ModelRun:
    """A run of a model that gives its one input back, told to have so many outputs."""

    def job(arrays: Sequence[Array], *, timeout: float | None) -> Job:
        return Job("CPU", lambda runs: [list(inputs) for inputs in runs], arrays, timeout)

    session = SimpleNamespace(device="CPU", job=job)
    return ModelRun(session, [b"a"], [b"%d" % number for number in range(outputs)])  # type: ignore[arg-type]


def test_a_dag_ends_whatever_error_occurs_in_it() -> None:
    loaded = {b"a": Tensor.from_values("FLOAT", (1,), [1.0])}
    outcome = Dag(loaded, [model_run(2)]).run(Queues()).result(PATIENCE)
    assert outcome.failed
    assert str(outcome.replies[0]).startswith("ERR ValueError: zip() ")

    def fail(tensor: Tensor) -> object:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Dag(loaded, [model_run(1), TensorGet(b"a", fail)]).run(Queues()).result(PATIENCE)


def test_a_dag_that_waits_too_long(call: Callable[..., object]) -> None:
    words: Words = ("BATCHSIZE", 9, "MINBATCHSIZE", 9)
    call("AI.MODELSTORE", "add", "ONNX", "CPU", *words, "BLOB", ADD)
    assert call("AI.DAGEXECUTE", "LOAD", 2, "a", "b", "TIMEOUT", 1, "|>", *ADD_AB) == "TIMEDOUT"


UNEXPECTED = "ERR Invalid DAG command. Unexpected argument:  "
LOAD: Words = ("LOAD", 1, "a")
ONE_OF = (
    "ERR AI.DAGEXECUTE and AI.DAGEXECUTE_RO commands must contain at least one out of ROUTING, LOAD, PERSIST keywords"
)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("LOAD", 1, "a", "|>"), "ERR missing arguments for 'AI.DAGEXECUTE' command"),
        (("x", "y", "z", "|>", "AI.TENSORGET", "a"), UNEXPECTED + "x"),
        ((*LOAD, *LOAD, "|>", "AI.TENSORGET", "a"), UNEXPECTED + "LOAD"),
        ((*LOAD, "|>", "AI.TENSORGET", "a", "|>"), UNEXPECTED + "|>"),
        ((*LOAD, "ROUTING", "x", "|>"), UNEXPECTED + "|>"),
        (("TIMEOUT", 1, "|>", "AI.TENSORSET", "a", "FLOAT", 1), ONE_OF),
        (("|>", "AI.TENSORSET", "a", "FLOAT", 1), ONE_OF),
        ((*LOAD, "PERSIST", 1, "b"), "ERR DAG is empty"),
        (("PERSIST", 1, "b", "ROUTING", "x", "LOAD"), "ERR missing arguments after LOAD keyword in DAG command"),
        (("PERSIST", 2, "b", "c", "LOAD", 1), "ERR missing arguments after LOAD keyword in DAG command"),
        (("ROUTING", "x", "y", "LOAD", "|>", "PING"), UNEXPECTED + "y"),
        (("ROUTING", "x", "LOAD", "|>", "PING", "a"), "ERR missing arguments after LOAD keyword in DAG command"),
        (("LOAD", 0, "|>", "AI.TENSORGET", "a"), "ERR invalid or negative value found in number of keys to LOAD"),
        (("LOAD", "x", "|>", "AI.TENSORGET", "a"), "ERR invalid or negative value found in number of keys to LOAD"),
        (
            ("LOAD", 2, "a", "|>", "AI.TENSORGET", "a"),
            "ERR number of keys to LOAD into DAG does not match the number of given arguments",
        ),
        (("LOAD", 1, "no", "|>", "AI.TENSORGET", "no"), MISSING),
        (("LOAD", 1, "text", "|>", "AI.TENSORGET", "text"), WRONG_TYPE),
        ((*LOAD, "ROUTING", "x", "PERSIST"), "ERR missing arguments after PERSIST keyword in DAG command"),
        (
            ("PERSIST", -1, "|>", "AI.TENSORGET", "a"),
            "ERR invalid or negative value found in number of keys to PERSIST",
        ),
        (
            (*LOAD, "PERSIST", 10**12, "a", "|>", "AI.TENSORGET", "a"),
            "ERR number of keys to PERSIST after DAG execution does not match the number of given arguments",
        ),
        ((*LOAD, "PERSIST", 2, "b", "b", "|>", "AI.TENSORGET", "a"), "ERR PERSIST keys must be unique"),
        ((*LOAD, "TIMEOUT", 1, "ROUTING"), "ERR Missing ROUTING value"),
        ((*LOAD, "ROUTING", "x", "TIMEOUT"), "ERR No value provided for TIMEOUT"),
        ((*LOAD, "TIMEOUT", 0, "|>", "AI.TENSORGET", "a"), "ERR Invalid value for TIMEOUT"),
        ((*LOAD, "|>", "AI.TENSORGET", "b"), "ERR INPUT key cannot be found in DAG"),
        ((*LOAD, "|>", *ADD_AB), "ERR INPUT key cannot be found in DAG"),
        (
            (*LOAD, "|>", "AI.TENSORGET", "b", "|>", "AI.TENSORSET", "b", "FLOAT", 1),
            "ERR INPUT key cannot be found in DAG",
        ),
        (("PERSIST", 1, "q", *LOAD, "|>", "AI.TENSORGET", "a"), "ERR PERSIST key cannot be found in DAG"),
        ((*LOAD, "|>", *ADD_AB, "TIMEOUT", 5), "ERR TIMEOUT not allowed within a DAG command"),
        ((*LOAD, "|>", "PING", "a"), "Unsupported command within DAG"),
        ((*LOAD, "|>", "|>", "AI.TENSORGET", "a"), "Unsupported command within DAG"),
        (
            (*LOAD, "|>", "AI.MODELRUN", "add", "INPUTS", "a", "a", "OUTPUTS", "c"),
            "Deprecated AI.MODELRUN cannot be used in AI.DAGEXECUTE command",
        ),
        (
            (*LOAD, "|>", "ai.scriptrun", "s", "f", "INPUTS", "a", "OUTPUTS", "c"),
            "Deprecated AI.SCRIPTRUN cannot be used in AI.DAGEXECUTE command",
        ),
        ((*LOAD, "|>", "AI.TENSORSET", "a", "FLOAT"), "wrong number of arguments for 'AI.TENSORSET' command"),
        ((*LOAD, "|>", "AI.TENSORSET", "a", "FLOT", 1), "ERR invalid data type"),
        ((*LOAD, "|>", "AI.TENSORGET", "a", "META", "BLOB", 1), "wrong number of arguments for 'AI.TENSORGET' command"),
        ((*LOAD, "|>", "AI.TENSORGET", "a", "JSON"), "ERR unsupported data format"),
        ((*LOAD, "|>", "AI.TENSORGET", "a", "BLOB", "VALUES"), "ERR both BLOB and VALUES specified"),
        ((*LOAD, "|>", "AI.MODELEXECUTE", "no", *ADD_AB[2:]), "ERR model key is empty"),
        ((*LOAD, "|>", "AI.SCRIPTEXECUTE", "no", "f", "INPUTS", 1, "a"), "ERR script key is empty"),
        ((*LOAD, "|>", "AI.MODELEXECUTE", "add"), "ERR wrong number of arguments for 'AI.MODELEXECUTE' command"),
    ],
)
def test_errors_of_dagexecute(error_of: Callable[..., str], client: redis.Redis, words: Words, error: str) -> None:
    before = sorted(client.keys())
    assert error_of("AI.DAGEXECUTE", *words) == error
    assert sorted(client.keys()) == before


@pytest.mark.parametrize(
    ("name", "words", "error"),
    [
        (
            "AI.DAGEXECUTE_RO",
            (*LOAD, "PERSIST", 1, "a", "|>", "AI.TENSORGET", "a"),
            "ERR PERSIST cannot be specified in a read-only DAG",
        ),
        (
            "AI.DAGEXECUTE_RO",
            (*LOAD, "|>", "AI.SCRIPTEXECUTE", "s", "f", "INPUTS", 1, "a"),
            "ERR AI.SCRIPTEXECUTE command cannot be specified in a read-only DAG",
        ),
        ("AI.DAGEXECUTE_RO", ("|>",), "ERR missing arguments for 'AI.DAGEXECUTE_RO' command"),
        ("AI.DAGRUN", ("|>", "AI.TENSORGET"), "ERR wrong number of arguments for 'AI.DAGRUN' command"),
        ("AI.DAGRUN", (*LOAD, "TIMEOUT", 1), "ERR DAG is empty"),
        ("AI.DAGRUN", (*LOAD, "|>", *ADD_AB), "AI.MODELEXECUTE cannot be used in a deprecated AI.DAGRUN command"),
        (
            "AI.DAGRUN",
            (*LOAD, "|>", "AI.SCRIPTEXECUTE", "s", "f"),
            "AI.SCRIPTEXECUTE cannot be used in a deprecated AI.DAGRUN command",
        ),
        (
            "AI.DAGRUN_RO",
            (*LOAD, "|>", "AI.SCRIPTRUN", "s", "f"),
            "ERR AI.SCRIPTRUN command cannot be specified in a read-only DAG",
        ),
        (
            "AI.DAGRUN",
            (*LOAD, "|>", "AI.MODELRUN", "add", "TIMEOUT", 1, "INPUTS", "a", "a", "OUTPUTS", "c"),
            "ERR TIMEOUT not allowed within a DAG command",
        ),
    ],
)
def test_errors_of_the_other_dag_commands(error_of: Callable[..., str], name: str, words: Words, error: str) -> None:
    assert error_of(name, *words) == error
