"""The process that keeps an embedded RedisEdge going: one redis-server and its workers, restarted when they die."""

from __future__ import annotations

import argparse
import contextlib
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

from rededge_nb import settings
from rededge_nb.edge.binaries import find_binaries
from rededge_nb.edge.redis_process import (
    STOP_TIMEOUT,
    end_process,
    end_with_parent,
    free_port,
    port_is_free,
    start_redis,
    wait_until_ready,
    write_configuration,
)
from rededge_nb.edge.state import Instance, StateFolder
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
                    return self._run_held(ready)
            if time.monotonic() > deadline:
                raise FolderHeldError(f"another supervisor holds {self._folder.path}: `rededge status` tells about it")
            self._stop.wait(0.02)

    def _run_held(self, ready: Callable[[Instance], None]) -> None:
        _end_orphan(self._folder)
        binaries = find_binaries()
        port = self._choose_port()
        socket_path = self._folder.socket_path()
        write_configuration(self._folder, binaries, port=port, socket_path=socket_path)
        redis = start_redis(self._folder, binaries)
        workers: list[subprocess.Popen[bytes]] = []
        try:
            instance = self._instance(redis, port, socket_path)
            wait_until_ready(redis, self._folder, instance.url)
            self._folder.record(instance)
            workers = [self._start_worker(instance) for _ in range(self._worker_count)]
            ready(instance)
            unused_since = time.monotonic()
            while not self._stop.wait(LOOK_INTERVAL):
                if redis.poll() is not None:
                    self._count_death(f"redis-server (exit code {redis.returncode})")
                    redis = start_redis(self._folder, binaries)
                    instance = self._instance(redis, port, socket_path)
                    wait_until_ready(redis, self._folder, instance.url)
                    self._folder.record(instance)
                for index, worker in enumerate(workers):
                    if worker.poll() is not None:
                        self._count_death(f"worker {worker.pid} (exit code {worker.returncode})")
                        workers[index] = self._start_worker(instance)
                if not self._while_used or self._folder.used():
                    unused_since = time.monotonic()
                elif time.monotonic() - unused_since > UNUSED_GRACE:
                    # in this order: who locks now either finds no instance and waits, or is seen here
                    self._folder.instance_file.unlink()
                    if not self._folder.used():
                        logger.info("nobody uses this instance any more: ending")
                        return
                    self._folder.record(instance)
                bound_logs(self._folder)
        finally:
            self._folder.instance_file.unlink(missing_ok=True)
            for worker in workers:
                worker.terminate()
            for worker in workers:
                end_process(worker, WORKER_STOP_TIMEOUT)
            end_process(redis, STOP_TIMEOUT)
            if socket_path.parent != self._folder.path:
                with contextlib.suppress(OSError):
                    socket_path.parent.rmdir()

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

    def _instance(self, redis: subprocess.Popen[bytes], port: int, socket_path: Path) -> Instance:
        return Instance(
            dir=self._folder.path,
            pid=os.getpid(),
            redis_pid=redis.pid,
            port=port,
            socket=socket_path,
            started=time.time(),
            workers=self._worker_count,
        )

    def _start_worker(self, instance: Instance) -> subprocess.Popen[bytes]:
        with (self._folder.logs / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "rededge_nb.edge.worker"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # the password travels in the environment, which only the owner can read, never on a command line
                env=os.environ | {settings.REDIS_URL: instance.url, settings.STATE_DIR: str(self._folder.path)},
                preexec_fn=end_with_parent(),
            )

    def _count_death(self, what: str) -> None:
        """Note that a child died; wait a little longer each time, and give up when it happens too often."""
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - RESTART_WINDOW:
            self._deaths.popleft()
        if len(self._deaths) > MAX_RESTARTS:
            raise ServerError(
                f"{what} died, death number {len(self._deaths)} within {RESTART_WINDOW:.0f} s: giving up; "
                f"the reasons are in {self._folder.logs}"
            )
        logger.warning("%s died: starting it again", what)
        self._stop.wait(0.05 * 2 ** (len(self._deaths) - 1))


def bound_logs(folder: StateFolder) -> None:
    """Keep each log below MAX_LOG_BYTES, and one of its size before it."""
    for log in folder.logs.glob("*.log"):
        if log.stat().st_size > MAX_LOG_BYTES:
            # copied and cut, not renamed: the children go on writing to the file they have open
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def _end_orphan(folder: StateFolder) -> None:
    """End a redis-server that outlived its supervisor, so that its port, socket and files are free."""
    stale = folder.recorded()
    if stale is None:
        return
    command_line = Path(f"/proc/{stale.redis_pid}/cmdline")
    try:
        if str(folder.config_file).encode() in command_line.read_bytes():
            os.kill(stale.redis_pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT
            while command_line.exists() and command_line.read_bytes():
                if time.monotonic() > deadline:
                    os.kill(stale.redis_pid, signal.SIGKILL)
                time.sleep(0.02)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended by itself
    folder.instance_file.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Run as a detached process, in a fork of its own.

    Says on file descriptor `--ready-fd` when it is ready, or why it is not.
    """
    parser = argparse.ArgumentParser(prog="python -m rededge_nb.edge.supervisor")
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
