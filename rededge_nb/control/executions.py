"""Executions: the runs of gears, as RedisGears lists them.

An execution is one run of a gear: of a script that RG.PYEXECUTE ran, or of one batch of a registration. RedisGears
remembers the newest ones. Its replies are lists of names and values; this module makes dataclasses of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from rededge_nb.control.gears import readable_error
from rededge_nb.edge.client import pairs
from rededge_nb.errors import GearError

UNFINISHED = ("created", "running")
"""Statuses of an execution that has not ended."""


@dataclass(frozen=True)
class Execution:
    """One run of a gear, as RG.DUMPEXECUTIONS lists it.

    Attributes:
        id: Execution id.
        status: `created`, `running`, `done` or `aborted`.
        registered: Whether a registration started it; else somebody's RG.PYEXECUTE did.
    """

    id: str
    status: str
    registered: bool

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status not in UNFINISHED


@dataclass(frozen=True)
class ExecutionStep:
    """One step of an execution.

    Attributes:
        kind: Such as `map`, `filter`, `collect`.
        milliseconds: Time spent in this step.
    """

    kind: str
    milliseconds: int


@dataclass(frozen=True)
class ExecutionDetails:
    """How one execution went, as RG.GETEXECUTION tells.

    Attributes:
        status: `created`, `running`, `done` or `aborted`.
        result_count: Number of results; -1 while it runs.
        errors: What failed, one text a record.
        milliseconds: Duration.
        steps: In the order in which a record passes through them. (RedisGears lists the last one first.)
    """

    id: str
    status: str
    result_count: int
    errors: tuple[str, ...]
    milliseconds: int
    steps: tuple[ExecutionStep, ...]

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status not in UNFINISHED


@dataclass(frozen=True)
class ExecutionResults:
    """What came out of an execution.

    Attributes:
        values: One per record: text where the bytes are UTF-8, else bytes; numbers, None, or lists of these.
        errors: What failed, one text a record.
    """

    values: tuple[Any, ...]
    errors: tuple[str, ...]


def start_script(client: redis.Redis, script: str) -> str:
    """Start a gear script that ends in `run()`, without waiting for its end; returns the id of its execution.

    Raises:
        GearError: the script raised, or ended without `run()`.
    """
    reply = _call(client, "RG.PYEXECUTE", script, "UNBLOCKING")
    if reply == b"OK":
        raise GearError("the script started no execution: end it with .run()")
    return str(_text(reply))


def list_executions(client: redis.Redis) -> list[Execution]:
    """The executions that run or are remembered."""
    entries = [_fields(entry) for entry in _call(client, "RG.DUMPEXECUTIONS")]
    return [Execution(each["executionId"], each["status"], bool(int(each["registered"]))) for each in entries]


def read_execution(client: redis.Redis, execution_id: str) -> ExecutionDetails:
    """How an execution went, or goes.

    Raises:
        GearError: there is none of that id, or it is no longer remembered.
    """
    # one entry per shard, and a RedisGears without a cluster is one shard
    plan = _fields(_fields(_call(client, "RG.GETEXECUTION", execution_id)[0])["execution_plan"])
    steps = [_fields(step) for step in plan["steps"]]
    return ExecutionDetails(
        id=execution_id,
        status=plan["status"],
        result_count=int(plan["results"]),
        errors=tuple(readable_error(_text(error)) for error in plan["errors"]),
        milliseconds=int(plan["total_duration"]),
        steps=tuple(ExecutionStep(each["type"], int(each["duration"])) for each in reversed(steps)),
    )


def read_results(client: redis.Redis, execution_id: str) -> ExecutionResults:
    """Results of an execution; waits for its end.

    Raises:
        GearError: there is none of that id, or it is no longer remembered.
    """
    values, errors = _call(client, "RG.GETRESULTSBLOCKING", execution_id)
    return ExecutionResults(tuple(map(_text, values)), tuple(readable_error(_text(error)) for error in errors))


def abort_execution(client: redis.Redis, execution_id: str) -> None:
    """Interrupt an execution, and wait until it has ended.

    Python code is interrupted between two of its own instructions: a call into C, such as the run of a model, ends
    first.

    Raises:
        GearError: there is none of that id, or it is inside a call that does not end.
    """
    _call(client, "RG.ABORTEXECUTION", execution_id)


def drop_execution(client: redis.Redis, execution_id: str) -> None:
    """Forget an execution that has ended.

    Raises:
        GearError: there is none of that id, or it still runs.
    """
    _call(client, "RG.DROPEXECUTION", execution_id)


def _call(client: redis.Redis, command: str, *arguments: str) -> Any:
    try:
        return client.execute_command(command, *arguments)
    except redis.ResponseError as error:
        shown = arguments[0] if arguments and "\n" not in arguments[0] else ""
        raise GearError(f"{command} {shown[:60]}".rstrip() + f": {readable_error(str(error))}") from error


def _fields(flat: Any) -> dict[str, Any]:
    return {_text(name): _text(value) for name, value in pairs(flat).items()}


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
