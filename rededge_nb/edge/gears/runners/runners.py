"""Keeps a runner for every registration that this worker may run, as the sessions in Redis come and go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import redis

from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runners.keys_runner import KeysRunner
from rededge_nb.edge.gears.runners.stream_runner import StreamRunner
from rededge_nb.edge.gears.runners.triggers import Trigger
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.state import registrations
from rededge_nb.edge.gears.state.crashes import MAX_CRASHES, Attempts, Verdict
from rededge_nb.edge.gears.state.registrations import Registration, Session
from rededge_nb.edge.gears.state.requirements import Requirements

logger = logging.getLogger(__name__)

STOP_TIMEOUT = 8.0
"""Seconds that a batch in hand may take to end when the worker stops."""
IDLE_STOP_TIMEOUT = 1.0
"""Seconds for a runner with nothing in hand to end."""
READY_TIMEOUT = 2.0
"""Seconds for a new KeysReader registration to hear events."""
ON_REGISTERED = "onRegistered"


class Runner(Protocol):
    """What runs one registration."""

    @property
    def busy(self) -> int:
        """Executions in hand."""

    def stop(self, timeout: float) -> bool:
        """Begin nothing new; False if what is in hand has not ended within `timeout` seconds."""


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
        self._told: set[str] = set()
        """Registrations whose onRegistered was called here: a pause does not let it be called again."""
        self._version: bytes | None = None
        self._again = False
        self._installing: set[str] = set()
        self._requirements = Requirements()
        self._lock = threading.RLock()

    @property
    def requirements(self) -> Requirements:
        """What gears need installed here."""
        return self._requirements

    def follow_changes(self) -> None:
        """Run what other workers registered, and no longer what they unregistered."""
        engine = self._executor
        if registrations.current_version(engine.raw_client) != self._version:
            engine.options.refresh()
            self.synchronize()

    def busy(self, registration_id: str) -> int:
        """Executions of the registration that this worker has in hand."""
        found = self._running.get(registration_id)
        return int(found[1].busy) if found else 0

    def trigger(self, name: str) -> Trigger | None:
        """The trigger of that name."""
        for _, runner in tuple(self._running.values()):
            if isinstance(runner, Trigger) and runner.draft.arguments["trigger"] == name:
                return runner
        return None

    def forget(self, registration_id: str) -> None:
        """Take a runner for gone that ends by itself: when its registration goes on, another is started."""
        with self._lock:
            self._running.pop(registration_id, None)
            self._version = None  # it may have been unpaused already, when it was not forgotten yet

    def stop(self) -> None:
        """Stop all runners after what they have in hand."""
        with self._lock:
            self._stop(tuple(self._running), STOP_TIMEOUT)

    def synchronize(self, *, ready: bool = False) -> None:
        """Run exactly what is registered now; `ready`: return when new runners hear events."""
        client = self._executor.raw_client
        with self._lock:
            version = registrations.current_version(client)
            sessions = registrations.load_sessions(client)
            known = {one.id: one for one in registrations.all_registrations(sessions)}
            gone = [self._running[name][0] for name in self._running if name not in known]
            self._stop([name for name in self._running if name not in known or known[name].stopped], IDLE_STOP_TIMEOUT)
            for draft in gone:
                self._call(draft, "onUnregistered", draft.on_unregistered)
            self._code = {name: code for name, code in self._code.items() if name in sessions}
            self._failed &= {name for name, one in known.items() if not one.stopped}
            self._told &= known.keys()
            self._again = False
            for session in sessions.values():
                self._start_session(session)
            self._version = None if self._again else version
            started = [runner for _, runner in self._running.values() if isinstance(runner, KeysRunner)]
        if ready:
            for runner in started:
                runner.wait_until_heard(READY_TIMEOUT)

    def _start_session(self, session: Session) -> None:
        wanted = [one for one in session.registrations if not one.stopped and one.id not in self._running]
        wanted = [one for one in wanted if one.id not in self._failed]
        if not wanted or not self._installed(session):
            return
        try:
            code = self._load(session)
        except redis.ConnectionError:
            raise
        except BaseException as error:
            # code that cannot be loaded here must not keep the other registrations from running
            logger.exception("session %s cannot run", session.id)
            for registration in wanted:
                self._fail(registration, str(error))
            return
        for registration in wanted:
            if registration.id in code:
                self._start(code[registration.id], session.id)
            else:  # another upgrade came between the reads of the sessions and of this one's code
                self._again = True

    def _load(self, session: Session) -> dict[str, Draft]:
        """The session's callbacks: one globals dict for as long as any of its registrations lives."""
        code = self._code.get(session.id)
        if code is None or not {one.id for one in session.registrations} <= code.keys():
            code = self._code[session.id] = registrations.load_code(self._executor.raw_client, session)
        return code

    def _start(self, draft: Draft, session_id: str) -> None:
        attempts = Attempts(self._executor.raw_client, self._executor.host, draft.id)
        if draft.on_registered is not None and draft.id not in self._told:
            verdict = attempts.begin(ON_REGISTERED, ON_REGISTERED)
            if verdict is Verdict.CRASHED:
                reason = f"{MAX_CRASHES} workers in a row died in its onRegistered: the registration is paused"
                self._executor.pause(draft.id, reason)
            if verdict is not Verdict.GO:
                self._again = True
                return
            self._call(draft, ON_REGISTERED, draft.on_registered)
            attempts.end(ON_REGISTERED)
            self._told.add(draft.id)
        self._running[draft.id] = (draft, RUNNERS[draft.reader](self._executor, draft, session_id))

    def _stop(self, registration_ids: Iterable[str], timeout: float) -> None:
        for registration_id in registration_ids:
            _, runner = self._running.pop(registration_id)
            # one that is busy ends after its batch, and holds its streams until then; the batch may wait for us
            if not runner.stop(0 if runner.busy and timeout < STOP_TIMEOUT else timeout):
                logger.info("registration %s ends after what it has in hand", registration_id)

    def _call(self, draft: Draft, name: str, callback: object) -> None:
        if not callable(callback):
            return
        with entered(Context(self._executor)):
            try:
                callback()
            except BaseException:  # a gear's own
                logger.exception("%s of registration %s", name, draft.id)

    def _fail(self, registration: Registration, reason: str) -> None:
        self._failed.add(registration.id)
        self._executor.report(registration.id, reason)

    def _installed(self, session: Session) -> bool:
        """Whether what the session needs is there; if not, it is being installed, which takes a while."""
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
            self._version = None  # the next look starts it
