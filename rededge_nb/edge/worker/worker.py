"""The worker: the process that answers the commands AI.* and RG.*, and runs the registered gears.

Some threads take calls from the switchboard, each from one queue; gears run in threads of their own. All state that
must survive the process is in Redis keys, so a worker can die at any time and another one continues its work.

A worker sends a heartbeat and renews its leases of streams in a thread that does nothing else: the other periodic work
may have to wait for a gear, and without renewal another worker would take over its streams.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import redis
from redis.exceptions import MovedError

from rededge_nb import settings
from rededge_nb.edge.ai.commands import COMMANDS as AI_COMMANDS
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.ai.storage import counts_of_workers, in_transactions
from rededge_nb.edge.client import (
    COMMAND_TIMEOUT,
    RETRY_DELAY,
    even_if_full,
    is_transient,
    key_names,
    max_value_bytes,
    worker_client,
)
from rededge_nb.edge.client.shard import describe_error
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.gears.commands import COMMANDS as GEARS_COMMANDS
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.gears.runtime import output
from rededge_nb.edge.package_code import own_code
from rededge_nb.edge.processes import on_signals
from rededge_nb.edge.switchboard.calls import HOOKS, Answered, Call, Command, CommandError, Target
from rededge_nb.edge.switchboard.resp import encode
from rededge_nb.edge.worker import camera_watch
from rededge_nb.edge.worker.command_table import TIMEOUTS_MS
from rededge_nb.edge.worker.health import WAIT_INTERVAL, Activity, Health
from rededge_nb.edge.worker.heartbeats import has_ended, own_process
from rededge_nb.edge.worker.hook_threads import HookThreads
from rededge_nb.edge.worker.output import bound_output
from rededge_nb.edge.worker.own_gears import OwnGears
from rededge_nb.edge.worker.partition import close_lost_connections
from rededge_nb.edge.worker.pending_replies import PendingReplies, PendingReply, is_busy
from rededge_nb.edge.worker.redis_ai_info import RedisAiInfo
from rededge_nb.errors import ConfigurationError

logger = logging.getLogger(__name__)

THREADS = {"ai": 2, "gears": 1, "executions": 3}
"""How many threads take calls from each queue; RedisGears has three execution threads, too."""
HEARTBEAT_INTERVAL = 0.3
"""Seconds between heartbeats, which also renew leases."""
HOUSEKEEPING_INTERVAL = 0.4
"""Seconds between checks for changed registrations; statistics are written at the same interval."""
HEARTBEAT_TTL_MS = 3_000
"""Milliseconds that a worker counts as alive after a heartbeat."""


class Worker:
    """One worker process: the objects that its commands work with, and its threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.health = Health(
            settings.reports_descriptor(),
            settings.hang_timeout(),
            {queue: limit / 1000 if limit else None for queue, limit in TIMEOUTS_MS.items()},
        )
        self.models = LoadedModels(self.client, while_loading=self.health.loading)
        self.engine = Engine(self)
        self.handlers: dict[str, Callable[[Call], object]] = {
            **{command.name: functools.partial(_answer, command, self.models) for command in AI_COMMANDS},
            **{command.name: functools.partial(_answer, command, self.engine) for command in GEARS_COMMANDS},
        }
        """The function that answers each command, by the command's name in upper case."""
        self.exit_code = 0
        """The exit code of the process; not 0 if it must be started again."""
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._pending_replies = PendingReplies(self.client)
        self._hook_threads = HookThreads(
            self.engine, self.health, self._pending_replies, self._as_call, self._encoded, self._stopping
        )
        self._clients: dict[int, redis.Redis] = {}
        self._clients_lock = threading.Lock()
        # If Redis hangs, a heartbeat must fail before this worker counts as hanging.
        patience = min(COMMAND_TIMEOUT, settings.hang_timeout() / 3 or COMMAND_TIMEOUT)
        self._heartbeat_client = worker_client(url, name="rededge-worker-heartbeat", timeout=patience)

    def client(self, db: int = 0) -> redis.Redis:
        """The worker's client of database `db`; safe to use from any thread."""
        with self._clients_lock:
            if db not in self._clients:
                self._clients[db] = worker_client(self.url, db=db, name="rededge-worker")
            return self._clients[db]

    def alive(self, worker_id: str) -> bool:
        """Whether the worker with that id, which may be this one, still sends heartbeats."""
        if worker_id == self.id:
            return True
        client = state_client(self.client())
        key = key_names.heartbeat(client, worker_id)
        heartbeat = client.get(key)
        if heartbeat is None or has_ended(heartbeat):
            return False
        # If the clock was set back, the heartbeat of a dead worker would remain for as long; so its time to live is
        # limited.
        client.pexpire(key, HEARTBEAT_TTL_MS, lt=True)
        return bool(client.exists(key))

    def stop(self) -> None:
        """Ask run() to end."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until stop() is called; then the batches that gears are processing are finished."""
        self._register_functions()
        threading.Thread(target=self.health.report_until, args=(self._ended,), name="health", daemon=True).start()
        threading.Thread(
            target=self._pending_replies.serve, args=(self._ended,), name="pending replies", daemon=True
        ).start()
        for queue, count in THREADS.items():
            for number in range(count):
                threading.Thread(target=self._serve, args=(queue,), name=f"{queue}-{number}", daemon=True).start()
        self._hook_threads.start()
        for work, name in (
            (self._send_heartbeats, "heartbeat"),
            (self._listen_for_aborts, "aborts"),
            (self._write_counts_when_asked, "counts"),
            (self._watch_cameras, "watch"),
        ):
            threading.Thread(target=work, name=name, daemon=True).start()
        if not self.url.startswith("unix:"):
            threading.Thread(
                target=close_lost_connections, args=(self.url, self._ended), name="partition", daemon=True
            ).start()
        self._repeat(
            (
                *self.engine.housekeeping(),
                OwnGears(self.engine).renew,
                self._flush_statistics,
                self._sweep_models,
                RedisAiInfo(self.url, self.models.queues).report,
            ),
            HOUSEKEEPING_INTERVAL,
            until=self._stopping,
        )
        self.engine.runners.stop()
        self._ended.set()

    def _register_functions(self) -> None:
        try:
            in_transactions.register(self.client())
        except redis.RedisError as error:
            logger.warning("AI.TENSORSET and AI.TENSORGET are refused inside MULTI: %s", error)

    def _send_heartbeats(self) -> None:
        # until _ended, not until _stopping: the leases must be kept while the last batches are finished
        self._repeat((self._send_heartbeat,), HEARTBEAT_INTERVAL, until=self._ended)

    def _watch_cameras(self) -> None:
        watch = camera_watch.CameraWatch(self.url, self.engine.leases, self.engine.state_client)
        self._repeat((watch.look,), camera_watch.INTERVAL, until=self._stopping)

    def _listen_for_aborts(self) -> None:
        self.engine.listen_for_aborts(self._stopping)

    def _write_counts_when_asked(self) -> None:
        counts_of_workers.serve(self.url, self._flush_statistics, self.client(), self._ended)

    def _repeat(self, works: Sequence[Callable[[], None]], interval: float, *, until: threading.Event) -> None:
        """Call all functions at an interval, whatever they raise: gears depend on the heartbeats and leases.

        An error is logged once, and again only after it has changed or gone away.
        """
        unavailable = False
        last_errors: dict[str, str] = {}
        while not until.wait(RETRY_DELAY if unavailable else interval):
            unavailable = False
            for work in works:
                try:
                    work()
                    last_errors.pop(work.__name__, None)
                except Exception as error:
                    message = f"{type(error).__name__}: {error}"
                    unavailable = is_transient(error)
                    if unavailable:
                        if "server" not in last_errors:
                            logger.warning("Redis is not available (%s): trying again until it is", error)
                        last_errors["server"] = message
                        break  # the other functions need the server, too
                    if last_errors.get(work.__name__) != message:
                        logger.error("%s failed", work.__name__, exc_info=error)
                    last_errors[work.__name__] = message
            else:
                last_errors.pop("server", None)

    def _send_heartbeat(self) -> None:
        try:
            client = state_client(self._heartbeat_client)
            busy = {queue: round(seconds, 1) for queue, seconds in self.health.busy_queues().items()}
            value = json.dumps({"process": own_process(), "busy": busy, "code": own_code()})
            key = key_names.heartbeat(client, self.id)
            client.execute_command(*even_if_full(key, "SET", key, value, "PX", HEARTBEAT_TTL_MS))
            self.engine.leases.renew()
            self.engine.publish_executions()
            self.health.heartbeat_sent()
        except MovedError as error:
            if not self._stopping.is_set():
                logger.error(
                    "the state of the workers has moved (%s): ending, the next worker starts afresh",
                    describe_error(error),
                )
            self.exit_code = 1
            self.stop()
        except Exception as error:
            self.health.heartbeat_failed(error, server_unavailable=is_transient(error))
            raise

    def _flush_statistics(self) -> None:
        self.models.statistics.flush(self.client)

    def _sweep_models(self) -> None:
        self.models.sweep()

    def _serve(self, queue: str) -> None:
        """Take calls from one queue and answer them, until stop() is called."""
        activity = self.health.watch(queue)
        while not self._stopping.is_set():
            client = worker_client(self.url, name=f"rededge-worker-{queue}")
            try:
                self._serve_connection(client.connection_pool.get_connection(), queue, activity)
            except (redis.ConnectionError, redis.BusyLoadingError) as error:
                logger.debug("queue %s: %s", queue, error)
            except redis.RedisError:
                logger.exception("queue %s: connecting again", queue)
            finally:
                client.close()
            activity.waiting()
            self._stopping.wait(RETRY_DELAY)

    def _serve_connection(self, connection: redis.Connection, queue: str, activity: Activity) -> None:
        connection.send_command("EDGE.NEXT", 1, queue)
        while True:
            while not connection.can_read(WAIT_INTERVAL):
                activity.waiting()
            try:
                calls = connection.read_response()
            except redis.ResponseError as error:
                if not is_busy(error):
                    raise
                # A new connection is not an option: without this one, the calls that it received would count as lost.
                self._stopping.wait(RETRY_DELAY)
                calls = None
            for values in calls or ():
                call = self._as_call(values)
                with activity.working(call.name):
                    outcome = self._outcome(call)
                if isinstance(outcome, Future):
                    outcome.add_done_callback(functools.partial(self._reply_later, call))
                    outcome = None  # or the result would stay in memory until this thread takes another call
                    connection.send_command("EDGE.NEXT", 1, queue)
                    continue
                payload = self._encoded(call, outcome)
                answer = ("EDGE.REPLY", call.id, payload)
                connection.send_packed_command(connection.pack_commands([answer, ("EDGE.NEXT", 1, queue)]))
                try:
                    connection.read_response()
                except redis.ResponseError as error:
                    if is_busy(error):
                        self._pending_replies.send_later(PendingReply(call.name, call.id, payload))
                        continue
                    logger.error("the reply to %s was refused: %s", call.name, error)
            if not calls:
                connection.send_command("EDGE.NEXT", 1, queue)

    def _as_call(self, values: list[Any]) -> Call:
        """A call as EDGE.NEXT returns it."""
        request_id, queue, client_id, resp, db, user, argv = values
        hooks = argv.pop(0).decode().split() if queue == HOOKS.encode() else ()
        return Call(
            name=argv[0].decode(errors="replace"),
            args=argv[1:],
            hooks=tuple(hooks),
            client_id=client_id,
            resp=resp,
            db=db,
            user=user.decode(errors="replace"),
            redis=self.client(db),
            id=request_id,
        )

    def _outcome(self, call: Call) -> object:
        """What the handler of a call returns, or the exception that it raises."""
        try:
            return self.handlers[call.name.upper()](call)
        except Exception as error:  # noqa: BLE001 - it becomes the reply
            return error

    def _encoded(self, call: Call, outcome: object) -> bytes:
        """The reply to a call in RESP; an exception becomes an error reply."""
        try:
            if isinstance(outcome, Exception) and not isinstance(outcome, CommandError):
                raise outcome
            payload = encode(outcome)
            limit = max_value_bytes(self.client(), len(payload))
            if len(payload) <= limit:
                return payload
            return encode(CommandError(f"ERR the reply has {len(payload)} bytes, but Redis accepts {limit} at most"))
        except redis.RedisError as error:
            logger.warning("%s failed with an error of Redis: %s", call.name, error)
            return encode(CommandError(f"ERR {error}"))
        except Exception as error:
            logger.exception("%s failed", call.name)
            return encode(CommandError(f"ERR {call.name} failed inside the worker: {type(error).__name__}: {error}"))

    def _reply_later(self, call: Call, done: Future[object]) -> None:
        """Answer a call whose handler returned a future, in the thread that completes the future."""
        outcome = done.exception() or done.result()
        if not isinstance(outcome, Answered):
            self._pending_replies.send(PendingReply(call.name, call.id, self._encoded(call, outcome)))


