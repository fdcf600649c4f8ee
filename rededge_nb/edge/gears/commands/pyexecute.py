"""RG.PYEXECUTE and RG.TRIGGER: the commands that run gears."""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass, field, replace

from packaging.requirements import InvalidRequirement, Requirement

from rededge_nb.edge.client.state_database import database_of
from rededge_nb.edge.gears.commands.background import run_in_background
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.runtime.live import LiveExecution
from rededge_nb.edge.gears.state import registrations
from rededge_nb.edge.gears.state.registrations import Session, Sessions
from rededge_nb.edge.switchboard.calls import OK, Call, CommandError

SESSION_ID = re.compile(r"[A-Za-z0-9_-]+")


@dataclass
class PyExecute:
    """The arguments of RG.PYEXECUTE."""

    script: str
    unblocking: bool = False
    session_id: str | None = None
    description: str | None = None
    upgrade: bool = False
    keep_unchanged: bool = False
    """With `upgrade`: registrations that the script makes again as they were are not interrupted."""
    replace_with: str | None = None
    force_reinstall: bool = False
    requirements: list[str] = field(default_factory=list)


def parse_pyexecute(args: list[bytes]) -> PyExecute:
    """Parse the arguments of RG.PYEXECUTE.

    Raises:
        CommandError: they are wrong; the texts are RedisGears'.
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
            case "KEEP_UNCHANGED":
                parsed.keep_unchanged = True
            case "FORCE_REINSTALL_REQUIREMENTS":
                parsed.force_reinstall = True
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
                parsed.requirements = [name for word in words for name in _requirements_in(word)]
                words = []
            case _:
                raise CommandError(f"Unknown arguments were given: {option}")
    return parsed


def pyexecute(call: Call, engine: Engine) -> object:
    """RG.PYEXECUTE: execute a script; replies with the results of its run, or OK once its registrations are stored."""
    request = parse_pyexecute(call.args)
    _session_to_replace(request, registrations.load_sessions(engine.state_client))
    execution = engine.new_execution()
    execution.status = "running"
    execution.session_id = request.session_id

    def work() -> object:
        with engine.live.hold(execution):
            try:
                return execute_request(engine, request, execution)
            except GearsError as error:
                raise CommandError(str(error)) from error

    execution.idle = threading.Event()
    return run_in_background(work, execution.idle)


def trigger(call: Call, engine: Engine) -> object:
    """RG.TRIGGER trigger [arg …]: run the gear that is registered for this trigger."""
    return _trigger(engine, call.args)


def trigger_on_key(call: Call, engine: Engine) -> object:
    """RG.TRIGGERONKEY trigger key [arg …]: like RG.TRIGGER; clients of a Redis Cluster use the key for routing."""
    return _trigger(engine, call.args)


def execute_request(engine: Engine, request: PyExecute, execution: LiveExecution) -> object:
    """Execute a script in this thread and register or run what it asks for; returns the reply.

    Raises:
        CommandError: the session or a trigger cannot be replaced, or the run was aborted.
        GearsError: the script raised, or its requirements cannot be installed.
    """
    requirements = engine.runners.requirements
    requirements.install(request.requirements, force=request.force_reinstall)
    session_id = request.session_id or secrets.token_hex(20)
    script = engine.execute_script(request.script, session_id, execution)
    if script.drafts:
        while True:
            try:
                session = _register(engine, request, session_id, script.drafts)
                break
            except _SessionChangedError:
                continue
        if script.run is not None:
            engine.run_unblocking(script.run, session_id, registrations.summary(session))
        return OK
    if script.run is None:
        return OK
    if request.unblocking:
        return engine.run_unblocking(script.run, session_id)
    outcome = engine.run(execution, script.run, session_id)
    if outcome.status == "aborted":
        raise CommandError("execution aborted")
    return outcome.reply()


class _SessionChangedError(Exception):
    """Another client has changed the session whose registrations are to be kept."""


def _register(engine: Engine, request: PyExecute, session_id: str, drafts: list[Draft]) -> Session:
    """Store what a script registered; returns its session.

    Raises:
        CommandError: the session or a trigger cannot be replaced.
        _SessionChangedError: try again.
    """
    present = registrations.load_sessions(engine.state_client).get(session_id) if request.keep_unchanged else None
    kept = {} if present is None else registrations.find_unchanged(present, drafts)
    own = [replace(draft, id=kept[draft.id].id) if draft.id in kept else draft for draft in drafts]
    database = database_of(engine.raw_client)
    session = registrations.new_session(
        session_id, request.description, request.requirements, own, kept.values(), database=database
    )

    def replaced(sessions: Sessions) -> Session | None:
        if kept and sessions.get(session_id) != present:
            raise _SessionChangedError
        gone = _session_to_replace(request, sessions)
        registrations.check_triggers(own, [one for one in sessions.values() if one != gone])
        return gone

    engine.register(session, own, replaced)
    return session


def _trigger(engine: Engine, words: list[bytes]) -> object:
    engine.runners.follow_changes()  # another worker may have registered it a moment ago
    name = words[0].decode(errors="replace")
    found = engine.runners.trigger(name)
    if found is None:
        known = registrations.all_registrations(registrations.load_sessions(engine.state_client))
        if name in registrations.trigger_names(known):
            raise CommandError(
                f"ERR Could not trigger execution, {name} is registered and does not run in worker {engine.host.id}: "
                "what it requires is being installed there, or lastError in RG.DUMPREGISTRATIONS has the reason"
            )
        raise CommandError("ERR subcommand not found")
    execution = engine.new_execution(found.draft.id, found.draft.steps)
    execution.idle = threading.Event()
    turn = found.take_turn()
    return run_in_background(lambda: found.call(execution, turn, words), execution.idle)


def _requirements_in(word: str) -> list[str]:
    """The requirements in one argument: Grafana sends all in one, and a single requirement may contain spaces."""
    try:
        Requirement(word)
    except InvalidRequirement:
        return word.split()
    return [word.strip()]


def _checked_id(session_id: str) -> str:
    if not SESSION_ID.fullmatch(session_id):
        raise CommandError("ID must be compose of: ['A'-'Z' | 'a'-'z' | '0' - '9' | '-' | '_']")
    return session_id


def _session_to_replace(request: PyExecute, sessions: Sessions) -> Session | None:
    existing = sessions.get(request.session_id) if request.session_id else None
    if request.replace_with is not None:
        if existing is not None:
            raise CommandError(f"Can not replace an existing session {request.session_id} with {request.replace_with}")
        if request.replace_with not in sessions:
            raise CommandError(f"Can not replace with {request.replace_with}, session does not exists.")
        return sessions[request.replace_with]
    if existing is not None and not request.upgrade:
        raise CommandError(f"Session {request.session_id} already exists")
    return existing
