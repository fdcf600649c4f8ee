"""AI.DAGEXECUTE, AI.DAGEXECUTE_RO, and the deprecated AI.DAGRUN and AI.DAGRUN_RO."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import redis

from rededge_nb.edge.ai.commands.runs import or_timed_out, where
from rededge_nb.edge.ai.commands.tensors import parse_formats, parse_tensor, tensor_reply
from rededge_nb.edge.ai.execution.dag import Dag, Operation, Outcome, TensorGet, TensorSet
from rededge_nb.edge.ai.execution.queues import then
from rededge_nb.edge.ai.parsing.arguments import Words, integer, text, wrong_arity
from rededge_nb.edge.ai.parsing.runs import (
    ModelRun,
    ScriptRun,
    Where,
    parse_modelexecute,
    parse_modelrun,
    parse_scriptexecute,
    parse_scriptrun,
    parse_timeout,
)
from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.switchboard.calls import Call, CommandError

SEPARATOR = b"|>"
_KEYWORDS = (b"LOAD", b"PERSIST", b"ROUTING", b"TIMEOUT")


@dataclass(frozen=True)
class Dialect:
    """What a DAG command allows."""

    deprecated: bool
    """With AI.MODELRUN and AI.SCRIPTRUN, instead of AI.MODELEXECUTE and AI.SCRIPTEXECUTE."""
    read_only: bool


@dataclass
class _Header:
    loaded: dict[bytes, Tensor] = field(default_factory=dict)
    persist: list[bytes] = field(default_factory=list)
    timeout: float | None = None
    seen: set[bytes] = field(default_factory=set)


EXECUTE, EXECUTE_RO = Dialect(deprecated=False, read_only=False), Dialect(deprecated=False, read_only=True)
RUN, RUN_RO = Dialect(deprecated=True, read_only=False), Dialect(deprecated=True, read_only=True)


def dagexecute(call: Call) -> Future[object]:
    """`AI.DAGEXECUTE [LOAD n k …] [PERSIST n k …] [ROUTING key] [TIMEOUT ms] |> op [|> op …]`."""
    return _run(call, EXECUTE)


def dagexecute_ro(call: Call) -> Future[object]:
    """AI.DAGEXECUTE without PERSIST and scripts."""
    return _run(call, EXECUTE_RO)


def dagrun(call: Call) -> Future[object]:
    """AI.DAGEXECUTE with the deprecated operations."""
    return _run(call, RUN)


def dagrun_ro(call: Call) -> Future[object]:
    """AI.DAGRUN without PERSIST and scripts."""
    return _run(call, RUN_RO)


def parse_operations(words: Sequence[bytes], place: Where, dialect: Dialect) -> list[Operation]:
    """The operations in words of which the first is the separator; names are not looked at.

    Raises:
        CommandError: an operation is none, or not allowed here, or a model or script of it is not there.
    """
    operations: list[list[bytes]] = []
    for word in words:
        if word == SEPARATOR:
            operations.append([])
        else:
            operations[-1].append(word)
    return [_operation(each, place, dialect) for each in operations]


def _run(call: Call, dialect: Dialect) -> Future[object]:
    if len(call.args) < (3 if dialect.deprecated else 5):
        if dialect.deprecated:
            raise wrong_arity(call)
        raise CommandError(f"ERR missing arguments for '{call.name}' command")
    at = call.args.index(SEPARATOR) if SEPARATOR in call.args else len(call.args)
    header = _header(Words(call.args[:at]), call.redis, dialect, operations_follow=at < len(call.args))
    if call.args[-1] == SEPARATOR:
        raise CommandError(f"ERR Invalid DAG command. Unexpected argument:  {SEPARATOR.decode()}")
    if not dialect.deprecated and not header.seen - {b"TIMEOUT"}:
        raise CommandError(
            "ERR AI.DAGEXECUTE and AI.DAGEXECUTE_RO commands must contain at least one out of ROUTING, LOAD, "
            "PERSIST keywords"
        )
    operations = parse_operations(call.args[at:], where(call), dialect)
    if not operations:
        raise CommandError("ERR DAG is empty")
    dag = Dag(header.loaded, operations)
    if not all(key in dag.names for key in header.persist):
        raise CommandError("ERR PERSIST key cannot be found in DAG")
    outcome = dag.run(call.worker.sessions.queues, timeout=header.timeout)
    return or_timed_out(then(outcome, lambda found: _reply(call.redis, header.persist, found)))


def _header(words: Words, client: redis.Redis, dialect: Dialect, *, operations_follow: bool) -> _Header:
    header = _Header()
    while len(words):
        keyword = words.peek() or b""
        word = words.take("")
        if keyword not in _KEYWORDS or keyword in header.seen:
            raise CommandError(f"ERR Invalid DAG command. Unexpected argument:  {text(word)}")
        header.seen.add(keyword)
        if keyword == b"LOAD":
            keys = _counted(words, "LOAD", "into DAG", operations_follow)
            tensors = hashes.get_tensors(client, keys)
            header.loaded = dict(zip(keys, tensors, strict=True))
        elif keyword == b"PERSIST":
            if dialect.read_only:
                raise CommandError("ERR PERSIST cannot be specified in a read-only DAG")
            header.persist = _counted(words, "PERSIST", "after DAG execution", operations_follow)
            if len(set(header.persist)) < len(header.persist):
                raise CommandError("ERR PERSIST keys must be unique")
        elif keyword == b"ROUTING":
            words.take("ERR Missing ROUTING value")
        else:
            header.timeout = parse_timeout(words)
    return header


def _counted(words: Words, keyword: str, purpose: str, operations_follow: bool) -> list[bytes]:
    missing = f"ERR missing arguments after {keyword} keyword in DAG command"
    if len(words) < 2 and not operations_follow:
        raise CommandError(missing)
    count = integer(words.take(missing))
    if count is None or count <= 0:
        raise CommandError(f"ERR invalid or negative value found in number of keys to {keyword}")
    return words.take_many(
        count, f"ERR number of keys to {keyword} {purpose} does not match the number of given arguments"
    )


def _operation(words: Sequence[bytes], place: Where, dialect: Dialect) -> Operation:
    name, args = b"".join(words[:1]).upper(), list(words[1:])
    match name:
        case b"AI.TENSORSET":
            if len(args) < 3:
                raise CommandError("wrong number of arguments for 'AI.TENSORSET' command")
            return TensorSet(args[0], Tensor.from_blob(*parse_tensor(Words(args[1:]))))
        case b"AI.TENSORGET":
            if not 1 <= len(args) <= 3:
                raise CommandError("wrong number of arguments for 'AI.TENSORGET' command")
            formats = parse_formats(args[1:])
            return TensorGet(args[0], lambda tensor: tensor_reply(tensor, formats))
        case b"AI.MODELEXECUTE" | b"AI.SCRIPTEXECUTE" | b"AI.MODELRUN" | b"AI.SCRIPTRUN":
            run = _model_or_script(name.decode(), args, place, dialect)
            if run.timeout is not None:
                raise CommandError("ERR TIMEOUT not allowed within a DAG command")
            return run
    raise CommandError("Unsupported command within DAG")


def _model_or_script(name: str, args: list[bytes], place: Where, dialect: Dialect) -> ModelRun | ScriptRun:
    if dialect.deprecated and name.endswith("EXECUTE"):
        raise CommandError(f"{name} cannot be used in a deprecated AI.DAGRUN command")
    if not dialect.deprecated and name.endswith("RUN"):
        raise CommandError(f"Deprecated {name} cannot be used in AI.DAGEXECUTE command")
    if name.startswith("AI.SCRIPT") and dialect.read_only:
        raise CommandError(f"ERR {name} command cannot be specified in a read-only DAG")
    match name:
        case "AI.MODELEXECUTE":
            return parse_modelexecute(args, place, name)
        case "AI.MODELRUN":
            return parse_modelrun(args, place, name)
        case "AI.SCRIPTEXECUTE":
            return parse_scriptexecute(args, place, name, in_dag=True)
    return parse_scriptrun(args, place, name)


def _reply(client: redis.Redis, persist: Sequence[bytes], outcome: Outcome) -> object:
    errors: list[object] = []
    if persist and not outcome.failed:
        # an output that is no tensor has no value to keep
        tensors = [(key, outcome.tensors[key]) for key in persist if key in outcome.tensors]
        for key, tensor in tensors:
            try:
                hashes.set_tensor(client, key, tensor)
            except CommandError as error:
                errors.append(error)
    return [*outcome.replies, *errors[:1]]
