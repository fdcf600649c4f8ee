"""The RG.* commands: one row each, in the reply shapes of RedisGears 1.2."""

from __future__ import annotations

import re
import resource
import sys
from dataclasses import dataclass, field
from pathlib import Path

from rededge_nb.edge.commands import OK, Call, Command, CommandError, Encoded
from rededge_nb.edge.gears import registrations
from rededge_nb.edge.gears.engine import new_session_id
from rededge_nb.edge.gears.errors import GearsError
from rededge_nb.edge.gears.executions import Execution, drop_execution, load_executions
from rededge_nb.edge.gears.registrations import Registration, Session

NO_SUCH_EXECUTION = "execution plan does not exist"
SESSION_ID = re.compile(r"[A-Za-z0-9_-]+")


@dataclass
class PyExecute:
    """The arguments of RG.PYEXECUTE."""

    script: str
    unblocking: bool = False
    session_id: str | None = None
    description: str | None = None
    upgrade: bool = False
    replace_with: str | None = None
    requirements: list[str] = field(default_factory=list)


def parse_pyexecute(args: list[bytes]) -> PyExecute:
    """Read the words after RG.PYEXECUTE.

    Raises:
        CommandError: with RedisGears' texts.
    """
    words = [word.decode(errors="replace") for word in args]
    parsed = PyExecute(words.pop(0))
    while words:
        option = words.pop(0)
        match option.upper():
            case "UNBLOCKING":
                parsed.unblocking = True
            case "UPGRADE":
                parsed.upgrade = True
            case "FORCE_REINSTALL_REQUIREMENTS":
                continue
            case "ID" | "DESCRIPTION" | "REPLACE_WITH" as name:
                if not words:
                    raise CommandError(f"{name} is missing")
                value = words.pop(0)
                if name == "ID":
                    parsed.session_id = _checked_id(value)
                elif name == "DESCRIPTION":
                    parsed.description = value
                else:
                    parsed.replace_with = value
            case "REQUIREMENTS":
                # Grafana's data source sends all packages in one word
                parsed.requirements = [name for word in words for name in word.split()]
                words = []
            case _:
                raise CommandError(f"Unknown arguments were given: {option}")
    return parsed


def pyexecute(call: Call) -> object:
    """RG.PYEXECUTE: execute a script; reply with what it ran, or OK once what it registered is stored."""
    asked = parse_pyexecute(call.args)
    engine = call.worker.engine
    sessions = registrations.load_sessions(engine.raw_client)
    replaced = _session_to_replace(asked, sessions)
    _check_requirements(asked.requirements)
    try:
        script = engine.execute_script(asked.script, asked.session_id or new_session_id())
    except GearsError as error:
        raise CommandError(str(error)) from error
    if script.run is not None and script.drafts:
        engine.run_unblocking(script.run)
    if script.drafts:
        engine.register(script, asked.description, replaced)
        return OK
    if script.run is None:
        return OK
    if asked.unblocking:
        return engine.run_unblocking(script.run)
    return engine.run(script.run).reply()


def dumpregistrations(call: Call) -> object:
    """RG.DUMPREGISTRATIONS: what is registered, and how it fares."""
    client = call.worker.engine.raw_client
    found = [
        (session, registration)
        for session in registrations.load_sessions(client).values()
        for registration in session.registrations
    ]
    pipeline = client.pipeline(transaction=False)
    for _, registration in found:
        pipeline.execute_command("HGETALL", registrations.statistics_key(registration.id))
    paused = registrations.load_paused(client)
    return [
        _describe_registration(call, session, registration, statistics, paused=registration.id in paused)
        for (session, registration), statistics in zip(found, pipeline.execute(), strict=True)
    ]


def unregister(call: Call) -> object:
    """RG.UNREGISTER id [ABORTPENDING]: forget a registration; the batch in hand is finished."""
    registration_id = call.args[0].decode(errors="replace")
    if len(call.args) > 1 and (len(call.args) > 2 or call.args[1].upper() != b"ABORTPENDING"):
        raise CommandError("ERR wrong number of arguments for 'RG.UNREGISTER' command")
    engine = call.worker.engine
    for session in registrations.load_sessions(engine.raw_client).values():
        for registration in session.registrations:
            if registration.id == registration_id:
                registrations.remove_registration(engine.raw_client, session, registration)
                engine.synchronize()
                return OK
    raise CommandError("execution is not registered")


