"""Starting, finding and stopping an embedded server.

Everything that an instance owns is in its state folder: unix socket, port number, passwords, logs and data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from rededge_nb import errors, settings
from rededge_nb.edge.server.logs import open_log
from rededge_nb.edge.server.private_files import check_owner
from rededge_nb.edge.server.redis_server import STOP_TIMEOUT
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.edge.server.supervisor import FolderHeldError, Supervisor
from rededge_nb.edge.server.worker_process import WORKER_STOP_TIMEOUT
from rededge_nb.errors import ServerError

START_TIMEOUT = 90.0
"""Seconds until a detached instance must be ready."""


def find(directory: Path | None = None) -> Instance | None:
    """The instance that runs in `directory` (default: the default state folder), or None."""
    return StateFolder(directory or settings.state_dir()).running()


def not_running(directory: Path | None = None) -> str:
    """The message if no instance is found, with the reason if the last one ended with an error."""
    path = directory or settings.state_dir()
    failure = StateFolder(path).failure()
    reason = f"; the last one ended with an error at {failure}" if failure else ""
    return f"no RedisEdge runs in {path}{reason}: start one with `rededge up --detach`"


def start(
    directory: Path | None = None,
    *,
    port: int = 0,
    workers: int = 1,
    while_used: bool = False,
    no_password: bool = False,
    notify: Path | None = None,
) -> Instance:
    """Start an instance as a process of its own, and return when it is ready. If one is running already, return that.

    Args:
        directory: The state folder; default: REDEDGE_DIR, or the user's state folder.
        port: TCP port on 127.0.0.1; 0 uses the last port again if it is free, or else any free port.
        workers: Number of worker processes.
        while_used: End the instance soon after the last process has closed its `StateFolder.use()`.
        no_password: Let every process of this computer in without a password, for programs that cannot send one.
        notify: The file of a notifier to run with it; None runs none.

    Raises:
        ServerError: It could not be started; the message says why.
    """
    folder = StateFolder(directory or settings.state_dir())
    folder.create()
    deadline, ours = time.monotonic() + START_TIMEOUT, False
    while True:
        running = folder.running()
        if running:
            if notify is not None and not ours:
                raise ServerError(
                    f"RedisEdge is running already in {running.dir}: run `rededge notify {notify}` beside it, "
                    "or stop it first (`rededge down`)"
                )
            return _checked(running, port, no_password=no_password)
        if not folder.held():
            failure = _spawn(
                folder, port=port, workers=workers, while_used=while_used, no_password=no_password, notify=notify
            )
            # If two processes start one at the same time, the second uses the instance of the first.
            ours = not failure
            if failure and failure["error"] != FolderHeldError.__name__:
                raise getattr(errors, failure["error"], ServerError)(failure["message"])
        elif time.monotonic() > deadline:
            raise ServerError(f"another supervisor uses {folder.path} and does not become ready; see {folder.logs}")
        else:
            time.sleep(0.02)


def _spawn(
    folder: StateFolder, *, port: int, workers: int, while_used: bool, no_password: bool, notify: Path | None
) -> dict[str, str]:
    """Start a supervisor and wait for its answer: empty if it is ready, or `error` (a class name) and `message`."""
    # -P: if the current folder has a rededge_nb (a checkout that was not built), the installed one must be used
    command = [sys.executable, "-P", "-m", "rededge_nb.edge.server", str(folder.path)]
    command += ["--port", str(port), "--workers", str(workers)]
    command += ["--while-used"] if while_used else []
    command += ["--no-password"] if no_password else []
    command += ["--notify", str(notify.absolute())] if notify is not None else []
    read_end, write_end = os.pipe()
    with open_log(folder, "supervisor.log") as log, os.fdopen(read_end) as answer:
        process = subprocess.Popen(
            [*command, "--ready-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(write_end,),
        )
        os.close(write_end)
        process.wait()
        message = answer.read()
    if not message:
        raise ServerError(f"the supervisor ended while starting; see {folder.logs / 'supervisor.log'}")
    said: dict[str, str] = json.loads(message)
    return said


def run(
    directory: Path | None = None,
    *,
    port: int = 0,
    workers: int = 1,
    no_password: bool = False,
    notify: Path | None = None,
) -> Supervisor:
    """A supervisor that can run in this process (`.run(ready)`), for `rededge up` in the foreground.

    Raises:
        ServerError: An instance is running in the folder already.
    """
    folder = StateFolder(directory or settings.state_dir())
    folder.create()
    running = folder.running()
    if running:
        raise ServerError(f"RedisEdge is running already in {folder.path} (process {running.pid}, port {running.port})")
    return Supervisor(folder, port=port, workers=workers, while_used=False, no_password=no_password, notify=notify)


def stop(directory: Path | None = None) -> bool:
    """Stop the instance in `directory` and wait until it has ended; returns False if none was running.

    Raises:
        ServerError: It did not end in time.
    """
    folder = StateFolder(directory or settings.state_dir())
    check_owner(folder.path)
    if not folder.held():
        return False
    folder.end_supervisor()
    deadline = time.monotonic() + WORKER_STOP_TIMEOUT + STOP_TIMEOUT + 5
    while folder.held():
        if time.monotonic() > deadline:
            raise ServerError(f"the supervisor of {folder.path} does not end; see {folder.logs}")
        time.sleep(0.02)
    return True


def disk_use(directory: Path) -> int:
    """The size of all files in a state folder, in bytes."""
    total = 0
    for file in directory.rglob("*"):
        try:
            total += file.lstat().st_size
        except FileNotFoundError:
            continue  # the server has just replaced it
    return total


def _checked(instance: Instance, port: int, *, no_password: bool) -> Instance:
    if no_password and not instance.no_password:
        raise ServerError(
            f"RedisEdge is running already in {instance.dir}, and asks for a password: stop it first (`rededge down`)"
        )
    if port not in (0, instance.port):
        raise ServerError(
            f"RedisEdge is running already in {instance.dir} on port {instance.port}, not {port}: "
            "stop it first (`rededge down`)"
        )
    return instance
