"""Executions as Redis stores them: their ids, how each ended, its results."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import redis

from rededge_nb.edge.client import CommandArgs, key_names, pairs
from rededge_nb.edge.gears.chain.run import Outcome, describe_steps
from rededge_nb.edge.gears.runtime.gear import Step
from rededge_nb.edge.gears.runtime.values import to_reply
from rededge_nb.edge.gears.state.registrations import SHARD_ID
from rededge_nb.edge.switchboard.resp import encode

MAX_RESULTS_BYTES = 256 * 1024
"""Results of an execution that are larger than this are not remembered, only counted."""
SAVE = """
redis.call('HSET', KEYS[1], unpack(ARGV))
if not redis.call('LPOS', KEYS[2], ARGV[2]) then redis.call('RPUSH', KEYS[2], ARGV[2]) end
"""
"""Writes an execution's fields, of which the first is its id, and lists it: what is not listed nobody would remove."""


class ExecutionIds:
    """Hands out execution ids, reserved in blocks so that a busy gear does not ask Redis for each."""

    BLOCK = 64

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._next = self._end = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """A new execution's id."""
        with self._lock:
            if self._next == self._end:
                key = key_names.next_execution(self._client)
                end = self._client.execute_command("INCRBY", key, self.BLOCK)
                if end <= self._end:  # FLUSHALL took the counter: ids keep growing all the same
                    end = self._client.execute_command("INCRBY", key, self._end - end + self.BLOCK)
                self._end = end
                self._next = self._end - self.BLOCK
            self._next += 1
            return f"{SHARD_ID}-{self._next - 1}"


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
    """The command that remembers one execution of a registration; the oldest beyond `keep` go."""
    key = key_names.registration_keys(client, registration_id)["executions"]
    return ("XADD", key, "MAXLEN", keep, "*", *fields)


def save_unregistered(client: redis.Redis, fields: list[Any], *, keep: int) -> None:
    """Remember an execution that no registration began; the oldest beyond `keep` go.

    One that went before it had ended is remembered again with its end.
    """
    execution_id = fields[1]
    keys = key_names.execution(client, execution_id), key_names.executions(client)
    client.execute_command("EVAL", SAVE, len(keys), *keys, *fields)
    while client.execute_command("LLEN", key_names.executions(client)) > keep:
        oldest = client.execute_command("LPOP", key_names.executions(client))
        if oldest is not None:
            client.execute_command("DEL", key_names.execution(client, oldest.decode()))


@dataclass(frozen=True)
class Execution:
    """An execution as it is remembered."""

    id: str
    status: str
    worker: str
    registration_id: str | None
    entry_id: str | None
    """Id of its entry in the registration's stream of executions."""
    steps: list[Any]
    results: bytes
    """The results, encoded as RESP."""
    result_count: int
    """-1 while it runs."""
    errors: list[str]
    milliseconds: int

    def with_status(self, status: str) -> Execution:
        """The same in another status."""
        return replace(self, status=status)


def load_executions(client: redis.Redis, registration_ids: Iterable[str]) -> dict[str, Execution]:
    """All remembered executions, by id."""
    found: dict[str, Execution] = {}
    for registration_id in registration_ids:
        key = key_names.registration_keys(client, registration_id)["executions"]
        for entry_id, flat in client.execute_command("XRANGE", key, "-", "+"):
            execution = _from_fields(flat, registration_id, entry_id.decode())
            found[execution.id] = execution
    for execution_id in client.execute_command("LRANGE", key_names.executions(client), 0, -1):
        flat = client.execute_command("HGETALL", key_names.execution(client, execution_id.decode()))
        if flat:
            execution = _from_fields(flat, None, None)
            found[execution.id] = execution
    return found


def drop_execution(client: redis.Redis, execution: Execution) -> None:
    """Forget an execution."""
    if execution.registration_id is not None:
        key = key_names.registration_keys(client, execution.registration_id)["executions"]
        client.execute_command("XDEL", key, execution.entry_id)
        return
    pipeline = client.pipeline(transaction=True)
    pipeline.execute_command("LREM", key_names.executions(client), 0, execution.id)
    pipeline.execute_command("DEL", key_names.execution(client, execution.id))
    pipeline.execute()


def _from_fields(flat: list[bytes], registration_id: str | None, entry_id: str | None) -> Execution:
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
