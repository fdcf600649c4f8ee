"""Runs one KeysReader registration: an execution for each keyspace event, in the order of the events.

Redis publishes an event once, to the clients that listen at that moment. So events are lost while no worker listens:
when the owner dies, until another worker takes over, at most two seconds later.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import Any

import redis

from rededge_nb.edge.client import RETRY_DELAY, client_from_url, transact
from rededge_nb.edge.client.state_database import is_own_key
from rededge_nb.edge.gears.chain.readers import key_record, key_type
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import GearsForceStopped, own_server
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.state import statistics
from rededge_nb.edge.gears.state.executions import fields_of, remember_registered

logger = logging.getLogger(__name__)

NEEDED_EVENTS = "AEm"
"""Flags of `notify-keyspace-events` that we need: all events, with those of missing keys, by the event's name."""
LISTEN_TIMEOUT = 0.25
"""Longest wait for an event in seconds. A runner that is asked to stop notices it within this time."""


class KeysRunner:
    """Two threads that run one registration until stop(): one listens, one executes."""

    def __init__(self, executor: GearExecutor, draft: Draft, session_id: str) -> None:
        self.busy = False
        """Whether an execution is running."""
        self._executor = executor
        self._draft = draft
        self._lease = f"events of {draft.id}"
        self._client = client_from_url(executor.host.url, name="rededge-worker-events")
        self._client.response_callbacks.clear()
        self._stopping = threading.Event()
        self.listening = threading.Event()
        """Set while this worker receives events."""
        self._events: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._context = Context(executor, session_id=session_id)
        executor.leases.join(draft.id)
        self._threads = [
            threading.Thread(target=work, name=f"{name}-{draft.id}", daemon=True)
            for name, work in (("events", self._listen_until_stopped), ("gear", self._execute_until_stopped))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> bool:
        """Stop after the execution that is running; False if it has not ended within `timeout` seconds."""
        self._stopping.set()
        self._events.put(None)
        for thread in self._threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)

    def wait_until_listening(self, timeout: float) -> None:
        """Return when this worker receives events, or another one owns the registration."""
        deadline = time.monotonic() + timeout
        while not self.listening.wait(0.02) and time.monotonic() < deadline:
            if self._executor.leases.held_elsewhere(self._lease):
                return

    def _listen_until_stopped(self) -> None:
        leases = self._executor.leases
        while not self._stopping.is_set():
            try:
                if leases.acquire(self._draft.id, self._lease):
                    self._listen()
            except (redis.ConnectionError, redis.BusyLoadingError):
                pass  # tried again when Redis is back
            except redis.RedisError as error:
                logger.warning("registration %s: %s", self._draft.id, error)
                self._executor.report(self._draft.id, str(error))
            self._stopping.wait(RETRY_DELAY)
        try:
            leases.release(self._draft.id, self._lease)
            leases.leave(self._draft.id)
        except redis.RedisError as error:
            logger.info("the lease of registration %s runs out by itself: %s", self._draft.id, error)
        self._client.close()

    def _listen(self) -> None:
        """Receive events as long as this worker owns the registration."""
        enable_keyspace_events(self._client)
        connection = self._client.connection_pool.get_connection()
        prefix = f"__keyevent@{connection.db}__:"
        try:
            connection.send_command("PSUBSCRIBE", f"{prefix}*")
            connection.read_response()
            self.listening.set()
            while not self._stopping.is_set() and self._executor.leases.owns(self._draft.id, self._lease):
                if not connection.can_read(LISTEN_TIMEOUT):
                    continue
                _, _, channel, key = connection.read_response()
                event = channel.decode()[len(prefix) :]
                if self._matches(event, key):
                    self._events.put((event, key))
        finally:
            self.listening.clear()
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _matches(self, event: str, key: bytes) -> bool:
        arguments = self._draft.arguments
        pattern, events = arguments["regex"].encode(), arguments["eventTypes"]
        if pattern.endswith(b"*"):
            matches = key.startswith(pattern[:-1]) and not is_own_key(self._client, key)
        else:
            matches = key == pattern
        return matches and (events is None or event in events)

    def _execute_until_stopped(self) -> None:
        with entered(self._context):
            while (event := self._events.get()) is not None and not self._stopping.is_set():
                self.busy = True
                try:
                    self._execute(*event)
                except redis.RedisError as error:
                    logger.warning("registration %s, %s of %r: %s", self._draft.id, *event, error)
                except GearsForceStopped:
                    continue  # it was meant for an execution that had just ended
                except BaseException:  # the thread must go on, or no event is processed any more
                    logger.exception("registration %s", self._draft.id)
                finally:
                    self.busy = False

    def _execute(self, event: str, key: bytes) -> None:
        arguments, engine = self._draft.arguments, self._executor
        wanted = arguments["keyTypes"]
        if wanted is not None and key_type(self._client.execute_command, key) not in wanted:
            return

        def records() -> Any:
            read_value = bool(arguments["readValue"])
            with own_server():
                record = key_record(self._client.execute_command, key, event=event, read_value=read_value)
            yield record

        execution_id, outcome = engine.execute(self._context, self._draft, records)
        fields = fields_of(execution_id, outcome.status, self._executor.host.id, outcome, self._draft.steps)
        keep = engine.options.number("MaxExecutionsPerRegistration")
        client = engine.state_client
        counts = statistics.count_outcome(client, self._draft.id, outcome)
        transact(client, [*counts, remember_registered(client, self._draft.id, fields, keep=keep)])


def enable_keyspace_events(client: redis.Redis) -> None:
    """Let Redis publish the keyspace events that we need, in addition to those that are enabled.

    Raises:
        redis.ResponseError: this user may not change the setting.
    """
    name = "notify-keyspace-events"
    flags = client.execute_command("CONFIG", "GET", name)[1].decode()
    missing = "".join(flag for flag in NEEDED_EVENTS if flag not in flags)
    if missing:
        client.execute_command("CONFIG", "SET", name, flags + missing)
