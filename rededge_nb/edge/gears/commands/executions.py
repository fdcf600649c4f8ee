"""The RG.* commands about executions, in the reply shapes of RedisGears 1.2."""

from __future__ import annotations

import time

from rededge_nb.edge.gears.commands.background import later
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.state import registrations
from rededge_nb.edge.gears.state.executions import Execution, drop_execution, load_executions
from rededge_nb.edge.switchboard.calls import OK, Call, CommandError, Encoded
from rededge_nb.edge.switchboard.resp import encode

NO_SUCH_EXECUTION = "execution plan does not exist"
NOT_ENDED = ("created", "running")
ABORT_TIMEOUT = 25.0
"""Seconds for an aborted execution to end: a call into C that takes longer cannot be interrupted."""
LOOK_INTERVAL = 0.05
"""Seconds between looks at an execution of another worker."""


def dumpexecutions(_call: Call, engine: Engine) -> object:
    """RG.DUMPEXECUTIONS: the executions that go on or are remembered."""
    return [
        ["executionId", one.id, "status", one.status, "registered", int(one.registration_id is not None)]
        for one in _executions(engine).values()
    ]


def getexecution(call: Call, engine: Engine) -> object:
    """RG.GETEXECUTION id [SHARD|CLUSTER]: how an execution went, one entry a shard."""
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
    return [["shard_id", registrations.SHARD_ID, "execution_plan", plan]]


def getresults(call: Call, engine: Engine) -> object:
    """RG.GETRESULTS id: results and errors of an execution that has ended."""
    execution = _execution(call, engine)
    if execution.status in NOT_ENDED:
        raise CommandError("execution is still running")
    return [Encoded(execution.results), execution.errors]


def getresultsblocking(call: Call, engine: Engine) -> object:
    """RG.GETRESULTSBLOCKING id: results and errors of an execution, once it has ended."""
    _execution(call, engine)

    def work() -> object:
        while (execution := _execution(call, engine)).status in NOT_ENDED:
            _wait_a_little(engine, execution.id)
        return [Encoded(execution.results), execution.errors]

    return later(work)


def abortexecution(call: Call, engine: Engine) -> object:
    """RG.ABORTEXECUTION id: interrupt an execution; replies when it has ended."""
    execution_id = call.args[0].decode(errors="replace")
    if execution_id not in _executions(engine):
        raise CommandError("execution does not exist")

    def work() -> object:
        deadline = time.monotonic() + ABORT_TIMEOUT
        # what another worker began is stored at once, but shown as live only with that worker's next sign of life
        while (execution := _executions(engine).get(execution_id)) is not None and execution.status in NOT_ENDED:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"ERR execution {execution_id} has not ended in {ABORT_TIMEOUT:.0f} s: it is inside a call that "
                    "Python cannot interrupt, and ends right after it"
                )
            engine.abort_execution(execution_id)
            _wait_a_little(engine, execution_id)
        return OK

    return later(work)


def dropexecution(call: Call, engine: Engine) -> object:
    """RG.DROPEXECUTION id: forget an execution that has ended."""
    execution = _execution(call, engine)
    if execution.status in NOT_ENDED:
        raise CommandError("can not drop a not yet finished execution, abort it first.")
    drop_execution(engine.raw_client, execution)
    return OK


def _wait_a_little(engine: Engine, execution_id: str) -> None:
    live = engine.live.find(execution_id)
    if live is None or live.ended.wait(LOOK_INTERVAL):
        time.sleep(LOOK_INTERVAL)


def _executions(engine: Engine) -> dict[str, Execution]:
    client = engine.raw_client
    known = registrations.all_registrations(registrations.load_sessions(client))
    live = engine.live_executions()
    found = load_executions(client, [one.id for one in known])
    for execution_id, execution in found.items():
        if execution.status in NOT_ENDED and execution_id not in live and not engine.host.alive(execution.worker):
            # nobody was left to write that down
            found[execution_id] = execution.with_status("aborted")
    for execution_id, one in live.items():
        status = one["status"] if one["status"] in NOT_ENDED else "running"  # it is being written down
        stored = found.get(execution_id)
        if stored is None:
            found[execution_id] = Execution(
                execution_id, status, one["worker"], one["registration"], None, one["steps"], encode([]), -1, [], 0
            )
        elif stored.status in NOT_ENDED:  # else it has ended since its worker showed it
            found[execution_id] = stored.with_status(status)
    return found


def _execution(call: Call, engine: Engine) -> Execution:
    execution = _executions(engine).get(call.args[0].decode(errors="replace"))
    if execution is None:
        raise CommandError(NO_SUCH_EXECUTION)
    return execution
