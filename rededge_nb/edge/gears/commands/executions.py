"""The RG.* commands about executions, in the reply shapes of RedisGears 1.2."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from rededge_nb.edge.gears.commands.background import run_in_background
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.state import registrations
from rededge_nb.edge.gears.state.executions import (
    NOT_ENDED,
    Execution,
    drop_execution,
    find_registered,
    load_executions,
    load_unregistered,
)
from rededge_nb.edge.gears.state.ids import SHARD_ID
from rededge_nb.edge.switchboard.calls import OK, Call, CommandError, Encoded

NO_SUCH_EXECUTION = "execution plan does not exist"
ABORT_TIMEOUT = 25.0
"""Seconds that an aborted execution may take to end. A call into C cannot be interrupted, and may take longer."""
STORE_TIMEOUT = 2.0
"""Seconds that a runner may take to store an execution that has ended."""
POLL_INTERVAL = 0.05
"""Seconds between two reads of an execution that runs in another worker."""


def dumpexecutions(_call: Call, engine: Engine) -> object:
    """RG.DUMPEXECUTIONS: the executions that run or are stored."""
    live = engine.live_executions()
    found = load_executions(engine.state_client, _registration_ids(engine))
    found = {one.id: one if one.ended else _unended(engine, one, live.get(one.id)) for one in found.values()}
    found |= {name: _running(name, one) for name, one in live.items() if name not in found}
    return [
        ["executionId", one.id, "status", one.status, "registered", int(one.registration_id is not None)]
        for one in found.values()
    ]


def getexecution(call: Call, engine: Engine) -> object:
    """RG.GETEXECUTION id [SHARD|CLUSTER]: how an execution went, one entry for each shard."""
    execution = _execution(call, engine)
    if len(call.args) > 1:
        option = call.args[1].upper()
        if option == b"CLUSTER":
            raise CommandError("no cluster detected - use `RG.GETEXECUTION <id> [SHARD]` instead")
        if option != b"SHARD":
            raise CommandError("unknown subcommand")
    plan = [
        "status", execution.status, "shards_received", 0, "shards_completed", 0,
        "results", execution.result_count, "errors", execution.errors,
        "total_duration", execution.milliseconds, "read_duration", 0, "steps", execution.steps,
    ]  # fmt: skip
    return [["shard_id", SHARD_ID, "execution_plan", plan]]


def getresults(call: Call, engine: Engine) -> object:
    """RG.GETRESULTS id: results and errors of an execution that has ended."""
    execution = _execution(call, engine)
    if not execution.ended:
        raise CommandError("execution is still running")
    return [Encoded(execution.results), execution.errors]


def getresultsblocking(call: Call, engine: Engine) -> object:
    """RG.GETRESULTSBLOCKING id: results and errors of an execution, once it has ended."""
    execution_id = _execution(call, engine).id

    def work() -> object:
        gone_since: float | None = None
        while (execution := _find(engine, execution_id)) is None or not execution.ended:
            if execution is None:  # it ended a moment ago and is not stored yet, or somebody dropped it
                gone_since = gone_since or time.monotonic()
                if time.monotonic() - gone_since > STORE_TIMEOUT:
                    raise CommandError(NO_SUCH_EXECUTION)
            _wait(engine, execution_id)
        return [Encoded(execution.results), execution.errors]

    return run_in_background(work)


def abortexecution(call: Call, engine: Engine) -> object:
    """RG.ABORTEXECUTION id: interrupt an execution; replies when it has ended.

    RedisGears takes only the id of an execution, which a client that waits for RG.PYEXECUTE does not know. So here the
    session id that it gave is accepted, too.
    """
    name = call.args[0].decode(errors="replace")
    execution_id = name if _find(engine, name) is not None else _running_for_session(engine, name)
    if execution_id is None:
        raise CommandError("execution does not exist")

    def work() -> object:
        deadline = time.monotonic() + ABORT_TIMEOUT
        # asked again and again: an execution of another worker is stored at once, but that worker publishes that it
        # runs, and answers requests to abort it, a moment later
        while (execution := _find(engine, execution_id)) is not None and not execution.ended:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"ERR execution {execution_id} has not ended in {ABORT_TIMEOUT:.0f} s: it is inside a call that "
                    "Python cannot interrupt, and ends right after it"
                )
            engine.abort_execution(execution_id)
            _wait(engine, execution_id, deadline - time.monotonic())
        return OK

    return run_in_background(work)


def dropexecution(call: Call, engine: Engine) -> object:
    """RG.DROPEXECUTION id: delete an execution that has ended."""
    execution = _execution(call, engine)
    if not execution.ended:
        raise CommandError("can not drop a not yet finished execution, abort it first.")
    drop_execution(engine.state_client, execution)
    return OK


def _wait(engine: Engine, execution_id: str, timeout: float | None = None) -> None:
    """Wait for the end of an execution that runs in this worker, and a moment for any other."""
    live = engine.live.find(execution_id)
    if live is None or live.ended:  # it has ended, and is being stored
        time.sleep(POLL_INTERVAL)
    else:
        live.wait_until_ended(timeout)


def _execution(call: Call, engine: Engine) -> Execution:
    execution = _find(engine, call.args[0].decode(errors="replace"))
    if execution is None:
        raise CommandError(NO_SUCH_EXECUTION)
    return execution


def _find(engine: Engine, execution_id: str) -> Execution | None:
    """One execution, wherever it runs or is stored; no other is read."""
    client = engine.state_client
    stored = load_unregistered(client, execution_id)
    if stored is not None and stored.ended:
        return stored
    live = engine.live_executions().get(execution_id)
    if stored is not None:
        return _unended(engine, stored, live)
    if live is None:
        return find_registered(client, execution_id, _registration_ids(engine))
    # its worker may have published this before it ended
    registration_ids = [live["registration"]] if live["registration"] is not None else []
    return find_registered(client, execution_id, registration_ids) or _running(execution_id, live)


def _running_for_session(engine: Engine, session_id: str) -> str | None:
    """The execution for which a client waits that gave this session id."""
    live = engine.live_executions().items()
    return next((name for name, one in live if one.get("session") == session_id), None)


def _unended(engine: Engine, stored: Execution, live: dict[str, Any] | None) -> Execution:
    """A stored execution that had not ended then, in the status that it has now."""
    if live is not None:
        return replace(stored, status=_status(live))
    # nobody is left who could store that it has ended
    return stored if engine.host.alive(stored.worker) else replace(stored, status="aborted")


def _running(execution_id: str, live: dict[str, Any]) -> Execution:
    """An execution that is not stored yet."""
    return Execution(execution_id, _status(live), live["worker"], live["registration"], None, live["steps"])


def _status(live: dict[str, Any]) -> str:
    """The status of an execution that its worker shows; one that has ended still runs until it is stored."""
    return str(live["status"]) if live["status"] in NOT_ENDED else "running"


def _registration_ids(engine: Engine) -> list[str]:
    known = registrations.all_registrations(registrations.load_sessions(engine.state_client))
    return [registration.id for registration in known]
