"""Threads that take commands with hooks from the switchboard, and run the hooks.

Each thread runs the hooks itself: to hand a command to another thread and its reply back takes as long as the hook.
Hooks may wait for futures, for models and for Redis. So when all threads are running hooks, one more begins.

The reply is sent together with the statistics of the execution, and with the request for the next command.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import redis

from rededge_nb.edge.client import RETRY_DELAY, check, send, worker_client
from rededge_nb.edge.client.state_database import database_of
from rededge_nb.edge.gears.commands.hooks import run_hook
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.switchboard.calls import HOOKS, Call
from rededge_nb.edge.worker.health import WAIT_INTERVAL, Activity, Health
from rededge_nb.edge.worker.pending_replies import PendingReplies, PendingReply, is_busy

logger = logging.getLogger(__name__)

MAX_THREADS = 100
"""How many hooks may run at the same time in a worker; then further commands wait."""
MAX_BYTES_AT_ONCE = 256 * 1024
"""Replies up to so many bytes are sent together with the statistics."""
NEXT = ("EDGE.NEXT", 1, HOOKS)


class HookThreads:
    """The threads of one worker.

    Args:
        engine: Runs the hooks.
        health: Watches the threads.
        pending_replies: Sends the replies that Redis does not accept at once.
        as_call: Makes a call of what EDGE.NEXT returns.
        encoded: Encodes the reply of a call, or the exception that a hook raised.
        stopping: When it is set, the threads take no more commands.
    """

    def __init__(
        self,
        engine: Engine,
        health: Health,
        pending_replies: PendingReplies,
        as_call: Callable[[list[object]], Call],
        encoded: Callable[[Call, object], bytes],
        stopping: threading.Event,
    ) -> None:
        self._engine = engine
        self._health = health
        self._pending_replies = pending_replies
        self._as_call = as_call
        self._encoded = encoded
        self._stopping = stopping
        self._started = 0
        self._waiting = 0
        """How many threads wait for a command, or are about to."""
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the first thread."""
        with self._lock:
            self._start_one()

    def _start_one(self) -> None:
        self._waiting += 1
        threading.Thread(target=self._serve, name=f"hooks-{self._started}", daemon=True).start()
        self._started += 1

    def _serve(self) -> None:
        activity = self._health.watch(HOOKS)
        db = database_of(self._engine.state_client)
        client = worker_client(self._engine.host.url, name="rededge-worker-hooks", db=db, timeout=WAIT_INTERVAL)
        while not self._stopping.is_set():
            try:
                self._serve_connection(client.connection_pool.get_connection(), activity)
            except (redis.ConnectionError, redis.BusyLoadingError) as error:
                logger.debug("hooks: %s", error)
            except Exception:  # the thread must go on, or hooked commands are not answered
                logger.exception("hooks: connecting again")
            client.connection_pool.disconnect()
            client.connection_pool.reset()
            activity.waiting()
            self._stopping.wait(RETRY_DELAY)

    def _serve_connection(self, connection: redis.Connection, activity: Activity) -> None:
        send(connection, [NEXT])
        while True:
            calls = _receive(connection, activity)
            if isinstance(calls, redis.ResponseError):
                if not is_busy(calls):
                    raise calls
                # A new connection is not an option: without this one, its calls would count as lost.
                self._stopping.wait(RETRY_DELAY)
                calls = None
            for values in calls or ():
                self._run(connection, self._as_call(values), activity)
            if not calls:
                send(connection, [NEXT])

    def _run(self, connection: redis.Connection, call: Call, activity: Activity) -> None:
        """Run the hooks of a command, send its reply, and ask for the next command."""
        with self._lock:
            self._waiting -= 1
            if self._waiting == 0 and self._started < MAX_THREADS:
                self._start_one()
        try:
            with activity.working(call.name):
                reply, counts = run_hook(call, self._engine)
                payload = self._encoded(call, reply)
        finally:
            with self._lock:
                self._waiting += 1
        is_sent_now = len(payload) <= MAX_BYTES_AT_ONCE
        commands = [*counts, *([("EDGE.REPLY", call.id, payload)] if is_sent_now else [])]
        send(connection, [*commands, NEXT])
        replies = [_receive(connection, activity) for _ in commands]
        try:
            check(replies)
        except redis.ResponseError as error:
            logger.warning("a hook on %s: %s", call.name, error)
        if not is_sent_now or (isinstance(replies[-1], redis.ResponseError) and is_busy(replies[-1])):
            self._pending_replies.send(PendingReply(call.name, call.id, payload))


def _receive(connection: redis.Connection, activity: Activity) -> Any:
    """The next reply, however long it takes; an error reply is returned, not raised."""
    while True:
        try:
            return connection.read_response(disconnect_on_error=False)
        except redis.TimeoutError:
            activity.waiting()
        except redis.ResponseError as error:
            return error
