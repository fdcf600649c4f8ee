"""Executions as Redis stores them: their ids, how each ended, its results.

Executions of a registration are entries of one stream per registration, which bounds itself. An execution that a client
started with UNBLOCKING is a hash of its own, and a list has the ids in order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from rededge_nb.edge.client import CommandArgs, key_names, pairs
from rededge_nb.edge.gears.chain.run import Outcome, describe_steps
from rededge_nb.edge.gears.runtime.gear import Step
from rededge_nb.edge.gears.runtime.values import to_reply
from rededge_nb.edge.switchboard.resp import encode

MAX_RESULTS_BYTES = 256 * 1024
"""Larger results of an execution are not stored, only counted."""
SAVE = """
redis.call('HSET', KEYS[1], unpack(ARGV))
if not redis.call('LPOS', KEYS[2], ARGV[2]) then redis.call('RPUSH', KEYS[2], ARGV[2]) end
"""
"""Writes an execution's fields, the id first, and adds it to the list: nobody would remove what is not in the list."""
FIND = """
for number, key in ipairs(KEYS) do
  local newest = '+'
  repeat
    local page = redis.call('XREVRANGE', key, newest, '-', 'COUNT', 10)
    for _, entry in ipairs(page) do
      if entry[2][2] == ARGV[1] then return {number, entry[1], entry[2]} end
      newest = '(' .. entry[1]
    end
  until #page == 0
end
"""
"""Searches registrations' streams for an execution, newest entries first: only that one is sent to the worker."""
NOT_ENDED = ("created", "running")
"""Statuses of an execution that has not ended."""


def fields_of(
    execution_id: str, status: str, worker_id: str, outcome: Outcome | None, steps: tuple[Step, ...]
) -> list[Any]:
    """An execution as flat fields, for a hash or a stream entry."""
    outcome_fields: list[Any] = []
    if outcome is not None:
        results = encode([to_reply(result) for result in outcome.results])
        errors = list(outcome.errors)
        if len(results) > MAX_RESULTS_BYTES:
            errors.append(f"{len(outcome.results)} results of {len(results)} bytes in all are too large to be kept")
            results = encode([])
        outcome_fields = [
            "results", results, "result_count", len(outcome.results),
            "errors", json.dumps(errors), "milliseconds", outcome.milliseconds,
        ]  # fmt: skip
    described = json.dumps(describe_steps(steps, outcome.step_milliseconds if outcome else None))
    return ["id", execution_id, "status", status, "worker", worker_id, "steps", described, *outcome_fields]


def remember_registered(client: redis.Redis, registration_id: str, fields: list[Any], *, keep: int) -> CommandArgs:
    """The command that stores one execution of a registration and removes the oldest beyond `keep`."""
    return ("XADD", _stream(client, registration_id), "MAXLEN", keep, "*", *fields)


def save_unregistered(client: redis.Redis, fields: list[Any], *, keep: int) -> None:
    """Store an execution that no registration started, and remove the oldest beyond `keep`.

    It is stored when it starts and again when it ends, even if it was removed in between.
    """
    execution_id = fields[1]
    keys = key_names.execution(client, execution_id), key_names.executions(client)
    client.execute_command("EDGE.QUIET", "EVAL", SAVE, len(keys), *keys, *fields)
    while client.execute_command("LLEN", key_names.executions(client)) > keep:
        oldest = client.execute_command("LPOP", key_names.executions(client))
        if oldest is not None:
            client.execute_command("DEL", key_names.execution(client, oldest.decode()))


@dataclass(frozen=True)
class Execution:
    """An execution as it is stored, or as its worker publishes it while it runs."""

    id: str
    status: str
    worker: str
    registration_id: str | None
    entry_id: str | None
    """Id of its entry in the registration's stream."""
    steps: list[Any]
    results: bytes = encode([])
    """The results, encoded as RESP."""
    result_count: int = -1
    """-1 while it runs."""
    errors: list[str] = field(default_factory=list)
    milliseconds: int = 0

    @property
    def ended(self) -> bool:
        """Whether its results are final."""
        return self.status not in NOT_ENDED


def load_unregistered(client: redis.Redis, execution_id: str) -> Execution | None:
    """The execution of that id, if no registration started it."""
    flat = client.execute_command("HGETALL", key_names.execution(client, execution_id))
    return _from_fields(flat) if flat else None


def find_registered(client: redis.Redis, execution_id: str, registration_ids: Sequence[str]) -> Execution | None:
    """The execution of that id, if one of these registrations started it and it has ended."""
    keys = [_stream(client, registration_id) for registration_id in registration_ids]
    found = client.execute_command("EDGE.QUIET", "EVAL", FIND, len(keys), *keys, execution_id)
    if found is None:
        return None
    number, entry_id, flat = found
    return _from_fields(flat, registration_ids[number - 1], entry_id.decode())


def load_executions(client: redis.Redis, registration_ids: Sequence[str]) -> dict[str, Execution]:
    """All stored executions, by id, in two round trips."""
    pipeline = client.pipeline(transaction=False)
    for registration_id in registration_ids:
        pipeline.execute_command("XRANGE", _stream(client, registration_id), "-", "+")
    pipeline.execute_command("LRANGE", key_names.executions(client), 0, -1)
    *streams, unregistered_ids = pipeline.execute()
    for execution_id in unregistered_ids:
        pipeline.execute_command("HGETALL", key_names.execution(client, execution_id.decode()))
    found = [
        _from_fields(flat, registration_id, entry_id.decode())
        for registration_id, entries in zip(registration_ids, streams, strict=True)
        for entry_id, flat in entries
    ]
    found += [_from_fields(flat) for flat in pipeline.execute() if flat]
    return {execution.id: execution for execution in found}


def drop_execution(client: redis.Redis, execution: Execution) -> None:
    """Delete an execution."""
    if execution.registration_id is not None:
        client.execute_command("XDEL", _stream(client, execution.registration_id), execution.entry_id)
        return
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("LREM", key_names.executions(client), 0, execution.id)
    pipeline.execute_command("DEL", key_names.execution(client, execution.id))
    pipeline.execute()


def _stream(client: redis.Redis, registration_id: str) -> str:
    return key_names.registration_keys(client, registration_id)["executions"]


def _from_fields(flat: list[bytes], registration_id: str | None = None, entry_id: str | None = None) -> Execution:
    fields = {name.decode(): value for name, value in pairs(flat).items()}
    return Execution(
        id=fields["id"].decode(),
        status=fields["status"].decode(),
        worker=fields["worker"].decode(),
        registration_id=registration_id,
        entry_id=entry_id,
        steps=json.loads(fields["steps"]),
        results=fields.get("results", encode([])),
        result_count=int(fields.get("result_count", -1)),
        errors=json.loads(fields.get("errors", "[]")),
        milliseconds=int(fields.get("milliseconds", 0)),
    )