def pauseregistrations(call: Call) -> object:
    """RG.PAUSEREGISTRATIONS id …: finish the batches in hand and start nothing new; all or none."""
    return _set_paused(call, paused=True)


def unpauseregistrations(call: Call) -> object:
    """RG.UNPAUSEREGISTRATIONS id …: go on where the registrations were paused; all or none."""
    return _set_paused(call, paused=False)


def dumpexecutions(call: Call) -> object:
    """RG.DUMPEXECUTIONS: the executions that are remembered."""
    return [
        [
            "executionId", execution.id, "status", _status(call, execution),
            "registered", int(execution.registration_id is not None),
        ]
        for execution in _executions(call).values()
    ]  # fmt: skip


def getexecution(call: Call) -> object:
    """RG.GETEXECUTION id [SHARD|CLUSTER]: how an execution went, one entry a shard."""
    execution = _execution(call)
    if len(call.args) > 1:
        option = call.args[1].upper()
        if option == b"CLUSTER":
            raise CommandError("no cluster detected - use `RG.GETEXECUTION <id> [SHARD]` instead")
        if option != b"SHARD":
            raise CommandError("unknown subcommand")
    status = _status(call, execution)
    plan = [
        "status", status, "shards_received", 0, "shards_completed", 0,
        "results", execution.result_count, "errors", execution.errors,
        "total_duration", execution.milliseconds, "read_duration", 0, "steps", execution.steps,
    ]  # fmt: skip
    return [["shard_id", registrations.SHARD_ID, "execution_plan", plan]]


def getresults(call: Call) -> object:
    """RG.GETRESULTS id: results and errors of an execution that has ended."""
    execution = _execution(call)
    if _status(call, execution) == "running":
        raise CommandError("execution is still running")
    return [Encoded(execution.results), execution.errors]


def dropexecution(call: Call) -> object:
    """RG.DROPEXECUTION id: forget an execution that has ended."""
    execution = _execution(call)
    if _status(call, execution) == "running":
        raise CommandError("can not drop a not yet finished execution, abort it first.")
    drop_execution(call.worker.engine.raw_client, execution)
    return OK


