"""The supervisor: the process that starts one redis-server and its workers, and restarts them when they die or hang.

Nothing that happens to a worker ends Redis: workers are started again without end (children.py). The supervisor ends
only if it is asked to, if redis-server cannot be started, or if it is no longer responsible for the folder.

A redis-server that dies is started again. If that does not succeed, the supervisor tries for START_WINDOW, because the
reason may be temporary: a full disk, or no memory. It ends at once if the data is damaged, since then somebody must
decide.

A redis-server that does not answer for REDIS_HANG_FACTOR times the hang timeout is killed. The timeout is longer than
that of workers: a single command can take long, and killing Redis costs up to a second of data.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import IO, Any

import redis

from rededge_nb import settings
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.processes import PRIVATE_UMASK, end_process, on_signals, start_time
from rededge_nb.edge.server import memory
from rededge_nb.edge.server.binaries import Binaries, find_binaries
from rededge_nb.edge.server.children import FIRST_DELAY, MAX_DELAY, STABLE_AFTER, Child, describe_exit
from rededge_nb.edge.server.client_watch import ClientWatch
from rededge_nb.edge.server.clip_process import ClipProcess
from rededge_nb.edge.server.damage import damage, forget_sizes, missing_data, remember_sizes
from rededge_nb.edge.server.data_watch import DataWatch
from rededge_nb.edge.server.logs import bound_logs, open_log
from rededge_nb.edge.server.pings import Pings
from rededge_nb.edge.server.private_files import check_owner, remove_unfinished
from rededge_nb.edge.server.redis_server import (
    STOP_TIMEOUT,
    free_port,
    port_is_free,
    start_redis,
    wait_until_ready,
    write_configuration,
)
from rededge_nb.edge.server.server_events import note_event
from rededge_nb.edge.server.state import Instance, StateFolder, Trouble
from rededge_nb.edge.server.worker_process import WORKER_STOP_TIMEOUT, start_notifier, start_worker
from rededge_nb.errors import RedEdgeError, ServerError

logger = logging.getLogger(__name__)

CHECK_INTERVAL = 0.1
"""Seconds between checks of the child processes."""
REDIS_HANG_FACTOR = 4
"""A redis-server may be silent for this many times the hang timeout of workers."""
START_WINDOW = 300.0
"""Seconds during which the supervisor tries to start a redis-server that does not start any more."""
UNUSED_GRACE = 5.0
"""Seconds without a user after which an instance that was started with `while_used` ends."""
HOLD_TIMEOUT = 2.0
"""Seconds to wait for the folder's lock: a process that only checks it holds it for a moment."""


class FolderHeldError(ServerError):
    """Another supervisor holds the state folder."""


class DamagedDataError(ServerError):
    """redis-server cannot load its data, and somebody must decide what to do."""


