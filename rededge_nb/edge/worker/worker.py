"""The process that answers AI.* and RG.* and runs the registered gears.

Threads take calls from the switchboard, each from one queue; gears run in threads of their own. All state that must
outlive the process is in Redis keys, so any worker can die and another carries on.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import redis
from redis.exceptions import MovedError

from rededge_nb import settings
from rededge_nb.edge.ai.commands import COMMANDS as AI_COMMANDS
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.ai.tensors import MAX_BYTES
from rededge_nb.edge.client import RETRY_DELAY, client_from_url, is_transient, key_names
from rededge_nb.edge.client.shard import describe_error
from rededge_nb.edge.gears.commands import COMMANDS as GEARS_COMMANDS
from rededge_nb.edge.gears.engine import Engine
from rededge_nb.edge.switchboard.calls import Answered, Call, Command, CommandError, Target
from rededge_nb.edge.switchboard.resp import encode
from rededge_nb.edge.worker.own_gears import OwnGears
from rededge_nb.edge.worker.pending_replies import PendingReplies, PendingReply, is_busy

logger = logging.getLogger(__name__)

THREADS = {"ai": 2, "gears": 1, "executions": 3}
"""Threads that take calls, by queue: as many runs at once as RedisGears has execution threads."""
BEAT_INTERVAL = 0.3
"""Seconds between signs of life, which renew leases too."""
ROUND_INTERVAL = 0.4
"""Seconds between looks for changed registrations; statistics are written then too."""
SURELY_TAKEN = 1024**2 - 1024
"""Bytes of a reply that every server takes: proto-max-bulk-len is 1 MB at least."""
LIFE_MS = 3_000
"""How long a worker counts as alive after its last sign of life."""


class Worker:
    """One worker process: what its commands work with, and the threads that take calls."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.models = LoadedModels(self.client)
        self.engine = Engine(self)
        self.handlers: dict[str, Callable[[Call], object]] = {
            **{command.name: functools.partial(_answer, command, self.models) for command in AI_COMMANDS},
            **{command.name: functools.partial(_answer, command, self.engine) for command in GEARS_COMMANDS},
        }
        """What answers each command, by its upper-case name."""
        self.exit_code = 0
        """What the process is to end with; not 0 where it must be started again."""
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._pending_replies = PendingReplies(self.client)
        self._clients: dict[int, redis.Redis] = {}
        self._clients_lock = threading.Lock()

    def client(self, db: int = 0) -> redis.Redis:
        """The worker's own client of database `db`; safe to use from any thread."""
        with self._clients_lock:
            if db not in self._clients:
                self._clients[db] = client_from_url(self.url, db=db, name="rededge-worker")
            return self._clients[db]

    def alive(self, worker_id: str) -> bool:
        """Whether the worker of that id, perhaps this one, still gives signs of life."""
        if worker_id == self.id:
            return True
        key = key_names.heartbeat(self.client(), worker_id)
        # after the clock went back, the last sign of life of a dead worker would last long
        self.client().pexpire(key, LIFE_MS, lt=True)
        return bool(self.client().exists(key))

    def stop(self) -> None:
        """Ask run() to end."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until stop() is called; batches in hand are finished."""
        threading.Thread(
            target=self._pending_replies.serve, args=(self._ended,), name="late replies", daemon=True
        ).start()
        for queue, count in THREADS.items():
            for number in range(count):
                threading.Thread(target=self._serve, args=(queue,), name=f"{queue}-{number}", daemon=True).start()
        # apart from housekeeping, which may wait for a gear's batch to end: leases must not run out meanwhile
        for work, name in ((self._beat, "heartbeat"), (self._hear_aborts, "aborts")):
            threading.Thread(target=work, name=name, daemon=True).start()
        self._repeat(
            (*self.engine.housekeeping(), OwnGears(self.engine).renew, self._flush_statistics, self._sweep_models),
            ROUND_INTERVAL,
            until=self._stopping,
        )
        self.engine.runners.stop()
        self._ended.set()

    def _beat(self) -> None:
        # not until stop(): the leases must last until the batches in hand have ended
        self._repeat((self._show_life,), BEAT_INTERVAL, until=self._ended)

    def _hear_aborts(self) -> None:
        self.engine.listen_for_aborts(self._stopping)

    def _repeat(self, works: Sequence[Callable[[], None]], interval: float, *, until: threading.Event) -> None:
        """Do things in rounds, through absences of the server; one that fails does not keep the next from its turn."""
        server_away = False
        while not until.wait(RETRY_DELAY if server_away else interval):
            for work in works:
                try:
                    work()
                except redis.RedisError as error:
                    if not is_transient(error):
                        logger.exception("%s failed", work.__name__)
                        continue
                    if not server_away:
                        logger.warning("Redis is away (%s): trying again until it is back", error)
                    server_away = True
                    break
                except Exception:  # the worker must live on: others depend on its leases and signs of life
                    logger.exception("%s failed", work.__name__)
            else:
                server_away = False

    def _show_life(self) -> None:
        try:
            self.client().set(key_names.heartbeat(self.client(), self.id), 1, px=LIFE_MS)
            self.engine.leases.renew()
            self.engine.publish_executions()
        except MovedError as error:
            if not self._stopping.is_set():
                logger.error(
                    "what workers know has moved (%s): ending, the next worker starts afresh", describe_error(error)
                )
            self.exit_code = 1
            self.stop()

    def _flush_statistics(self) -> None:
        self.models.statistics.flush(self.client)

    def _sweep_models(self) -> None:
        self.models.sweep()

    def _serve(self, queue: str) -> None:
        """Take calls of one queue and answer them, for as long as the process lives."""
        while not self._stopping.is_set():
            client = client_from_url(self.url, name=f"rededge-worker-{queue}")
            try:
                self._serve_connection(client.connection_pool.get_connection(), queue)
            except (redis.ConnectionError, redis.BusyLoadingError) as error:
                logger.debug("queue %s: %s", queue, error)
            except redis.RedisError:
                logger.exception("queue %s: connecting anew", queue)
            finally:
                client.close()
            self._stopping.wait(RETRY_DELAY)

    def _serve_connection(self, connection: redis.Connection, queue: str) -> None:
        connection.send_command("CLIENT", "NO-EVICT", "ON")
        connection.read_response()
        connection.send_command("EDGE.NEXT", 1, queue)
        while True:
            try:
                calls = connection.read_response()
            except redis.ResponseError as error:
                if not is_busy(error):
                    raise
                # with this connection gone, the calls that it brought would count as lost
                self._stopping.wait(RETRY_DELAY)
                calls = None
            for request_id, _, client_id, resp, db, user, argv in calls or ():
                call = Call(
                    name=argv[0].decode(errors="replace"),
                    args=argv[1:],
                    client_id=client_id,
                    resp=resp,
                    db=db,
                    user=user.decode(errors="replace"),
                    redis=self.client(db),
                    id=request_id,
                )
                outcome = self._outcome(call)
                if isinstance(outcome, Future):
                    outcome.add_done_callback(functools.partial(self._reply_later, call))
                    connection.send_command("EDGE.NEXT", 1, queue)
                    continue
                payload = self._encoded(call, outcome)
                answer = ("EDGE.REPLY", request_id, payload)
                connection.send_packed_command(connection.pack_commands([answer, ("EDGE.NEXT", 1, queue)]))
                try:
                    connection.read_response()
                except redis.ResponseError as error:
                    if is_busy(error):
                        self._pending_replies.send_later(PendingReply(call.name, request_id, payload))
                        continue
                    logger.error("the reply to %s was refused: %s", call.name, error)
            if not calls:
                connection.send_command("EDGE.NEXT", 1, queue)

    def _outcome(self, call: Call) -> object:
        """What the handler of a call returns or raises."""
        try:
            return self.handlers[call.name.upper()](call)
        except Exception as error:  # noqa: BLE001 - it is told to the caller
            return error

    def _encoded(self, call: Call, outcome: object) -> bytes:
        """The reply to a call; whatever went wrong, the caller hears of it."""
        try:
            if isinstance(outcome, Exception) and not isinstance(outcome, CommandError):
                raise outcome
            payload = encode(outcome)
            limit = self._longest_reply() if len(payload) > SURELY_TAKEN else SURELY_TAKEN
            if len(payload) <= limit:
                return payload
            return encode(CommandError(f"ERR the reply has {len(payload)} bytes, and Redis takes {limit} at most"))
        except redis.RedisError as error:
            logger.warning("%s met an error of Redis: %s", call.name, error)
            return encode(CommandError(f"ERR {error}"))
        except Exception as error:
            logger.exception("%s failed", call.name)
            return encode(CommandError(f"ERR {call.name} failed inside the worker: {type(error).__name__}: {error}"))

    def _longest_reply(self) -> int:
        """Bytes that the server takes for one reply; it ends the connection of a worker that sends more."""
        try:
            told = self.client().config_get("proto-max-bulk-len")["proto-max-bulk-len"]
        except (redis.ResponseError, KeyError):
            return MAX_BYTES  # CONFIG is refused, as managed servers do; this is what Redis starts with
        return int(told or MAX_BYTES)

    def _reply_later(self, call: Call, done: Future[object]) -> None:
        """Answer a call whose handler returned a future, in the thread that completes it."""
        outcome = done.exception() or done.result()
        if not isinstance(outcome, Answered):
            self._pending_replies.send(PendingReply(call.name, call.id, self._encoded(call, outcome)))


def _answer(command: Command[Target], target: Target, call: Call) -> object:
    return command.answer(call, target)


def main() -> int:
    """Serve the server that REDIS_URL names until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    url = settings.redis_url()
    if url is None:
        print("rededge worker: set REDIS_URL to the server to work for", file=sys.stderr)
        return 2
    settings.disable_telemetry()  # for gears that import ONNX Runtime themselves
    worker = Worker(url)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    logger.info("worker %s starts", worker.id)
    worker.run()
    logger.info("worker %s ends", worker.id)
    return worker.exit_code
