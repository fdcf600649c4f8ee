"""The RG.* commands about registrations and sessions, in the reply shapes of RedisGears 1.2."""

from __future__ import annotations

from rededge_nb.edge.gears.chain.profiles import DEFAULT_ORDER
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.state import registrations, statistics
from rededge_nb.edge.gears.state.ids import SHARD_ID
from rededge_nb.edge.gears.state.registrations import Registration, Session, Sessions
from rededge_nb.edge.switchboard.calls import OK, Call, CommandError

HIDDEN = {"readValue", "hook", "keyprefix", "positions"}
"""Arguments of registrations that RedisGears does not show."""


def dumpregistrations(_call: Call, engine: Engine) -> object:
    """RG.DUMPREGISTRATIONS: all registrations with their statistics."""
    sessions = registrations.load_sessions(engine.state_client)
    return _describe_all(engine, sessions, registrations.all_registrations(sessions), private=True)


def unregister(call: Call, engine: Engine) -> object:
    """RG.UNREGISTER id [ABORTPENDING]: remove a registration; a batch that is running is finished."""
    registration_id = call.args[0].decode(errors="replace")
    abort_pending = len(call.args) > 1
    if abort_pending and (len(call.args) > 2 or call.args[1].upper() != b"ABORTPENDING"):
        raise CommandError("ERR wrong number of arguments for 'RG.UNREGISTER' command")
    if not registrations.remove_registration(engine.state_client, registration_id):
        raise CommandError("execution is not registered")
    if abort_pending:
        for execution in engine.live.all():
            if execution.registration_id == registration_id and execution.status == "created":
                execution.abort()
    engine.runners.synchronize()
    return OK


def pauseregistrations(call: Call, engine: Engine) -> object:
    """RG.PAUSEREGISTRATIONS id …: finish the running batches and start nothing new; all registrations or none."""
    return _set_paused(call, engine, paused=True)


def unpauseregistrations(call: Call, engine: Engine) -> object:
    """RG.UNPAUSEREGISTRATIONS id …: continue paused registrations; all or none."""
    return _set_paused(call, engine, paused=False)


def clearregistrationsstats(_call: Call, engine: Engine) -> object:
    """RG.CLEARREGISTRATIONSSTATS: set all counters to zero."""
    client = engine.state_client
    known = registrations.all_registrations(registrations.load_sessions(client))
    statistics.clear(client, [registration.id for registration in known])
    return OK


def pydumpsessions(call: Call, engine: Engine) -> object:
    """RG.PYDUMPSESSIONS [VERBOSE] [DEAD] [SESSIONS id …]: the sessions that have registrations.

    DEAD: those that were replaced or have lost their last registration, while executions of them run.
    """
    words, verbose, dead = [word.decode(errors="replace") for word in call.args], False, False
    wanted: list[str] | None = None
    while words:
        option = words.pop(0)
        match option.upper():
            case "VERBOSE":
                verbose = True
            case "DEAD":
                dead = True
            case "SESSIONS":
                wanted, words = words, []
            case _:
                raise CommandError(f"Unknown option {option}")
    sessions = registrations.load_sessions(engine.state_client)
    if wanted is None and dead:
        return _describe_dead(engine, sessions)
    if wanted is None:
        return [_describe_session(engine, sessions, one, verbose=verbose) for one in sessions.values()]
    return [
        _describe_session(engine, sessions, sessions[name], verbose=verbose)
        if name in sessions
        else f"Session {name} does not exists"
        for name in wanted
    ]


def pyprofile(call: Call, engine: Engine) -> object:
    """RG.PYPROFILE STATS session [order] | RESET session: this worker's profile, if ProfileExecutions is 1."""
    words = [word.decode(errors="replace") for word in call.args]
    subcommand, session_id = words[0].upper(), words[1] if len(words) > 1 else ""
    if subcommand not in ("STATS", "RESET"):
        raise CommandError("Wrong subcommand given to RG.PYPROFILE")
    if session_id not in registrations.load_sessions(engine.state_client):
        raise CommandError("session does not exists")
    if subcommand == "RESET":
        engine.profiles.reset(session_id)
        return OK
    try:
        return engine.profiles.text(session_id, words[2] if len(words) > 2 else DEFAULT_ORDER)
    except KeyError as error:
        raise CommandError(f"ERR pstats cannot order by {error}") from None