class Supervisor:
    """Starts the child processes, checks them, and ends them."""

    def __init__(
        self,
        folder: StateFolder,
        *,
        port: int,
        workers: int,
        while_used: bool,
        no_password: bool = False,
        notify: Path | None = None,
    ) -> None:
        self._folder = folder
        self._port = port
        self._worker_count = workers
        self._while_used = while_used
        self._no_password = no_password
        self._notify = notify
        self._stop = threading.Event()
        self._instance: Instance | None = None
        self._redis_trouble: Trouble | None = None
        self._redis_started_at = 0.0
        self._workers: list[Child] = []
        self._data_watch: DataWatch | None = None

    def stop(self) -> None:
        """Ask run() to return."""
        self._stop.set()

    def run(self, ready: Callable[[Instance], None]) -> None:
        """Run until stop() is called.

        Args:
            ready: Called once, when the server answers.

        Raises:
            ServerError: redis-server could not be started, or not any more.
        """
        deadline = time.monotonic() + HOLD_TIMEOUT
        while True:
            with self._folder.hold() as held:
                if held is not None:
                    return self._run_and_note_failure(ready, held)
            if time.monotonic() > deadline:
                raise FolderHeldError(f"another supervisor uses {self._folder.path}: see `rededge status`")
            self._stop.wait(0.02)

    def _run_and_note_failure(self, ready: Callable[[Instance], None], lock: IO[bytes]) -> None:
        try:
            self._run_held(ready, lock)
        except (RedEdgeError, OSError) as error:
            message = str(error)
            if isinstance(error, OSError):
                message = f"RedisEdge in {self._folder.path} cannot continue: {error}"
            if self._folder.is_ours(lock):
                self._folder.note_failure(message)
            if isinstance(error, RedEdgeError):
                raise
            raise ServerError(message) from error

    def _run_held(self, ready: Callable[[Instance], None], lock: IO[bytes]) -> None:
        remove_unfinished(self._folder.path)
        _end_orphan(self._folder, self._stop)
        if self._stop.is_set():
            return
        from rededge_nb.edge.worker.command_table import module_arguments  # not above: it imports all commands

        binaries = find_binaries()
        self._check_data()
        port = self._choose_port()
        socket_path = self._folder.socket_path()
        write_configuration(
            self._folder,
            binaries,
            port=port,
            socket_path=socket_path,
            module_arguments=module_arguments(memory.max_call_bytes()),
            no_password=self._no_password,
        )
        server = start_redis(self._folder, binaries)
        watches: list[Pings | ClientWatch | DataWatch] = []
        try:
            self._instance = self._new_instance(server, port, socket_path)
            # read once: a change of the password file applies from the next start
            url, worker_url = self._instance.url, self._instance.url_of("worker")
            self._wait_until_ready(server, url)
            self._redis_started_at = time.monotonic()
            _forget_workers(url)
            self._folder.record(self._instance)
            self._folder.forget_failure()
            forget_sizes(self._folder)
            pings = Pings(url, script_timeout=REDIS_HANG_FACTOR * settings.hang_timeout())
            self._data_watch = DataWatch(url, self._folder)
            watches = [pings, ClientWatch(url), self._data_watch]
            self._workers = [self._new_worker(number + 1, worker_url, pings) for number in range(self._worker_count)]
            self._workers.append(ClipProcess(self._folder, worker_url, pings))
            if self._notify is not None:
                self._workers.append(self._new_notifier(self._notify, self._instance.url_of("notifier")))
            self._check_workers()
            ready(self._instance)
            unused_since = time.monotonic()
            while not self._stop.wait(CHECK_INTERVAL):
                self._check_files(lock)
                server = self._check_redis(server, binaries, url, pings)
                self._check_workers()
                if not self._while_used or self._folder.used():
                    unused_since = time.monotonic()
                elif time.monotonic() - unused_since > UNUSED_GRACE:
                    # In this order: a process that calls use() now either finds no instance, or is seen by the next
                    # line.
                    self._folder.instance_file.unlink()
                    if not self._folder.used():
                        logger.info("no process uses this instance any more: ending")
                        return
                    self._folder.record(self._instance)
                bound_logs(self._folder)
        finally:
            if self._folder.is_ours(lock):
                with contextlib.suppress(OSError):  # the child processes must be ended in any case
                    self._folder.instance_file.unlink(missing_ok=True)
            for watch in watches:
                watch.close()
            for worker in self._workers:
                worker.terminate()
            for worker in self._workers:
                worker.end(WORKER_STOP_TIMEOUT)
            end_process(server, STOP_TIMEOUT)
            if server.returncode == 0 and self._folder.is_ours(lock):
                remember_sizes(self._folder)
            if socket_path.parent != self._folder.path:
                with contextlib.suppress(OSError):
                    socket_path.parent.rmdir()

    def _new_worker(self, number: int, url: str, pings: Pings) -> Child:
        def start(reports: int, after_death: bool) -> subprocess.Popen[bytes]:
            with open_log(self._folder, "worker.log") as log:
                return start_worker(url, reports, after_death, log=log, state_dir=self._folder.path)

        return Child(f"worker {number}", start, hang_timeout=settings.hang_timeout(), server_answers=pings.answers)

    def _new_notifier(self, file: Path, url: str) -> Child:
        def start(_reports: int, _after_death: bool) -> subprocess.Popen[bytes]:
            with open_log(self._folder, "notifier.log") as log:
                return start_notifier(file, url, log=log)

        return Child("the notifier", start, hang_timeout=0.0)

    def _check_files(self, lock: IO[bytes]) -> None:
        """Check that nobody has deleted or moved what the instance needs.

        Raises:
            ServerError: The state folder is not at its path any more, so that another supervisor may start there.
        """
        if not self._folder.is_ours(lock):
            raise ServerError(
                f"the state folder {self._folder.path} was moved or deleted while RedisEdge was running: it has ended; "
                "if the folder was moved, its data is complete: name its new path with --dir"
            )
        with contextlib.suppress(OSError):  # without logs the instance continues
            self._folder.logs.mkdir(mode=0o700, exist_ok=True)
        problem = self._data_watch.problem if self._data_watch is not None else ""
        if self._instance is not None and problem != self._instance.problem:
            self._update_record(problem=problem)

    def _check_workers(self) -> None:
        for worker in self._workers:
            news = worker.check()
            if news is None:
                continue
            trouble = worker.trouble
            self._note(news, died=trouble is not None)
            if self._instance is not None and (trouble is None or trouble.deaths == 1):
                lost = "notifier_lost" if worker.name == "the notifier" else "worker_lost"
                kind, severity = (lost.replace("lost", "back"), "info") if trouble is None else (lost, "warning")
                note_event(self._instance.url, kind, severity, news)

    def _check_redis(
        self, server: subprocess.Popen[bytes], binaries: Binaries, url: str, pings: Pings
    ) -> subprocess.Popen[bytes]:
        """Start redis-server again if it has died or hangs; returns the process that runs now."""
        timeout = REDIS_HANG_FACTOR * settings.hang_timeout()
        if server.poll() is not None:
            reason = f"exit code {describe_exit(server.returncode)}"
        elif timeout and pings.silent_for() > timeout:
            reason = f"killed: it did not answer for {timeout:.0f} s"
            if pings.script_hangs:
                reason += " because of a script"
                for worker in self._workers:
                    worker.kill("its gears may have called a script that does not end")
            server.kill()
            server.wait()
        elif self._instance is not None and not self._instance.socket.exists():
            # Redis cannot make its socket again; its data is saved when it ends
            reason = "ended: its socket was deleted"
            end_process(server, STOP_TIMEOUT)
            if self._instance.socket.parent != self._folder.path:
                self._instance.socket.parent.mkdir(mode=0o700, exist_ok=True)
                check_owner(self._instance.socket.parent)
        else:
            if self._redis_trouble is not None and time.monotonic() - self._redis_started_at > STABLE_AFTER:
                self._redis_trouble = None
                self._note(f"redis-server has been running for {STABLE_AFTER:.0f} s", died=False)
            return server
        try:
            return self._start_redis_again(server, f"redis-server ({reason}) died", binaries, url)
        finally:
            self._redis_started_at = time.monotonic()
            pings.begin_again()

    def _start_redis_again(
        self, died: subprocess.Popen[bytes], reason: str, binaries: Binaries, url: str
    ) -> subprocess.Popen[bytes]:
        """Start redis-server until it answers; returns the dead process if stop() is called meanwhile.

        Raises:
            ServerError: Its data is damaged, or it could not be started within START_WINDOW.
        """
        began = time.monotonic()
        while True:
            before = self._redis_trouble
            deaths = before.deaths + 1 if before is not None else 1
            delay = min(FIRST_DELAY * 2 ** min(deaths - 1, 20), MAX_DELAY)
            since = before.since if before is not None else time.time()
            self._redis_trouble = Trouble("redis-server", since, deaths, reason, time.time() + delay)
            self._note(reason, died=True)
            if self._stop.wait(delay):
                return died
            self._check_data()
            server = start_redis(self._folder, binaries)
            try:
                self._wait_until_ready(server, url)
            except ServerError as error:
                end_process(server, STOP_TIMEOUT)
                if isinstance(error, DamagedDataError) or time.monotonic() - began > START_WINDOW:
                    raise ServerError(f"redis-server cannot be started any more: {error}") from error
                reason = str(error)
            else:
                self._update_record(redis_pid=server.pid, redis_start=start_time(server.pid))
                return server

    def _check_data(self) -> None:
        missing = missing_data(self._folder)
        if missing is not None:
            raise DamagedDataError(missing)

    def _wait_until_ready(self, server: subprocess.Popen[bytes], url: str) -> None:
        try:
            wait_until_ready(server, self._folder, url, self._stop)
        except ServerError as error:
            damaged = damage(self._folder)
            if damaged is None:
                raise
            raise DamagedDataError(damaged) from error

    def _choose_port(self) -> int:
        if self._port and not port_is_free(self._port):
            raise ServerError(
                f"port {self._port} of 127.0.0.1 is in use: stop the process that listens there, or choose another "
                "port with --port; --port 0 uses any free one"
            )
        if self._port:
            return self._port
        last = self._folder.last_port()
        return last if last and port_is_free(last) else free_port()

    def _new_instance(self, server: subprocess.Popen[bytes], port: int, socket_path: Path) -> Instance:
        return Instance(
            dir=self._folder.path,
            pid=os.getpid(),
            redis_pid=server.pid,
            port=port,
            socket=socket_path,
            started=time.time(),
            workers=self._worker_count,
            redis_start=start_time(server.pid),
            no_password=self._no_password,
        )

    def _note(self, news: str, *, died: bool) -> None:
        """Log that a child process has died or has recovered, and store it for `rededge status`."""
        logger.warning("%s", news)
        if self._instance is None:
            return
        troubles = [self._redis_trouble, *(worker.trouble for worker in self._workers)]
        self._update_record(
            restarts=self._instance.restarts + died,
            last_death=news if died else self._instance.last_death,
            troubles=tuple(trouble for trouble in troubles if trouble is not None),
        )

    def _update_record(self, **changes: Any) -> None:
        """Store what has changed; if the disk is full, the instance continues nevertheless."""
        if self._instance is not None:
            self._instance = dataclasses.replace(self._instance, **changes)
            try:
                self._folder.record(self._instance)
            except OSError as error:
                logger.error("the record of the instance cannot be written: %s", error)


