"""Keeps a runner for every registration that this worker may run, as the sessions in Redis come and go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import redis

from rededge_nb.edge.gears.chain.code_identity import code_identity
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runners.keys_runner import KeysRunner
from rededge_nb.edge.gears.runners.stream_runner import StreamRunner
from rededge_nb.edge.gears.runners.triggers import Trigger
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.runtime.live import SessionSummary
from rededge_nb.edge.gears.state import registrations, statistics
from rededge_nb.edge.gears.state.crashes import CrashGuard, Verdict
from rededge_nb.edge.gears.state.registrations import Registration, Session, Sessions
from rededge_nb.edge.gears.state.requirements import Requirements

logger = logging.getLogger(__name__)

STOP_TIMEOUT = 8.0
"""Seconds that a running batch may take to end when the worker stops."""
IDLE_STOP_TIMEOUT = 1.0
"""Seconds that an idle runner may take to end."""
ON_REGISTERED = "onRegistered"


class Runner(Protocol):
    """What runs one registration."""

    @property
    def busy(self) -> int:
        """How many executions are running."""

    def stop(self, timeout: float) -> bool:
        """Start nothing new; False if something still runs after `timeout` seconds."""


RUNNERS: dict[str, Callable[[GearExecutor, Draft, str], Runner]] = {
    "StreamReader": StreamRunner,
    "KeysReader": KeysRunner,
    "CommandReader": Trigger,
}


class Runners:
    """The runners of one worker."""

    def __init__(self, executor: GearExecutor) -> None:
        self._executor = executor
        self._running: dict[str, tuple[Draft, Runner]] = {}
        self._code: dict[str, dict[str, Draft]] = {}
        self._failed: set[str] = set()
        """Registrations that could not be started. They are tried again after they were changed."""
        self._unloadable: dict[str, Session] = {}
        """Sessions whose stored code this worker cannot load."""
        self._greeted: set[str] = set()
        """Registrations whose onRegistered was called here. It is not called again after a pause."""
        self._version: bytes | None = None
        """Version of the sessions at the last synchronize(); None: it has to be called again."""
        self._incomplete = False
        self._installing: set[str] = set()
        self._requirements = Requirements()
        self._hooks: dict[str, list[Trigger]] = {}
        """The hooks that run here, by command in lower case, the last registered one first."""
        self._sessions: dict[str, SessionSummary] = {}
        """The sessions by the ids of their registrations."""
        self._refused: str | None = None
        """Why the switchboard does not accept hooks."""
        self._lock = threading.RLock()

    @property
    def requirements(self) -> Requirements:
        """The packages that gears need, on this machine."""
        return self._requirements

    def follow_changes(self) -> None:
        """Start what other workers registered, and stop what they unregistered."""
        engine = self._executor
        if registrations.current_version(engine.state_client) != self._version:
            engine.options.refresh()
            self.synchronize()

    def unloadable(self) -> list[Session]:
        """The sessions whose stored code this worker cannot load."""
        return list(self._unloadable.values())

    def busy(self, registration_id: str) -> int:
        """How many executions of the registration are running in this worker."""
        found = self._running.get(registration_id)
        return int(found[1].busy) if found else 0

    def stop_same_code(self, draft: Draft) -> list[str]:
        """Have all registrations that run here with the same code as this one begin nothing new; returns their ids."""
        code = code_identity(draft.steps)
        with self._lock:  # synchronize() may still be starting some of them
            running = {
                name: runner for name, (other, runner) in self._running.items() if code_identity(other.steps) == code
            }
            for name, runner in running.items():
                if name != draft.id:
                    runner.stop(0)
            return list(running)

    def trigger(self, name: str) -> Trigger | None:
        """The trigger of that name."""
        for _, runner in tuple(self._running.values()):
            if isinstance(runner, Trigger) and not runner.is_hook and runner.draft.arguments["trigger"] == name:
                return runner
        return None

    def hook(self, registration_id: str) -> Trigger | None:
        """The hook of that registration."""
        found = self._running.get(registration_id)
        return found[1] if found is not None and isinstance(found[1], Trigger) else None

    def session_of(self, registration_id: str) -> SessionSummary | None:
        """The session of a registration that runs here, or ran here until the last synchronize()."""
        return self._sessions.get(registration_id)

    def hooks_on(self, words: Sequence[bytes]) -> list[Trigger]:
        """The hooks on a command with these words that run in this worker, the last registered one first."""
        return [hook for hook in self._hooks.get(words[0].decode(errors="replace").lower(), ()) if hook.is_on(words)]

    def forget(self, registration_id: str) -> None:
        """Remove a runner that ends by itself. Another one is started when the registration is unpaused."""
        with self._lock:
            self._running.pop(registration_id, None)
            self._version = None  # somebody may have unpaused it before this, when the old runner was still listed

    def stop(self) -> None:
        """Stop all runners after the batches that they are running."""
        with self._lock:
            self._stop(tuple(self._running), STOP_TIMEOUT)

    def synchronize(self) -> None:
        """Run exactly what is registered now."""
        client = self._executor.state_client
        with self._lock:
            version = registrations.current_version(client)
            sessions = registrations.load_sessions(client)
            self._announce_hooks(sessions)
            self._sessions = {
                one.id: registrations.summary(session) for session in sessions.values() for one in session.registrations
            }
            known = {one.id: one for one in registrations.all_registrations(sessions)}
            self._executor.registration_ids.skip(known)
            gone = [self._running[name][0] for name in self._running if name not in known]
            self._stop([name for name in self._running if name not in known or known[name].stopped], IDLE_STOP_TIMEOUT)
            for draft in gone:
                self._call(draft, "onUnregistered", draft.on_unregistered)
            self._code = {name: code for name, code in self._code.items() if name in sessions}
            self._failed &= {name for name, one in known.items() if not one.stopped}
            self._unloadable = {name: one for name, one in self._unloadable.items() if sessions.get(name) == one}
            self._greeted &= known.keys()
            self._incomplete = False
            for session in sessions.values():
                self._start_session(session)
            self._version = None if self._incomplete else version
            self._index_hooks()

    def _announce_hooks(self, sessions: Sessions) -> None:
        engine = self._executor
        try:
            registrations.announce_hooks(engine.state_client, sessions)
        except redis.ResponseError as error:
            if str(error) != self._refused:
                logger.error("gears on events and commands do not run, the edge module refuses them: %s", error)
            self._refused = str(error)

    def _index_hooks(self) -> None:
        found: dict[str, list[Trigger]] = {}
        for _, runner in reversed(self._running.values()):
            if isinstance(runner, Trigger) and runner.is_hook:
                found.setdefault(runner.draft.arguments["hook"].lower(), []).append(runner)
        for hooks in found.values():
            hooks.sort(key=lambda hook: int(hook.draft.id.rpartition("-")[2]), reverse=True)
        self._hooks = found

    def _start_session(self, session: Session) -> None:
        wanted = [one for one in session.registrations if not one.stopped and one.id not in self._running]
        wanted = [one for one in wanted if one.id not in self._failed]
        if not wanted or not self._has_requirements(session):
            return
        try:
            code = self._load(session)
        except redis.ConnectionError:
            raise
        except BaseException as error:
            # one session's code, which may raise anything while it is loaded, must not keep the others from running
            reason = str(error) if isinstance(error, GearsError) else f"{type(error).__name__}: {error}"
            logger.error("session %s cannot run: %s", session.id, reason, exc_info=not isinstance(error, GearsError))
            remedy = f"register its script again, `rededge gears register FILE --id {session.id}`"
            self._unloadable[session.id] = session
            for registration in wanted:
                self._fail(registration, f"session {session.id}: {reason}; {remedy}")
            return
        for registration in wanted:
            if registration.id in code:
                self._start(code[registration.id], session.id)
            else:  # the session was upgraded after it was read, and this is the code of the new one
                self._incomplete = True

    def _load(self, session: Session) -> dict[str, Draft]:
        """The session's callbacks, with one globals dict for as long as any of its registrations lives."""
        code = self._code.get(session.id)
        if code is None or not {one.id for one in session.registrations} <= code.keys():
            code = self._code[session.id] = registrations.load_code(self._executor.state_client, session)
        return code

    def _start(self, draft: Draft, session_id: str) -> None:
        client = self._executor.state_client
        guard = CrashGuard(client, self._executor.host, draft.id)
        if draft.on_registered is not None and draft.id not in self._greeted:
            verdict = guard.verdict(ON_REGISTERED, ON_REGISTERED)
            if verdict is Verdict.CRASHED:
                reason = f"{guard.deaths} workers in a row died in its onRegistered: the registration is paused"
                self._executor.pause(draft.id, reason)
            if verdict is not Verdict.GO:
                self._incomplete = True
                return
            guard.begin(ON_REGISTERED, ON_REGISTERED)
            self._call(draft, ON_REGISTERED, draft.on_registered)
            guard.survived(ON_REGISTERED)
            self._greeted.add(draft.id)
        statistics.forget_cannot_run(client, draft.id)
        self._running[draft.id] = (draft, RUNNERS[draft.reader](self._executor, draft, session_id))
        self._executor.retry_slot.close_briefly()

    def _stop(self, registration_ids: Iterable[str], timeout: float) -> None:
        for registration_id in registration_ids:
            _, runner = self._running.pop(registration_id)
            # a busy runner ends after its batch, and keeps its leases until then. Do not wait for that unless the
            # worker stops: the batch may itself wait for the thread that we are in
            if not runner.stop(0 if runner.busy and timeout < STOP_TIMEOUT else timeout):
                logger.info("registration %s ends after the batch that it is running", registration_id)

    def _call(self, draft: Draft, name: str, callback: object) -> None:
        if not callable(callback):
            return
        with entered(Context(self._executor)):
            try:
                callback()
            except BaseException:  # a user's function may raise anything
                logger.exception("%s of registration %s", name, draft.id)

    def _fail(self, registration: Registration, reason: str) -> None:
        self._failed.add(registration.id)
        statistics.report_cannot_run(self._executor.state_client, registration.id, self._executor.host.id, reason)

    def _has_requirements(self, session: Session) -> bool:
        """Whether the packages that the session needs are installed; if not, a thread installs them."""
        if self._requirements.activate(session.requirements):
            return True
        if session.id not in self._installing:
            self._installing.add(session.id)
            threading.Thread(target=self._install, args=(session,), name=f"pip-{session.id}", daemon=True).start()
        return False

    def _install(self, session: Session) -> None:
        try:
            self._requirements.install(session.requirements)
        except (OSError, GearsError) as error:
            logger.error("session %s: %s", session.id, error)
            for registration in session.registrations:
                try:
                    self._fail(registration, str(error))
                except redis.RedisError:
                    logger.exception("registration %s", registration.id)
        finally:
            self._installing.discard(session.id)
            self._version = None  # the next follow_changes() starts it
