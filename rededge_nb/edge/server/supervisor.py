"""The process that keeps an embedded RedisEdge going: one redis-server and its workers, restarted when they die."""

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
"""Seconds for a worker to finish the batches it has in hand."""
LOOK_INTERVAL = 0.1
"""Seconds between looks at the children."""
UNUSED_GRACE = 5.0
"""Seconds without a user after which an instance started `while_used` ends."""
MAX_RESTARTS, RESTART_WINDOW = 8, 60.0
"""A child that dies more often than this many times in so many seconds is given up, and all ends."""
MAX_LOG_BYTES = 8_000_000
"""Size at which a log is begun anew."""
HOLD_TIMEOUT = 2.0
"""Seconds to try for the folder's lock, which somebody may be looking at."""


class FolderHeldError(ServerError):
    """Another supervisor has the state folder."""


class Supervisor:
    """Starts the children, watches them, ends them."""

    def __init__(self, folder: StateFolder, *, port: int, workers: int, while_used: bool) -> None:
        self._folder = folder
        self._port = port
        self._worker_count = workers
        self._while_used = while_used
        self._stop = threading.Event()
        self._deaths: deque[float] = deque()
        self._instance: Instance | None = None

    def stop(self) -> None:
        """Ask run() to end."""
        self._stop.set()

    def run(self, ready: Callable[[Instance], None]) -> None:
        """Run until stop() is called, calling `ready` once when everything answers.

        Raises:
            ServerError: something could not be started, or died too often.
        """
        deadline = time.monotonic() + HOLD_TIMEOUT
        while True:
            with self._folder.hold() as held:
                if held:
                    return self._run_and_note_failure(ready)
            if time.monotonic() > deadline:
                raise FolderHeldError(f"another supervisor holds {self._folder.path}: `rededge status` tells about it")
            self._stop.wait(0.02)

    def _run_and_note_failure(self, ready: Callable[[Instance], None]) -> None:
        try:
            self._run_held(ready)
        except RedEdgeError as error:
            self._folder.note_failure(str(error))
            raise
        except OSError as error:
            message = f"RedisEdge in {self._folder.path} cannot go on: {error}"
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
            # read once: whoever changes the password file changes the password of the next start
            url, worker_url = self._instance.url, self._instance.url_of("worker")
            self._wait_until_ready(server, binaries, url)
            _forget_workers(url)
            self._folder.record(self._instance)
            self._folder.forget_failure()
            workers = [self._start_worker(worker_url) for _ in range(self._worker_count)]
            ready(self._instance)
            unused_since = time.monotonic()
            while not self._stop.wait(LOOK_INTERVAL):
                if server.poll() is not None:
                    server = self._start_redis_again(server, binaries, url)
                for index, worker in enumerate(workers):
                    if worker.poll() is not None:
                        self._count_death(f"worker {worker.pid} (exit code {worker.returncode}) died")
                        workers[index] = self._start_worker(worker_url)
                if not self._while_used or self._folder.used():
                    unused_since = time.monotonic()
                elif time.monotonic() - unused_since > UNUSED_GRACE:
                    # in this order: who locks now either finds no instance and waits, or is seen here
                    self._folder.instance_file.unlink()
                    if not self._folder.used():
                        logger.info("nobody uses this instance any more: ending")
                        return
                    self._folder.record(self._instance)
                bound_logs(self._folder)
        finally:
            with contextlib.suppress(OSError):  # the children end all the same
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
        """Start redis-server until it answers; gives the dead one if stop() is called meanwhile."""
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
                self._tell(redis_pid=server.pid)
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
                f"port {self._port} of 127.0.0.1 is taken: stop what listens there, name another with --port, "
                "or take --port 0 for any free one"
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
                # the password travels in the environment, which only the owner can read, never on a command line
                env=os.environ | {settings.REDIS_URL: url, settings.STATE_DIR: str(self._folder.path)},
                preexec_fn=end_with_parent(max_data_bytes=memory.worker_limit()),
            )

    def _count_death(self, what: str) -> None:
        """Note that a child died; wait a little longer each time, and give up when it happens too often."""
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - RESTART_WINDOW:
            self._deaths.popleft()
        if len(self._deaths) > MAX_RESTARTS:
            raise ServerError(
                f"{what}, death number {len(self._deaths)} within {RESTART_WINDOW:.0f} s: giving up; "
                f"the reasons are in {self._folder.logs}"
            )
        logger.warning("%s: starting it again", what)
        if self._instance is not None:
            self._tell(restarts=self._instance.restarts + 1, last_death=what)
        self._stop.wait(0.05 * 2 ** (len(self._deaths) - 1))

    def _tell(self, **changes: Any) -> None:
        """Write down what has changed of the instance; a full disk keeps nobody from going on."""
        if self._instance is not None:
            self._instance = dataclasses.replace(self._instance, **changes)
            try:
                self._folder.record(self._instance)
            except OSError as error:
                logger.error("what runs cannot be written down: %s", error)


def bound_logs(folder: StateFolder) -> None:
    """Keep each log below MAX_LOG_BYTES, and one of its size before it."""
    for log in folder.logs.glob("*.log"):
        if log.stat().st_size > MAX_LOG_BYTES:
            # copied and cut, not renamed: the children go on writing to the file they have open
            try:
                shutil.copyfile(log, log.with_suffix(".log.1"))
            except OSError as error:
                logger.warning("%s is begun anew without a copy: %s", log, error)
            os.truncate(log, 0)


def _forget_workers(url: str) -> None:
    """Delete what workers of an earlier run left; after a clock went back they would count as alive for long."""
    client = client_from_url(url)
    try:
        for pattern in key_names.expiring_keys(client):
            for key in client.scan_iter(pattern, count=1000):
                client.delete(key)
    except redis.RedisError as error:
        raise ServerError(f"redis-server answered, and then did not: {error}") from error
    finally:
        client.close()


def _end_orphan(folder: StateFolder) -> None:
    """End a redis-server that outlived its supervisor, so that its port, socket and files are free."""
    stale = folder.recorded()
    if stale is None:
        return
    # by its working directory: redis-server writes a command line of its own
    working_directory = Path(f"/proc/{stale.redis_pid}/cwd")
    try:
        if working_directory.readlink() == folder.data.resolve():
            logger.warning("redis-server %d has outlived its supervisor: ending it", stale.redis_pid)
            os.kill(stale.redis_pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT
            while working_directory.readlink():
                if time.monotonic() > deadline:
                    os.kill(stale.redis_pid, signal.SIGKILL)
                time.sleep(0.02)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # it has ended by itself, or its number is somebody else's by now
    folder.instance_file.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Run as a detached process, in a fork of its own.

    Says on file descriptor `--ready-fd` when it is ready, or why it is not.
    """
    parser = argparse.ArgumentParser(prog="python -m rededge_nb.edge.server.supervisor")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--while-used", action="store_true")
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args(argv)
    if os.fork():
        return 0  # whoever started this waits for its end; what goes on is nobody's child
    os.setsid()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    supervisor = Supervisor(
        StateFolder(options.dir), port=options.port, workers=options.workers, while_used=options.while_used
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    with os.fdopen(options.ready_fd, "w") as ready:

        def say(message: dict[str, str]) -> None:
            if not ready.closed:
                with contextlib.suppress(BrokenPipeError):
                    ready.write(json.dumps(message))
                    ready.flush()
                ready.close()

        try:
            supervisor.run(lambda _: say({}))
        except RedEdgeError as error:
            logger.error("%s", error)
            say({"error": type(error).__name__, "message": str(error)})
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