def pystats(call: Call) -> object:  # noqa: ARG001
    """RG.PYSTATS: bytes of memory of this worker's process; RedisGears counted its interpreter's own allocations.

    `TotalAllocated` and `PeakAllocated` are the largest resident size so far, `CurrAllocated` is the size now.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    try:
        now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        now = peak
    return ["TotalAllocated", peak, "PeakAllocated", peak, "CurrAllocated", min(now, peak)]


def _checked_id(session_id: str) -> str:
    if not SESSION_ID.fullmatch(session_id):
        raise CommandError("ID must be compose of: ['A'-'Z' | 'a'-'z' | '0' - '9' | '-' | '_']")
    return session_id


def _set_paused(call: Call, *, paused: bool) -> object:
    engine = call.worker.engine
    sessions = registrations.load_sessions(engine.raw_client).values()
    known = {found.id for session in sessions for found in session.registrations}
    ids = [word.decode(errors="replace") for word in call.args]
    for registration_id in ids:
        if registration_id not in known:
            raise CommandError(f"Execution {registration_id} does not exists on shard {registrations.SHARD_ID}")
    registrations.set_paused(engine.raw_client, ids, paused=paused)
    engine.synchronize()
    return OK


def _session_to_replace(asked: PyExecute, sessions: dict[str, Session]) -> Session | None:
    existing = sessions.get(asked.session_id) if asked.session_id else None
    if asked.replace_with is not None:
        if existing is not None:
            raise CommandError(f"Can not replace an existing session {asked.session_id} with {asked.replace_with}")
        if asked.replace_with not in sessions:
            raise CommandError(f"Can not replace with {asked.replace_with}, session does not exists.")
        return sessions[asked.replace_with]
    if existing is not None and not asked.upgrade:
        raise CommandError(f"Session {asked.session_id} already exists")
    return existing


def _check_requirements(requirements: list[str]) -> None:
    """Refuse what is not installed: a gear that would fail at its first record is refused when it is registered."""
    from importlib.metadata import PackageNotFoundError, version

    for requirement in requirements:
        name = re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]
        try:
            version(name)
        except PackageNotFoundError:
            raise CommandError(
                f"Could not satisfy requirements: {requirement} is not installed where the workers run "
                f"(pip install {name})"
            ) from None


def _describe_registration(
    call: Call, session: Session, registration: Registration, flat: list[bytes], *, paused: bool
) -> list[object]:
    statistics = dict(zip(flat[::2], flat[1::2], strict=True))

    def number(name: bytes) -> int:
        return int(statistics.get(name, 0))

    runs = number(b"success") + number(b"failures") + number(b"aborted")
    lags = number(b"lags")
    data = [
        "mode", registration.mode,
        "numTriggered", number(b"triggered") + call.worker.engine.busy(registration.id),
        "numSuccess", number(b"success"),
        "numFailures", number(b"failures"),
        "numAborted", number(b"aborted"),
        "lastRunDurationMS", number(b"last_ms"),
        "totalRunDurationMS", number(b"total_ms"),
        "avgRunDurationMS", _average(number(b"total_ms"), runs),
        "lastEstimatedLagMS", number(b"last_lag_ms"),
        "avgEstimatedLagMS", _average(number(b"total_lag_ms"), lags),
        "lastError", statistics.get(b"last_error") or None,
        "args", [word for pair in registration.arguments.items() for word in pair],
        "status", b"PAUSED" if paused else statistics.get(b"status", b"OK"),
    ]  # fmt: skip
    listed = [other.id for other in session.registrations]
    private = (
        f"{{'sessionName':'{session.id}', 'sessionDescription':'{session.description}', "
        f"'refCount':{len(listed)}, 'linkedTo':primary, 'dead':false, 'isInstallationNeeded':0, "
        f"'registrationsList':[{', '.join(listed)}], 'depsList':[]}}"
    )
    return [
        "id", registration.id, "reader", registration.reader, "desc", registration.description,
        "RegistrationData", data, "PD", private, "ExecutionThreadPool", "DefaultPool",
    ]  # fmt: skip


def _average(total: int, count: int) -> str:
    return f"{total / count:.17g}" if count else "0"


def _executions(call: Call) -> dict[str, Execution]:
    client = call.worker.engine.raw_client
    sessions = registrations.load_sessions(client).values()
    return load_executions(client, [found.id for session in sessions for found in session.registrations])


def _execution(call: Call) -> Execution:
    execution = _executions(call).get(call.args[0].decode(errors="replace"))
    if execution is None:
        raise CommandError(NO_SUCH_EXECUTION)
    return execution


def _status(call: Call, execution: Execution) -> str:
    """The status; an execution whose worker is gone is aborted, though nobody was left to write that down."""
    if execution.status == "running" and not call.worker.alive(execution.worker):
        return "aborted"
    return execution.status


def _row(name: str, handler: object, arity: int, *, queue: str = "gears", dangerous: bool = False) -> Command:
    return Command(name, handler, queue, arity, "readonly", "dangerous" if dangerous else "read")  # type: ignore[arg-type]


COMMANDS: tuple[Command, ...] = (
    _row("RG.PYEXECUTE", pyexecute, -2, queue="executions", dangerous=True),
    _row("RG.DUMPREGISTRATIONS", dumpregistrations, 1),
    _row("RG.UNREGISTER", unregister, -2, dangerous=True),
    _row("RG.PAUSEREGISTRATIONS", pauseregistrations, -2, dangerous=True),
    _row("RG.UNPAUSEREGISTRATIONS", unpauseregistrations, -2, dangerous=True),
    _row("RG.DUMPEXECUTIONS", dumpexecutions, 1),
    _row("RG.GETEXECUTION", getexecution, -2),
    _row("RG.GETRESULTS", getresults, 2),
    _row("RG.DROPEXECUTION", dropexecution, 2, dangerous=True),
    _row("RG.PYSTATS", pystats, 1),
)
