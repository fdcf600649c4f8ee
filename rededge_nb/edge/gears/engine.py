"""The gears of one worker: executes scripts, and runs what is registered."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.gears import modules, registrations
from rededge_nb.edge.gears.api import script_globals
from rededge_nb.edge.gears.context import Context, Script, entered
from rededge_nb.edge.gears.errors import SCRIPT_FILE_NAME, GearsError, error_text
from rededge_nb.edge.gears.executions import ExecutionIds, Outcome, Run, fields_of, run_chain, save_unblocking
from rededge_nb.edge.gears.leases import Leases
from rededge_nb.edge.gears.readers import READERS
from rededge_nb.edge.gears.registrations import Session
from rededge_nb.edge.gears.stream_runner import StreamRunner

if TYPE_CHECKING:
    from rededge_nb.edge.worker import Worker

logger = logging.getLogger(__name__)

STOP_TIMEOUT = 8.0
"""Seconds that a batch in hand may take to end when its registration goes or the worker stops."""


class Engine:
    """Executes scripts and keeps a runner for every registration."""

    def __init__(self, worker: Worker) -> None:
        modules.install()
        self._worker = worker
        self.raw_client = client_from_url(worker.url, name="rededge-worker-gears")
        self.raw_client.response_callbacks.clear()
        self.leases = Leases(self.raw_client, worker.id)
        self.execution_ids = ExecutionIds(self.raw_client)
        self._runners: dict[str, StreamRunner] = {}
        self._version: bytes | None = None
        self._lock = threading.RLock()

    def next_registration_id(self) -> str:
        """A new registration's id."""
        return registrations.next_registration_id(self.raw_client)

    def follow_changes(self) -> None:
        """Run what other workers registered, and no longer what they unregistered; called a few times a second."""
        if self.raw_client.execute_command("GET", registrations.VERSION_KEY) != self._version:
            self.synchronize()

    def stop(self) -> None:
        """Stop all runners after the batches they have in hand."""
        with self._lock:
            self._stop_runners(tuple(self._runners))

    def busy(self, registration_id: str) -> bool:
        """Whether this worker has a batch of the registration in hand."""
        runner = self._runners.get(registration_id)
        return runner is not None and runner.busy

    def execute_script(self, source: str, session_id: str) -> Script:
        """Execute a gear script; what it asked for is returned, and nothing of it has begun.

        Raises:
            GearsError: the script raised; the text is what RedisGears answers.
        """
        script = Script(session_id)
        with entered(Context(self._worker, script)):
            try:
                exec(compile(source, SCRIPT_FILE_NAME, "exec"), script_globals())  # noqa: S102 - the user's own gear
            except (redis.ConnectionError, redis.BusyLoadingError):
                raise
            except (Exception, SystemExit) as error:
                raise GearsError(error_text(error)) from error
        return script

    def register(self, script: Script, description: str | None, replaces: Session | None) -> None:
        """Store a script's registrations, in place of a session if one is given, and start running them."""
        registrations.save_session(self.raw_client, script.session_id, description, script.drafts, replaces=replaces)
        self.synchronize()

    def run(self, run: Run) -> Outcome:
        """Carry out, in this thread, what a script asked for."""
        with entered(Context(self._worker)):
            return run_chain(self._records(run), run.steps)

    def run_unblocking(self, run: Run) -> str:
        """Run in a thread of its own; returns the execution's id at once."""
        execution_id = self.execution_ids.next()
        running = fields_of(execution_id, "running", self._worker.id, None, run.steps)
        save_unblocking(self.raw_client, running, new=True)

        def work() -> None:
            try:
                outcome = self.run(run)
            except redis.RedisError as error:
                outcome = Outcome(errors=[str(error)])
            try:
                done = fields_of(execution_id, "done", self._worker.id, outcome, run.steps)
                save_unblocking(self.raw_client, done, new=False)
            except redis.RedisError:
                logger.exception("the outcome of execution %s could not be stored", execution_id)

        threading.Thread(target=work, name=f"execution-{execution_id}", daemon=True).start()
        return execution_id

    def synchronize(self) -> None:
        """Run exactly what is registered now."""
        with self._lock:
            version = self.raw_client.execute_command("GET", registrations.VERSION_KEY)
            sessions = registrations.load_sessions(self.raw_client)
            paused = registrations.load_paused(self.raw_client)
            wanted = {
                found.id: session
                for session in sessions.values()
                for found in session.registrations
                if found.id not in paused
            }
            self._stop_runners([registration_id for registration_id in self._runners if registration_id not in wanted])
            code: dict[str, Any] = {}
            for registration_id, session in wanted.items():
                if registration_id in self._runners:
                    continue
                try:
                    if session.id not in code:
                        code[session.id] = registrations.load_code(self.raw_client, session)
                    self._start_runner(code[session.id][registration_id])
                except redis.ConnectionError:
                    raise
                except Exception as error:
                    # code that cannot be loaded here must not keep the other registrations from running
                    logger.exception("registration %s of session %s cannot run", registration_id, session.id)
                    self.raw_client.execute_command(
                        "HSET", registrations.statistics_key(registration_id), "last_error", str(error)
                    )
            self._version = version

    def _start_runner(self, draft: registrations.Draft) -> None:
        if draft.on_registered is not None:
            with entered(Context(self._worker)):
                try:
                    draft.on_registered()
                except (Exception, SystemExit):
                    logger.exception("onRegistered of registration %s", draft.id)
        self._runners[draft.id] = StreamRunner(self._worker, draft)

    def _stop_runners(self, registration_ids: Any) -> None:
        for registration_id in registration_ids:
            if not self._runners.pop(registration_id).stop(STOP_TIMEOUT):
                logger.warning("registration %s: its batch has not ended in %.0f s", registration_id, STOP_TIMEOUT)

    def _records(self, run: Run) -> Iterator[Any]:
        return READERS[run.reader].run(self.raw_client, run.argument, run.keywords)


def new_session_id() -> str:
    """An id for a session that was given none."""
    return secrets.token_hex(20)