def _answer(command: Command[Target], target: Target, call: Call) -> object:
    return command.answer(call, target)


def _wait_for_server(url: str) -> None:
    """Return once the server answers, however long that takes."""
    client, logged = worker_client(url, name="rededge-worker", timeout=COMMAND_TIMEOUT), False
    while True:
        try:
            state_client(client)
            return
        except redis.RedisError as error:
            if not is_transient(error):
                raise
            if not logged:
                logger.warning("Redis is not available (%s): trying again until it is", error)
            logged = True
            time.sleep(RETRY_DELAY)


def main() -> int:
    """Run a worker for the server that REDIS_URL names, until SIGTERM."""
    bound_output()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    url = settings.redis_url()
    if url is None:
        print("rededge worker: set REDIS_URL to the address of the server", file=sys.stderr)
        return 2
    settings.disable_telemetry()  # for gears that import ONNX Runtime themselves
    try:
        _wait_for_server(url)
        worker = Worker(url)
    except ConfigurationError as error:
        print(f"rededge worker: {error}", file=sys.stderr)
        return 2
    except redis.RedisError as error:
        print(f"rededge worker: the server cannot be used: {error}", file=sys.stderr)
        return 1
    on_signals(worker.stop)
    output.install()
    logger.info("worker %s starts", worker.id)
    worker.run()
    logger.info("worker %s ends", worker.id)
    return worker.exit_code
