"""The supervisor: the process that starts one redis-server and its workers, and restarts them when they die."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from rededge_nb import settings
from rededge_nb.edge.client import client_from_url, key_names
from rededge_nb.edge.processes import end_process, end_with_parent
from rededge_nb.edge.server import memory
from rededge_nb.edge.server.binaries import Binaries, find_binaries
from rededge_nb.edge.server.damage import damage
from rededge_nb.edge.server.redis_server import (
    STOP_TIMEOUT,
    free_port,
    port_is_free,
    start_redis,
    wait_until_ready,
    write_configuration,
)
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.edge.worker.command_table import module_arguments
from rededge_nb.errors import RedEdgeError, ServerError

logger = logging.getLogger(__name__)

WORKER_STOP_TIMEOUT = 10.0
"""Seconds in which a worker must finish the batches that its gears are processing."""
CHECK_INTERVAL = 0.1
"""Seconds between checks of the child processes."""
UNUSED_GRACE = 5.0
"""Seconds without a user after which an instance that was started with `while_used` ends."""
MAX_RESTARTS, RESTART_WINDOW = 8, 60.0
"""If child processes die more often than this within so many seconds, the instance ends."""
MAX_LOG_BYTES = 8_000_000
"""Size at which a log file is copied and truncated."""
HOLD_TIMEOUT = 2.0
"""Seconds to wait for the folder's lock: a process that only checks it holds it for a moment."""


class FolderHeldError(ServerError):
    """Another supervisor holds the state folder."""


class Supervisor:
    """Starts the child processes, checks them, and ends them."""

    def __init__(self, folder: StateFolder, *, port: int, workers: int, while_used: bool) -> None:
        self._folder = folder
        self._port = port
        self._worker_count = workers
        self._while_used = while_used
        self._stop = threading.Event()
        self._deaths: deque[float] = deque()
        self._instance: Instance | None = None

    def stop(self) -> None:
        """Ask run() to return."""
        self._stop.set()

    def run(self, ready: Callable[[Instance], None]) -> None:
        """Run until stop() is called.

        Args:
            ready: Called once, when the server answers.

        Raises:
            ServerError: A process could not be started, or died too often.
        """
        deadline = time.monotonic() + HOLD_TIMEOUT
        while True:
            with self._folder.hold() as held:
                if held:
                    return self._run_and_note_failure(ready)
            if time.monotonic() > deadline:
                raise FolderHeldError(f"another supervisor uses {self._folder.path}: see `rededge status`")
            self._stop.wait(0.02)

    def _run_and_note_failure(self, ready: Callable[[Instance], None]) -> None:
        try:
            self._run_held(ready)
        except RedEdgeError as error:
            self._folder.note_failure(str(error))
            raise
        except OSError as error:
            message = f"RedisEdge in {self._folder.path} cannot continue: {error}"
            self._folder.note_failure(message)
            raise ServerError(message) from error

    def _run_held(self, ready: Callable[[Instance], None]) -> None:
        _end_orphan(self._folder)
        binaries = find_binaries()
        port = self._choose_port()
        socket_path = self._folder.socket_path()
        write_configuration(
            self._folder, binaries, port=port, socket_path=socket_path, module_arguments=module_arguments()
        )
        server = start_redis(self._folder, binaries)
        workers: list[subprocess.Popen[bytes]] = []
        try:
            self._instance = self._new_instance(server, port, socket_path)
            # read once: a change of the password file applies from the next start
            url, worker_url = self._instance.url, self._instance.url_of("worker")
            self._wait_until_ready(server, binaries, url)
            _forget_workers(url)
            self._folder.record(self._instance)
            self._folder.forget_failure()
            workers = [self._start_worker(worker_url) for _ in range(self._worker_count)]
            ready(self._instance)
            unused_since = time.monotonic()
            while not self._stop.wait(CHECK_INTERVAL):
                if server.poll() is not None:
                    server = self._start_redis_again(server, binaries, url)
                for index, worker in enumerate(workers):
                    if worker.poll() is not None:
                        self._count_death(f"worker {worker.pid} (exit code {worker.returncode}) died")
                        workers[index] = self._start_worker(worker_url)
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
            with contextlib.suppress(OSError):  # the child processes must be ended in any case
                self._folder.instance_file.unlink(missing_ok=True)
            for worker in workers:
                worker.terminate()
            for worker in workers:
                end_process(worker, WORKER_STOP_TIMEOUT)
            end_process(server, STOP_TIMEOUT)
            if socket_path.parent != self._folder.path:
                with contextlib.suppress(OSError):
                    socket_path.parent.rmdir()

    def _start_redis_again(
        self, died: subprocess.Popen[bytes], binaries: Binaries, url: str
    ) -> subprocess.Popen[bytes]:
        """Start redis-server until it answers; returns the dead process if stop() is called meanwhile."""
        what = f"redis-server (exit code {died.returncode}) died"
        while True:
            self._count_death(what)
            if self._stop.is_set():
                return died
            server = start_redis(self._folder, binaries)
            try:
                self._wait_until_ready(server, binaries, url)
            except ServerError as error:
                end_process(server, STOP_TIMEOUT)
                what = str(error)
            else:
                self._update_record(redis_pid=server.pid)
                return server

    def _wait_until_ready(self, server: subprocess.Popen[bytes], binaries: Binaries, url: str) -> None:
        try:
            wait_until_ready(server, self._folder, url)
        except ServerError as error:
            damaged = damage(self._folder, binaries)
            if damaged is None:
                raise
            raise ServerError(damaged) from error

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
        )

    def _start_worker(self, url: str) -> subprocess.Popen[bytes]:
        with (self._folder.logs / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "rededge_nb.edge.worker"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # the password is in the environment, which only the owner can read, and not on the command line
                env=os.environ | {settings.REDIS_URL: url, settings.STATE_DIR: str(self._folder.path)},
                preexec_fn=end_with_parent(max_data_bytes=memory.worker_limit()),
            )

    def _count_death(self, what: str) -> None:
        """Record the death of a child and wait, longer each time; raise ServerError if it happens too often."""
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - RESTART_WINDOW:
            self._deaths.popleft()
        if len(self._deaths) > MAX_RESTARTS:
            raise ServerError(
                f"{what}: {len(self._deaths)} deaths within {RESTART_WINDOW:.0f} s, so the instance ends; "
                f"the reasons are in {self._folder.logs}"
            )
        logger.warning("%s: starting it again", what)
        if self._instance is not None:
            self._update_record(restarts=self._instance.restarts + 1, last_death=what)
        self._stop.wait(0.05 * 2 ** (len(self._deaths) - 1))

    def _update_record(self, **changes: Any) -> None:
        """Store what has changed; if the disk is full, the instance continues nevertheless."""
        if self._instance is not None:
            self._instance = dataclasses.replace(self._instance, **changes)
            try:
                self._folder.record(self._instance)
            except OSError as error:
                logger.error("the record of the instance cannot be written: %s", error)


