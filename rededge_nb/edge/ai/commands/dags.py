"""AI.DAGEXECUTE, AI.DAGEXECUTE_RO, and the deprecated AI.DAGRUN and AI.DAGRUN_RO."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import redis

from rededge_nb.edge.ai.commands.runs import timed_out_reply
from rededge_nb.edge.ai.execution.dag import Dag, DagResult
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.ai.execution.runs import ModelLookup
from rededge_nb.edge.ai.parsing.arguments import ArgumentReader, integer, text
from rededge_nb.edge.ai.parsing.dags import SEPARATOR, Dialect, parse_operations
from rededge_nb.edge.ai.parsing.runs import parse_timeout
from rededge_nb.edge.ai.storage import hashes, writing
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.chaining import then
from rededge_nb.edge.switchboard.calls import Call, CommandError

_KEYWORDS = (b"LOAD", b"PERSIST", b"ROUTING", b"TIMEOUT")


@dataclass
class _Header:
    loaded: dict[bytes, Tensor] = field(default_factory=dict)
    persist: list[bytes] = field(default_factory=list)
    timeout: float | None = None
    seen: set[bytes] = field(default_factory=set)


def run_dag(call: Call, models: LoadedModels, dialect: Dialect) -> Future[object]:
    """`AI.DAGEXECUTE [LOAD n k …] [PERSIST n k …] [ROUTING key] [TIMEOUT ms] |> op [|> op …]`, and its variants."""
    if not dialect.deprecated and len(call.args) < 5:
        raise CommandError(f"ERR missing arguments for '{call.name}' command")
    at = call.args.index(SEPARATOR) if SEPARATOR in call.args else len(call.args)
    header = _header(ArgumentReader(call.args[:at]), call.redis, dialect, operations_follow=at < len(call.args))
    if call.args[-1] == SEPARATOR:
        raise CommandError(f"ERR Invalid DAG command. Unexpected argument:  {SEPARATOR.decode()}")
    if not dialect.deprecated and not header.seen - {b"TIMEOUT"}:
        raise CommandError(
            "ERR AI.DAGEXECUTE and AI.DAGEXECUTE_RO commands must contain at least one out of ROUTING, LOAD, "
            "PERSIST keywords"
        )
    operations = parse_operations(call.args[at:], ModelLookup(call.redis, models), dialect)
    if not operations:
        raise CommandError("ERR DAG is empty")
    dag = Dag(header.loaded, operations)
    if not all(key in dag.names for key in header.persist):
        raise CommandError("ERR PERSIST key cannot be found in DAG")
    result = dag.run(models.queues, timeout=header.timeout)
    return then(result, lambda done: _reply(call.redis, header.persist, done), timed_out_reply)


def _header(words: ArgumentReader, client: redis.Redis, dialect: Dialect, *, operations_follow: bool) -> _Header:
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


def _counted(words: ArgumentReader, keyword: str, purpose: str, operations_follow: bool) -> list[bytes]:
    missing = f"ERR missing arguments after {keyword} keyword in DAG command"
    if len(words) < 2 and not operations_follow:
        raise CommandError(missing)
    count = integer(words.take(missing))
    if count is None or count <= 0:
        raise CommandError(f"ERR invalid or negative value found in number of keys to {keyword}")
    return words.take_many(
        count, f"ERR number of keys to {keyword} {purpose} does not match the number of given arguments"
    )


def _reply(client: redis.Redis, persist: Sequence[bytes], result: DagResult) -> object:
    errors: list[object] = []
    if persist and not result.failed:
        # an output that is not a tensor has no value to store
        tensors = [(key, result.tensors[key]) for key in persist if key in result.tensors]
        for key, tensor in tensors:
            try:
                writing.set_tensor(client, key, tensor)
            except CommandError as error:
                errors.append(error)
    return [*result.replies, *errors[:1]]
