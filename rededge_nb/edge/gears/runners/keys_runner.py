"""Runs one KeysReader registration: an execution for each keyspace event, in the order of the events.

The switchboard keeps the events of a registration until they have been processed (EDGE.EVENTS, EDGE.DONE), so none is
lost while no worker runs it; if a worker dies in the middle of an execution, the next one runs it again. One worker at
a time reads them, the one with the lease.

An execution that waits for a future or a coroutine does not hold up the next event.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import Any

import redis

from rededge_nb.edge.client import RETRY_DELAY, CommandArgs, check, replies_to, send, worker_client
from rededge_nb.edge.client.state_database import database_of, is_own_key
from rededge_nb.edge.gears.chain.readers import key_record, key_type
from rededge_nb.edge.gears.chain.run import Outcome
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import ExecutionAbortedError, GearsForceStopped
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

Event = tuple[int, bytes, bytes, int, list[bytes], list[bytes] | None]
"""Number, name, key, whether a client waits, the words of the command that caused it, and type and value of the key.

The last is None if it was not read with the event: the gear must get the value at the time when it begins.
"""


class KeysRunner:
    """Reads the events of one registration and executes it, until stop().

    One thread at a time reads, and executes the registration itself: to hand each event to another thread takes as
    long as to execute it. When the execution begins to wait for a future, another thread goes on reading.
    """

    def __init__(self, executor: GearExecutor, draft: Draft, session_id: str) -> None:
        self._executor = executor
        self._draft = draft
        self._session_id = session_id
        self._lease = f"events of {draft.id}"
        self._client = worker_client(executor.host.url, name="rededge-worker-events")
        self._client.response_callbacks.clear()
        db = database_of(executor.state_client)
        self._reading_pool = worker_client(
            executor.host.url, name="rededge-worker-events", db=db, timeout=LISTEN_TIMEOUT
        ).connection_pool
        self._stopping = threading.Event()
        self._stopped_reading = threading.Event()
        self._unfinished = threading.Event()
        """Set when an event was not processed to its end. It has to be read again."""
        self._running: dict[int, LiveExecution] = {}
        """The executions of events, by the event's number."""
        self._lost = 0
        self._quiet = draft.mode == "sync"
        self._with_value = bool(draft.arguments["readValue"]) and draft.arguments["keyTypes"] is None
        """Whether the switchboard adds the value of a key to its event: it is read in any case."""
        # the following are only for the thread that reads
        self._connection: redis.Connection | None = None
        self._unprocessed: deque[Event] = deque()
        """Events that were read."""
        self._last = 0
        """The number of the last event that was read from this connection."""
        self._asked = False
        """Whether events were asked for that have not been received."""
        self._pool = ThreadPoolExecutor(MAX_RUNNING, thread_name_prefix=f"gear-{draft.id}")
        executor.leases.join(draft.id)
        self._pool.submit(self._read_until_stopped)
        self._thread = threading.Thread(target=self._end_when_stopped, name=f"events-{draft.id}", daemon=True)
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

    def _end_when_stopped(self) -> None:
        self._stopped_reading.wait()
        self._pool.shutdown()
        leases = self._executor.leases
        try:
            leases.release(self._draft.id, self._lease)
            leases.leave(self._draft.id)
        except redis.RedisError as error:
            logger.info("the lease of registration %s runs out by itself: %s", self._draft.id, error)
        self._client.close()

    def _read_until_stopped(self) -> None:
        """Process events until stop(), or until another thread reads them."""
        while not self._stopping.is_set():
            try:
                if self._executor.leases.acquire(self._draft.id, self._lease) and not self._read_events():
                    return
            except (redis.ConnectionError, redis.BusyLoadingError):
                pass  # tried again when Redis is back
            except redis.RedisError as error:
                logger.warning("registration %s: %s", self._draft.id, error)
                with contextlib.suppress(redis.RedisError):
                    self._executor.report(self._draft.id, str(error))
            except BaseException:  # somebody must go on, or no event is processed any more
                logger.exception("registration %s", self._draft.id)
            self._disconnect()
            self._stopping.wait(RETRY_DELAY)
        self._disconnect()
        self._stopped_reading.set()

    def _read_events(self) -> bool:
        """Process events as long as this worker owns the registration; False if another thread reads from now on."""
        while self._may_go_on() and not self._unfinished.is_set():
            if not self._unprocessed:
                if not self._receive_events():
                    break
            elif not self._process(self._unprocessed.popleft()):
                return False
        return True

    def _receive_events(self) -> bool:
        """Wait for events; False if this worker does not get any more."""
        if self._connection is None:
            self._connection, self._last, self._asked = self._reading_pool.get_connection(), 0, False
        if not self._asked:
            send(self._connection, [self._next_events()])
        while True:
            try:
                reply = self._connection.read_response(disconnect_on_error=False)
                break
            except redis.TimeoutError:
                if not self._may_go_on() or self._unfinished.is_set():
                    return False
        self._asked = False
        if reply is None:  # another worker reads them, or the registration is gone
            return False
        lost, events, *first_value = reply
        self._report_lost(lost)
        for event, value in zip_longest(events, first_value):
            if event[0] not in self._running:
                self._unprocessed.append((*event, value))
        self._last = events[-1][0] if events else self._last
        return True

    def _next_events(self) -> CommandArgs:
        """The command that asks for the next events."""
        return "EDGE.EVENTS", self._draft.id, self._last, *(("VALUE",) if self._with_value else ())

    def _disconnect(self) -> None:
        self._unfinished.clear()
        connection, self._connection = self._connection, None
        self._unprocessed.clear()  # the next reader gets them again
        if connection is not None:
            connection.disconnect()
            self._reading_pool.release(connection)

    def _may_go_on(self) -> bool:
        return not self._stopping.is_set() and self._executor.leases.owns(self._draft.id, self._lease)

    def _report_lost(self, lost: int) -> None:
        if lost > self._lost:
            reason = f"{lost} events were lost, because too many waited: this gear is slower than they come"
            logger.error("registration %s: %s", self._draft.id, reason)
            self._executor.report(self._draft.id, reason)
        self._lost = lost

    def _process(self, event: Event) -> bool:
        """Execute the registration for an event; False if another thread reads from now on."""
        number, _, key, *_ = event
        if not self._is_wanted(key):
            self._done(number, reads=True)
            return True
        execution = self._running[number] = self._executor.new_execution(self._draft.id, self._draft.steps)
        reads = True

        def let_another_read() -> None:
            nonlocal reads
            if reads:
                reads = False
                self._pool.submit(self._read_until_stopped)

        execution.when_waiting = let_another_read
        finished = True
        try:
            reply, record = self._execute(event, execution)
            self._done(number, *reply, record=record, reads=reads)
        except redis.RedisError as error:
            logger.warning("registration %s, event %d: %s", self._draft.id, number, error)
            finished = False
        except (GearsForceStopped, ExecutionAbortedError):  # it was meant for an execution that had just ended
            finished = False
        except BaseException:  # the pool would keep it to itself
            logger.exception("registration %s", self._draft.id)
        finally:
            self._running.pop(number, None)
        if not finished:
            self._unfinished.set()
        return reads

    def _is_wanted(self, key: bytes) -> bool:
        arguments = self._draft.arguments
        if arguments["regex"].endswith("*") and is_own_key(self._client, key):
            return False
        wanted = arguments["keyTypes"]
        return wanted is None or key_type(self._client.execute_command, key) in wanted

    def _execute(self, event: Event, execution: LiveExecution) -> tuple[list[bytes], list[CommandArgs]]:
        """Execute the registration; returns the reply for who waits, if it has one, and the record of the execution."""
        _, name, key, _, words, stored = event
        draft, engine = self._draft, self._executor
        linked = draft.arguments["hookCommands"] is not None and bool(words)
        waiting = WaitingCommand([word.decode(errors="replace") for word in words]) if linked else None
        context = Context(engine, session_id=self._session_id, waiting=waiting, quiet=self._quiet)

        def records() -> Any:
            read_value = bool(draft.arguments["readValue"])
            yield key_record(context.command, key, event=name.decode(), read_value=read_value, stored=stored)

        with entered(context):
            execution_id, outcome = engine.execute(context, draft, records, execution)
        overridden = [encode(to_reply(value)) for value in waiting.overridden] if waiting is not None else []
        return overridden, self._record(execution_id, outcome)

    def _record(self, execution_id: str, outcome: Outcome) -> list[CommandArgs]:
        engine, draft = self._executor, self._draft
        fields = fields_of(execution_id, outcome.status, engine.host.id, outcome, draft.steps)
        keep = engine.options.number("MaxExecutionsPerRegistration")
        client = engine.state_client
        counts = statistics.count_outcome(client, draft.id, outcome)
        return [*counts, remember_registered(client, draft.id, fields, keep=keep)]

    def _done(self, number: int, *reply: bytes, record: Sequence[CommandArgs] = (), reads: bool) -> None:
        """Store the record of an execution, and let the switchboard forget its event.

        They are sent together. Who waits for the event gets the reply, even if the record does not fit into the memory.
        The thread that reads asks for the next events at the same time.
        """
        commands = [*record, ("EDGE.DONE", self._draft.id, number, *reply)]
        if reads and self._connection is not None:
            try:
                replies = self._send_and_ask(self._connection, commands)
            except BaseException:
                self._disconnect()  # replies may still arrive on it
                raise
        else:
            with self._executor.state_connections.used() as connection:
                replies = replies_to(connection, commands)
        *records, done = replies
        for answer in records:
            if isinstance(answer, redis.ResponseError):
                logger.warning("registration %s: an execution is not recorded: %s", self._draft.id, answer)
        check([done])

    def _send_and_ask(self, connection: redis.Connection, commands: Sequence[CommandArgs]) -> list[Any]:
        """Send commands, and ask for the next events if none are left; returns the replies to the commands."""
        self._asked = not self._unprocessed
        asking = [self._next_events()] if self._asked else []
        send(connection, [*commands, *asking])
        return [_receive(connection) for _ in commands]


def _receive(connection: redis.Connection) -> Any:
    """The next reply, however long it takes; an error reply is returned, not raised."""
    while True:
        try:
            return connection.read_response(disconnect_on_error=False)
        except redis.TimeoutError:
            continue
        except redis.ResponseError as error:
            return error