def _forget_workers(url: str) -> None:
    """Delete heartbeats and leases of earlier workers: if the clock was set back, they would not expire for long."""
    client = client_from_url(url)
    try:
        state = state_client(client)
        for pattern in key_names.expiring_keys(state):
            for key in state.scan_iter(pattern, count=1000):
                state.delete(key)
    except redis.RedisError as error:
        raise ServerError(f"redis-server stopped answering: {error}") from error
    finally:
        client.close()


def _end_orphan(folder: StateFolder, stop: threading.Event) -> None:
    """End a redis-server whose supervisor was killed, so that its port, socket and files are free."""
    stale = folder.recorded()
    if stale is None:
        return
    # also identified by its working directory: records of earlier versions have no start time
    working_directory = Path(f"/proc/{stale.redis_pid}/cwd")
    try:
        if working_directory.readlink() == folder.data.resolve() and (
            not stale.redis_start or stale.redis_start == start_time(stale.redis_pid)
        ):
            logger.warning("redis-server %d is still running without its supervisor: ending it", stale.redis_pid)
            os.kill(stale.redis_pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT
            while working_directory.readlink():
                if time.monotonic() > deadline:
                    os.kill(stale.redis_pid, signal.SIGKILL)
                if stop.wait(0.02):
                    return  # the record remains for the next supervisor
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # it has ended, or its process id belongs to another process now
    folder.instance_file.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Run as a detached process, in a fork.

    Writes to the file descriptor `--ready-fd` when the instance is ready, or why it is not.
    """
    parser = argparse.ArgumentParser(prog="python -m rededge_nb.edge.server")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--no-password", action="store_true")
    parser.add_argument("--while-used", action="store_true")
    parser.add_argument("--notify", type=Path)
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args(argv)
    if os.fork():
        return 0  # The starting process waits for the end of this one; the supervisor is no child of it.
    os.setsid()
    os.umask(PRIVATE_UMASK)
    folder = StateFolder(options.dir)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        handlers=[WatchedFileHandler(folder.logs / "supervisor.log")],
    )
    supervisor = Supervisor(
        folder,
        port=options.port,
        workers=options.workers,
        while_used=options.while_used,
        no_password=options.no_password,
        notify=options.notify,
    )
    on_signals(supervisor.stop)
    with os.fdopen(options.ready_fd, "w") as ready:

        def answer(message: dict[str, str]) -> None:
            if not ready.closed:
                with contextlib.suppress(BrokenPipeError):
                    ready.write(json.dumps(message))
                    ready.flush()
                ready.close()

        try:
            supervisor.run(lambda _: answer({}))
        except RedEdgeError as error:
            logger.error("%s", error)
            answer({"error": type(error).__name__, "message": str(error)})
            return 1
    return 0
