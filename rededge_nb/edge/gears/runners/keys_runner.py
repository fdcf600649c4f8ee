"""Runs one KeysReader registration: an execution for each keyspace event, in the order of the events.

The switchboard keeps the events of a registration until they have been processed (EDGE.EVENTS, EDGE.DONE), so none is
lost while no worker runs it; if a worker dies in the middle of an execution, the next one runs it again. One worker at
a time reads them, the one with the lease.

An execution that waits for a future or a coroutine does not hold up the next event.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis

from rededge_nb.edge.client import RETRY_DELAY, CommandArgs, transact, worker_client
from rededge_nb.edge.client.state_database import is_own_key
from rededge_nb.edge.gears.chain.readers import key_record, key_type
from rededge_nb.edge.gears.chain.run import Outcome
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import GearsForceStopped, own_server
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.runtime.hooked import WaitingCommand
from rededge_nb.edge.gears.runtime.live import LiveExecution
from rededge_nb.edge.gears.runtime.values import to_reply
from rededge_nb.edge.gears.state import statistics
from rededge_nb.edge.gears.state.executions import fields_of, remember_registered
from rededge_nb.edge.switchboard.resp import encode

logger = logging.getLogger(__name__)

LISTEN_TIMEOUT = 0.25
"""Longest wait for an event in seconds. A runner that is asked to stop notices it within this time."""
MAX_RUNNING = 100
"""How many executions of one registration may run, nearly all of them waiting, before the next event has to wait."""

Event = tuple[int, bytes, bytes, int, list[bytes]]
"""Number, name, key, whether a client waits, and the words of the command that caused it."""


class KeysRunner:
    """A thread that reads the events of one registration, and threads that execute it, until stop()."""

    def __init__(self, executor: GearExecutor, draft: Draft, session_id: str) -> None:
        self._executor = executor
        self._draft = draft
        self._session_id = session_id
        self._lease = f"events of {draft.id}"
        self._client = worker_client(executor.host.url, name="rededge-worker-events")
        self._client.response_callbacks.clear()
        self._stopping = threading.Event()
        self._running: dict[int, LiveExecution] = {}
        """The executions of events, by the event's number."""
        self._lost = 0
        self._quiet = draft.mode == "sync"
        self._pool = ThreadPoolExecutor(MAX_RUNNING, thread_name_prefix=f"gear-{draft.id}")
        executor.leases.join(draft.id)
        self._thread = threading.Thread(target=self._run_until_stopped, name=f"events-{draft.id}", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> int:
        """How many executions are running."""
        return len(self._running)

    def stop(self, timeout: float) -> bool:
        """Stop after the executions that are running; False if they have not ended within `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run_until_stopped(self) -> None:
        leases = self._executor.leases
        while not self._stopping.is_set():
            try:
                if leases.acquire(self._draft.id, self._lease):
                    self._read_events()
            except (redis.ConnectionError, redis.BusyLoadingError):
                pass  # tried again when Redis is back
            except redis.RedisError as error:
                logger.warning("registration %s: %s", self._draft.id, error)
                self._executor.report(self._draft.id, str(error))
            except BaseException:  # the thread must go on, or no event is processed any more
                logger.exception("registration %s", self._draft.id)
            self._stopping.wait(RETRY_DELAY)
        self._pool.shutdown()
        try:
            leases.release(self._draft.id, self._lease)
            leases.leave(self._draft.id)
        except redis.RedisError as error:
            logger.info("the lease of registration %s runs out by itself: %s", self._draft.id, error)
        self._client.close()

    def _read_events(self) -> None:
        """Process events as long as this worker owns the registration."""
        connection = self._client.connection_pool.get_connection()
        after = 0
        try:
            while self._may_go_on():
                connection.send_command("EDGE.EVENTS", self._draft.id, after)
                while not connection.can_read(LISTEN_TIMEOUT):
                    if not self._may_go_on():
                        return
                reply = connection.read_response()
                if reply is None:  # another worker reads them, or the registration is gone
                    return
                lost, events = reply
                self._report_lost(lost)
                for event in events:
                    if not self._may_go_on():
                        return
                    if event[0] not in self._running:
                        self._begin(event)
                    after = event[0]
        finally:
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _may_go_on(self) -> bool:
        return not self._stopping.is_set() and self._executor.leases.owns(self._draft.id, self._lease)

    def _report_lost(self, lost: int) -> None:
        if lost > self._lost:
            reason = f"{lost} events were lost, because too many waited: this gear is slower than they come"
            logger.error("registration %s: %s", self._draft.id, reason)
            self._executor.report(self._draft.id, reason)
        self._lost = lost

    def _begin(self, event: Event) -> None:
        """Execute the registration for an event; returns when that has ended or waits."""
        number, _, key, *_ = event
        if not self._is_wanted(key):
            self._done(number)
            return
        execution = self._running[number] = self._executor.new_execution(self._draft.id, self._draft.steps)

        def work() -> None:
            try:
                self._execute(event, execution)
            except redis.RedisError as error:
                logger.warning("registration %s, event %d: %s", self._draft.id, number, error)
            except GearsForceStopped:
                pass  # it was meant for an execution that had just ended
            except BaseException:  # the pool would keep it to itself
                logger.exception("registration %s", self._draft.id)
            finally:
                self._running.pop(number, None)
                execution.idle.set()

        self._pool.submit(work)
        execution.idle.wait()

    def _is_wanted(self, key: bytes) -> bool:
        arguments = self._draft.arguments
        if arguments["regex"].endswith("*") and is_own_key(self._client, key):
            return False
        wanted = arguments["keyTypes"]
        return wanted is None or key_type(self._client.execute_command, key) in wanted

    def _execute(self, event: Event, execution: LiveExecution) -> None:
        number, name, key, _, words = event
        draft, engine = self._draft, self._executor
        linked = draft.arguments["hookCommands"] is not None and bool(words)
        waiting = WaitingCommand([word.decode(errors="replace") for word in words]) if linked else None
        context = Context(engine, session_id=self._session_id, waiting=waiting, quiet=self._quiet)

        def records() -> Any:
            read_value = bool(draft.arguments["readValue"])
            with own_server():
                yield key_record(self._client.execute_command, key, event=name.decode(), read_value=read_value)

        with entered(context):
            execution_id, outcome = engine.execute(context, draft, records, execution)
        overridden = [encode(to_reply(value)) for value in waiting.overridden] if waiting is not None else []
        self._done(number, *overridden, record=self._record(execution_id, outcome))

    def _record(self, execution_id: str, outcome: Outcome) -> list[CommandArgs]:
        engine, draft = self._executor, self._draft
        fields = fields_of(execution_id, outcome.status, engine.host.id, outcome, draft.steps)
        keep = engine.options.number("MaxExecutionsPerRegistration")
        client = engine.state_client
        counts = statistics.count_outcome(client, draft.id, outcome)
        return [*counts, remember_registered(client, draft.id, fields, keep=keep)]

    def _done(self, number: int, *reply: bytes, record: list[CommandArgs] | None = None) -> None:
        """Let the switchboard forget an event, in one step with the record of its execution."""
        done: CommandArgs = ("EDGE.DONE", self._draft.id, number, *reply)
        try:
            transact(self._executor.state_client, [*(record or ()), done])
        except redis.ResponseError:
            # who waits for the event must get the reply, even if the memory is full
            self._executor.state_client.execute_command(*done)
            raise
