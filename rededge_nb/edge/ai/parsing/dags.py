"""Parsing the operations of a DAG in the arguments of AI.DAGEXECUTE and AI.DAGRUN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rededge_nb.edge.ai.execution.dag import Operation, TensorGet, TensorSet
from rededge_nb.edge.ai.execution.runs import ModelLookup, ModelRun, ScriptRun
from rededge_nb.edge.ai.parsing.arguments import ArgumentReader
from rededge_nb.edge.ai.parsing.runs import parse_modelexecute, parse_modelrun, parse_scriptexecute, parse_scriptrun
from rededge_nb.edge.ai.parsing.tensors import parse_formats, parse_tensor, tensor_reply
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.switchboard.calls import CommandError

SEPARATOR = b"|>"


@dataclass(frozen=True)
class Dialect:
    """Which operations a DAG command allows."""

    deprecated: bool
    """AI.MODELRUN and AI.SCRIPTRUN, in place of AI.MODELEXECUTE and AI.SCRIPTEXECUTE."""
    read_only: bool


EXECUTE, EXECUTE_RO = Dialect(deprecated=False, read_only=False), Dialect(deprecated=False, read_only=True)
RUN, RUN_RO = Dialect(deprecated=True, read_only=False), Dialect(deprecated=True, read_only=True)


def parse_operations(words: Sequence[bytes], lookup: ModelLookup, dialect: Dialect) -> list[Operation]:
    """The operations of a DAG. The names of their tensors are not resolved yet; class Dag does that.

    Args:
        words: The arguments from the first separator on.
        lookup: Where the models and scripts are looked up.
        dialect: Which operations are allowed.

    Raises:
        CommandError: An operation is unknown, not allowed or wrong, or its model or script does not exist.
    """
    operations: list[list[bytes]] = []
    for word in words:
        if word == SEPARATOR:
            operations.append([])
        else:
            operations[-1].append(word)
    return [_operation(each, lookup, dialect) for each in operations]


def _operation(words: Sequence[bytes], lookup: ModelLookup, dialect: Dialect) -> Operation:
    name, args = b"".join(words[:1]).upper(), list(words[1:])
    match name:
        case b"AI.TENSORSET":
            if len(args) < 3:
                raise CommandError("wrong number of arguments for 'AI.TENSORSET' command")
            return TensorSet(args[0], Tensor.from_blob(*parse_tensor(ArgumentReader(args[1:]))))
        case b"AI.TENSORGET":
            if not 1 <= len(args) <= 3:
                raise CommandError("wrong number of arguments for 'AI.TENSORGET' command")
            formats = parse_formats(args[1:])
            return TensorGet(args[0], lambda tensor: tensor_reply(tensor, formats))
        case b"AI.MODELEXECUTE" | b"AI.SCRIPTEXECUTE" | b"AI.MODELRUN" | b"AI.SCRIPTRUN":
            run = _model_or_script(name.decode(), args, lookup, dialect)
            if run.timeout is not None:
                raise CommandError("ERR TIMEOUT not allowed within a DAG command")
            return run
    raise CommandError("Unsupported command within DAG")


def _model_or_script(name: str, args: list[bytes], lookup: ModelLookup, dialect: Dialect) -> ModelRun | ScriptRun:
    if dialect.deprecated and name.endswith("EXECUTE"):
        raise CommandError(f"{name} cannot be used in a deprecated AI.DAGRUN command")
    if not dialect.deprecated and name.endswith("RUN"):
        raise CommandError(f"Deprecated {name} cannot be used in AI.DAGEXECUTE command")
    if name.startswith("AI.SCRIPT") and dialect.read_only:
        raise CommandError(f"ERR {name} command cannot be specified in a read-only DAG")
    match name:
        case "AI.MODELEXECUTE":
            return parse_modelexecute(args, lookup, name)
        case "AI.MODELRUN":
            return parse_modelrun(args, lookup, name)
        case "AI.SCRIPTEXECUTE":
            return parse_scriptexecute(args, lookup, name, in_dag=True)
    return parse_scriptrun(args, lookup, name)