def bound_logs(folder: StateFolder) -> None:
    """Copy and truncate each log file that is larger than MAX_LOG_BYTES; one copy is kept."""
    for log in folder.logs.glob("*.log"):
        if log.stat().st_size > MAX_LOG_BYTES:
            # Not renamed: the child processes would continue to write to the renamed file.
            try:
                shutil.copyfile(log, log.with_suffix(".log.1"))
            except OSError as error:
                logger.warning("%s is truncated without a copy: %s", log, error)
            os.truncate(log, 0)


def _forget_workers(url: str) -> None:
    """Delete heartbeats and leases of earlier workers: if the clock was set back, they would not expire for long."""
    client = client_from_url(url)
    try:
        for pattern in key_names.expiring_keys(client):
            for key in client.scan_iter(pattern, count=1000):
                client.delete(key)
    except redis.RedisError as error:
        raise ServerError(f"redis-server stopped answering: {error}") from error
    finally:
        client.close()


def _end_orphan(folder: StateFolder) -> None:
    """End a redis-server whose supervisor was killed, so that its port, socket and files are free."""
    stale = folder.recorded()
    if stale is None:
        return
    # identified by its working directory, because redis-server changes its command line
    working_directory = Path(f"/proc/{stale.redis_pid}/cwd")
    try:
        if working_directory.readlink() == folder.data.resolve():
            logger.warning("redis-server %d is still running without its supervisor: ending it", stale.redis_pid)
            os.kill(stale.redis_pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT
            while working_directory.readlink():
                if time.monotonic() > deadline:
                    os.kill(stale.redis_pid, signal.SIGKILL)
                time.sleep(0.02)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # it has ended, or its process id belongs to another process now
    folder.instance_file.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Run as a detached process, in a fork.

    Writes to the file descriptor `--ready-fd` when the instance is ready, or why it is not.
    """
    parser = argparse.ArgumentParser(prog="python -m rededge_nb.edge.server.supervisor")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--while-used", action="store_true")
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args(argv)
    if os.fork():
        return 0  # The starting process waits for the end of this one; the supervisor is no child of it.
    os.setsid()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    supervisor = Supervisor(
        StateFolder(options.dir), port=options.port, workers=options.workers, while_used=options.while_used
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
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


if __name__ == "__main__":
    sys.exit(main())
