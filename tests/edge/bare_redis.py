"""A redis-server with the switchboard and nothing else, on a unix socket in a folder of its own.

For a sanitizer build of the switchboard, REDEDGE_SWITCHBOARD_MODULE names it and REDEDGE_TEST_PRELOAD names the
libraries that redis-server must load before it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rededge_nb.edge.server.binaries import Binaries, find_binaries, openssl11_folder
from tests.waiting import wait_for

PRELOAD = "REDEDGE_TEST_PRELOAD"
PATIENCE = 20.0
"""Seconds until a reply that does not come fails a test."""


class BareRedis:
    """A running server."""

    def __init__(self, folder: Path, binaries: Binaries, options: list[str]) -> None:
        self.binaries = binaries
        self.folder = folder
        self.socket_path = str(folder / "redis.sock")
        self._wires: list[Wire] = []
        self._log = folder / "redis.log"
        environment = dict(os.environ)
        if binaries.needs_openssl11:
            environment["LD_LIBRARY_PATH"] = str(openssl11_folder(folder))
        if os.environ.get(PRELOAD):
            environment["LD_PRELOAD"] = os.environ[PRELOAD]
        command = [str(binaries.redis_server), "--port", "0", "--unixsocket", self.socket_path, "--dir", str(folder)]
        command += ["--save", "", "--enable-module-command", "yes", "--enable-debug-command", "yes", *options]
        self._command, self._environment = command, environment
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        with self.client() as client:
            wait_for(lambda: self._answers(client), timeout=PATIENCE, what="redis-server to answer")

    def restart(self) -> None:
        """Kill the server and start it again with the data that it has written."""
        self.close()
        self.start()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def client(self, *, protocol: int = 2) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=self.socket_path,
            protocol=protocol,
            socket_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )

    def wire(self, *, protocol: int = 2) -> Wire:
        """A connection that stays open until it or the server is closed."""
        self._wires.append(Wire(self.socket_path, protocol))
        return self._wires[-1]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nothing that arrives meanwhile is looked at before all of it is there."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)
        yield
        self.process.send_signal(signal.SIGCONT)

    def close_wires(self) -> None:
        while self._wires:
            self._wires.pop().close()

    def close(self) -> None:
        self.close_wires()
        self.process.kill()
        self.process.wait()

    def _answers(self, client: redis.Redis) -> bool:
        assert self.process.poll() is None, f"redis-server ended; its log:\n{self.log()}"
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


class Wire:
    """A connection that sends now and receives later, in values or in the very bytes."""

    def __init__(self, socket_path: str, protocol: int) -> None:
        self._connection = redis.UnixDomainSocketConnection(
            path=socket_path, protocol=protocol, socket_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
        )
        self._connection.connect()
        self.client_id: int = self.call("CLIENT", "ID")

    def send(self, *command: bytes | str | int) -> Wire:
        self._connection.send_command(*command)
        return self

    def receive(self) -> object:
        """The next reply; an error reply is raised."""
        return self._connection.read_response()

    def receive_error(self) -> str:
        """The next reply, which must be an error: its whole line without the minus sign."""
        line = self.receive_line()
        assert line.startswith("-"), f"an error was expected, and this came: {line}"
        return line[1:]

    def receive_line(self) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.receive_bytes(1)
        return line[:-2].decode()

    def receive_bytes(self, size: int) -> bytes:
        """Exactly so many bytes of what the server sends, or what there is when nothing more comes."""
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                break
            data += part
        return data

    def call(self, *command: bytes | str | int) -> object:
        return self.send(*command).receive()

    def close(self) -> None:
        self._connection.disconnect()

    @property
    def _socket(self) -> socket.socket:
        return self._connection._sock


@contextmanager
def bare_redis(*module_arguments: str, options: tuple[str, ...] = (), load: bool = True) -> Iterator[BareRedis]:
    """Start a server, with the switchboard loaded with `module_arguments` unless told not to; kill it on exit."""
    binaries = find_binaries()
    module = ["--loadmodule", str(binaries.switchboard), *module_arguments] if load else []
    folder = Path(tempfile.mkdtemp(prefix="rededge-"))  # short: the path of a unix socket has at most 107 characters
    try:
        server = BareRedis(folder, binaries, [*options, *module])
        try:
            yield server
        finally:
            server.close()
            print(server.log())  # shown by pytest beside a failure
    finally:
        shutil.rmtree(folder)
