"""The redis-server process: its configuration and its start."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.processes import PRIVATE_UMASK, end_with_parent
from rededge_nb.edge.server import memory
from rededge_nb.edge.server.binaries import Binaries, openssl11_folder
from rededge_nb.edge.server.logs import log_tail, open_log
from rededge_nb.edge.server.state import StateFolder
from rededge_nb.errors import ServerError

READY_TIMEOUT = 60.0
"""Seconds until redis-server must have loaded its data and answer; a large append-only file takes some time."""
ANSWER_TIMEOUT = 5.0
"""Seconds to wait for the answer to one PING."""
STOP_TIMEOUT = 20.0
"""Seconds until redis-server must have written its data and ended."""
REWRITE_MIN_SIZE = "64mb"
"""The append-only file is rewritten when its size has doubled and is above this. Deleted frames are removed from it
then, so it remains below about twice the data in memory plus this size."""


def free_port() -> int:
    """A TCP port of the loopback interface on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether redis-server could listen on 127.0.0.1:`port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write_configuration(
    folder: StateFolder,
    binaries: Binaries,
    *,
    port: int,
    socket_path: Path,
    module_arguments: Sequence[str],
    no_password: bool = False,
) -> None:
    """Write redis.conf. It contains the password, so only its owner can read it.

    Args:
        folder: The state folder.
        binaries: The files of the server and its modules.
        port: TCP port on the loopback interface.
        socket_path: The unix socket.
        module_arguments: The arguments of the switchboard module, from worker.command_table.
        no_password: Let every process of this computer in as the owner.

    Raises:
        ConfigurationError: The memory limit in the environment is not a size.
    """
    from rededge_nb.edge.server import users  # not above: it imports all commands

    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"unixsocket {quoted(socket_path)}",
        "unixsocketperm 700",
        "user default on nopass ~* &* +@all" if no_password else f"requirepass {quoted(folder.password())}",
        f"dir {quoted(folder.data)}",
        "daemonize no",
        # a worker that has vanished is noticed after about half a minute, so that it gets no more calls
        "tcp-keepalive 15",
        'save ""',
        "appendonly yes",
        "appendfsync everysec",
        "auto-aof-rewrite-percentage 100",
        f"auto-aof-rewrite-min-size {REWRITE_MIN_SIZE}",
        *memory.configuration_lines(),
        f"loadmodule {quoted(binaries.timeseries)}",
        *switchboard_lines(binaries.switchboard, module_arguments),
        *(users.configuration_line(user, folder.password(user)) for user in users.RULES),
    ]
    folder.write_private(folder.config_file, "\n".join(lines) + "\n")


def switchboard_lines(module: Path, arguments: Sequence[str]) -> list[str]:
    """The lines of redis.conf that load the edge module: once for RedisAI's part of INFO, and once for its commands.

    The latter is the last one: docker/redisedge.sh appends an argument to it.

    Args:
        module: Its file.
        arguments: Those of worker.command_table.
    """
    return [" ".join(["loadmodule", *map(quoted, (module, *words))]) for words in (("INFO", "ai"), arguments)]


def start_redis(folder: StateFolder, binaries: Binaries) -> subprocess.Popen[bytes]:
    """Start redis-server with the folder's redis.conf; use wait_until_ready() before sending commands."""
    environment = dict(os.environ)
    if binaries.needs_openssl11:
        environment["LD_LIBRARY_PATH"] = str(openssl11_folder(folder.path))
    with open_log(folder, "redis.log") as log:
        # Redis opens this file for each line, so that it may be deleted; what comes before goes to the same file
        logfile = ["--logfile", str(log.name)] if log.name != os.devnull else []
        return subprocess.Popen(
            [str(binaries.redis_server), str(folder.config_file), *logfile],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            umask=PRIVATE_UMASK,
            preexec_fn=end_with_parent(),
        )


def wait_until_ready(
    process: subprocess.Popen[bytes], folder: StateFolder, url: str, stop: threading.Event | None = None
) -> None:
    """Return when the server has loaded its data and answers PING, or when `stop` is set.

    Raises:
        ServerError: It ended, or did not answer within READY_TIMEOUT seconds.
    """
    deadline = time.monotonic() + READY_TIMEOUT
    client = client_from_url(url, timeout=ANSWER_TIMEOUT)
    try:
        while True:
            try:
                client.ping()
                return
            except (redis.ConnectionError, redis.TimeoutError) as error:
                reason = str(error)
            except redis.ResponseError:
                return  # an error is an answer, such as that the disk is full
            if stop is not None and stop.is_set():
                return
            try:
                process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    process.kill()
                    raise ServerError(
                        f"redis-server did not answer within {READY_TIMEOUT:.0f} s ({reason}); "
                        f"see {folder.logs / 'redis.log'}"
                    ) from None
            else:
                raise ServerError(
                    f"redis-server ended with exit code {process.returncode} while starting: {log_tail(folder)}"
                )
    finally:
        client.close()


def quoted(word: object) -> str:
    """A word quoted for redis.conf."""
    text = str(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
