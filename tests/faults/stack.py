"""A whole stack in processes of its own: server, capture and web, each started again as a user or systemd would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import redis

from rededge_nb import settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.redis_server import free_port
from rededge_nb.edge.server.state import Instance, StateFolder
from tests.paths import TOP

CLI = (sys.executable, "-P", "-m", "rededge_nb.cli")
RESTART_DELAY = 0.1
"""Seconds from the end of a service to its next start."""
END_TIMEOUT = 40.0
ANSWER_TIMEOUT = 5.0
MOST_LINES = 60
"""Of each log, when a test has failed."""


class Service:
    """A command that is started again whenever it ends (systemd's `Restart=always`)."""

    def __init__(self, name: str, command: list[str], *, log: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.starts = 0
        self._command = command
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    @property
    def pid(self) -> int | None:
        """Process id, None between two lives."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start it, and keep it going."""
        self._thread.start()

    def end(self) -> None:
        """Ask it to end, wait until it has, and start it no more."""
        self._over.set()
        if self._thread.ident is None:
            return
        deadline = time.monotonic() + END_TIMEOUT
        while self._thread.is_alive():
            process = self._process
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            self._thread.join(0.2)

    def _keep(self) -> None:
        while not self._over.is_set():
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
                )
            self.starts += 1
            self._process.wait()
            self._over.wait(RESTART_DELAY)


WEB_TOKEN = "a-token-of-the-tests"


class Stack:
    """Server, capture and web on a state folder of their own; a context manager that leaves nothing behind.

    Args:
        capture: What `rededge capture` is told. It starts with `services["capture"].start()`, the others at once.
        recorded: Whether the capture's frames are written down in the file `record`.
        hang_timeout: Seconds after which a worker that hangs is killed; by default as configured.
    """

    def __init__(
        self, folder: Path, *, capture: list[str], recorded: bool = False, hang_timeout: float | None = None
    ) -> None:
        self.folder = folder
        self.state = StateFolder(folder / "state")
        self.record = folder / "record"
        self.web_port = free_port()
        environment = {name: value for name, value in os.environ.items() if name != settings.REDIS_URL}
        environment |= {settings.STATE_DIR: str(self.state.path), settings.WEB_TOKEN: WEB_TOKEN, "PYTHONPATH": str(TOP)}
        if hang_timeout is not None:
            environment[settings.HANG_TIMEOUT] = str(hang_timeout)
        recording = [sys.executable, "-m", "tests.faults.recording", str(self.record)]
        commands = {
            "supervisor": [*CLI, "up"],
            "web": [*CLI, "web", "--port", str(self.web_port)],
            "capture": [*(recording if recorded else CLI), "capture", *capture],
        }
        self.services = {
            name: Service(name, command, log=folder / f"{name}.log", environment=environment)
            for name, command in commands.items()
        }
        self._client: redis.Redis | None = None
        self._seen: set[psutil.Process] = set()

    def __enter__(self) -> Self:
        for name in ("supervisor", "web"):
            self.services[name].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._note_processes()
        for name in ("capture", "web", "supervisor"):
            self.services[name].end()
        if kind is not None:
            self._print_logs()
        if self._client is not None:
            self._client.close()
        server.stop(self.state.path)
        _, alive = psutil.wait_procs(self._seen, timeout=END_TIMEOUT)
        for process in alive:
            process.kill()
        assert not alive, f"still there after their end: {alive}"

    def instance(self) -> Instance | None:
        """The server, if it runs and is ready."""
        return self.state.running()

    def client(self) -> redis.Redis:
        """A client that outlives the server; its commands may fail while that is away."""
        if self._client is None:
            url = f"unix://:{self.state.password()}@{self.state.path / 'redis.sock'}"
            self._client = client_from_url(url, timeout=ANSWER_TIMEOUT)
        return self._client

    def pids(self, name: str) -> list[int]:
        """Processes of that kind, now: `worker`, `redis`, or one of the services."""
        self._note_processes()
        if name in self.services:
            pid = self.services[name].pid
            return [] if pid is None else [pid]
        is_one = _is_worker if name == "worker" else _is_redis
        return [process.pid for process in self._children() if is_one(process)]

    def healthy(self) -> bool:
        """Whether the web server says that all is well."""
        return self.health() == ""

    def health(self) -> str:
        """What the web server says is wrong; empty if all is well."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}/healthz", timeout=ANSWER_TIMEOUT):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return f"{error.code} {error.read().decode(errors='replace').strip()}"
        except OSError as error:
            return f"the web server does not answer: {error}"

    def _print_logs(self) -> None:
        """For a test that has failed: pytest shows them beside its error."""
        for file in sorted((*self.folder.glob("*.log"), *self.state.logs.glob("*"))):
            if file.is_file():
                lines = file.read_text(errors="replace").splitlines()[-MOST_LINES:]
                print(f"--- {file.name}", *lines, sep="\n")

    def _children(self) -> list[psutil.Process]:
        pid = self.services["supervisor"].pid
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).children() if pid is not None else []
        return []

    def _note_processes(self) -> None:
        self._seen.update(self._children())


def _is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "rededge_nb.edge.worker" in process.cmdline()
    return False


def _is_redis(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == "redis-server" and process.status() != psutil.STATUS_ZOMBIE
    return False