def _set_paused(call: Call, engine: Engine, *, paused: bool) -> object:
    known = {one.id: one for one in registrations.all_registrations(registrations.load_sessions(engine.state_client))}
    ids = [word.decode(errors="replace") for word in call.args]
    if not ids:
        raise CommandError("ERR no registration to pause")
    for registration_id in ids:
        if registration_id not in known:
            raise CommandError(f"Execution {registration_id} does not exists on shard {SHARD_ID}")
        if known[registration_id].reader != "StreamReader":
            word = "pause" if paused else "unpause"
            raise CommandError(f"Reader {known[registration_id].reader} does not support {word}")
    registrations.set_paused(engine.state_client, ids, paused=paused)
    engine.runners.synchronize()
    return OK


def _describe_all(engine: Engine, sessions: Sessions, wanted: list[Registration], *, private: bool) -> list[object]:
    client = engine.state_client
    pipeline = client.pipeline(transaction=False)
    for registration in wanted:
        statistics.queue_read(pipeline, registration.id)
    counted = pipeline.execute()
    running = [one["registration"] for one in engine.live_executions().values()]
    return [
        _describe(sessions[one.session_id], one, flat, in_flight=running.count(one.id), private=private)
        for one, flat in zip(wanted, counted, strict=True)
    ]


def _describe(
    session: Session, registration: Registration, flat: list[bytes], *, in_flight: int, private: bool
) -> list[object]:
    numbers, status = statistics.describe(flat, reader=registration.reader, in_flight=in_flight)
    shown = [word for pair in registration.arguments.items() if pair[0] not in HIDDEN for word in pair]
    if registration.stopped and status:
        status = ["status", "PAUSED" if registration.paused else "ABORTED"]
    data = ["mode", registration.mode, *numbers, "args", shown, *status]
    described: list[object] = ["id", registration.id, "reader", registration.reader, "desc", registration.description]
    described += ["RegistrationData", data]
    if private:
        listed = ", ".join(other.id for other in session.registrations)
        described += [
            "PD",
            f"{{'sessionName':'{session.id}', 'sessionDescription':'{session.description}', "
            f"'refCount':{len(session.registrations)}, 'linkedTo':primary, 'dead':false, 'isInstallationNeeded':0, "
            f"'registrationsList':[{listed}], 'depsList':[{', '.join(session.requirements)}]}}",
        ]
    return [*described, "ExecutionThreadPool", "DefaultPool"]


def _describe_session(engine: Engine, sessions: Sessions, session: Session, *, verbose: bool) -> list[object]:
    requirements: list[object] = list(session.requirements)
    shown: list[object] = [registration.id for registration in session.registrations]
    if verbose:
        found = [engine.runners.requirements.find(name) for name in session.requirements]
        requirements = [one.describe(_users(sessions, one.name)) for one in found if one is not None]
        shown = _describe_all(engine, sessions, list(session.registrations), private=False)
    return [
        "ID", session.id, "sessionDescription", session.description, "refCount", len(session.registrations),
        "linked", "primary", "dead", "false", "requirementInstallationNeeded", 0,
        "requirements", requirements, "registrations", shown,
    ]  # fmt: skip


def _describe_dead(engine: Engine, sessions: Sessions) -> list[object]:
    known = {one.id for one in registrations.all_registrations(sessions)}
    held = [one["registered"] for one in engine.live_executions().values() if one.get("registered") is not None]
    gone = [session for session in held if known.isdisjoint(session["registrations"])]
    return [
        [
            "ID", session["id"], "sessionDescription", session["description"], "refCount", gone.count(session),
            "linked", "None", "dead", "true", "requirementInstallationNeeded", 0,
            "requirements", session["requirements"], "registrations", [],
        ]
        for number, session in enumerate(gone) if session not in gone[:number]
    ]  # fmt: skip


def _users(sessions: Sessions, requirement: str) -> int:
    return sum(requirement in session.requirements for session in sessions.values())
