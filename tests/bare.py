"""A redis-server with RedisTimeSeries and nothing else, for tests of what needs no gear.

A test module says `pytest_plugins = ("tests.bare_fixtures",)` and takes the fixture `bare_client`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import redis

from rededge_nb import settings
from rededge_nb.edge.server.binaries import find_binaries, openssl11_folder
from tests.waiting import wait_for


class BareServer:
    def __init__(self, folder: Path, *, timeseries: bool = True) -> None:
        # A switchboard is not needed here, so that it need not be built either.
        with mock.patch.dict(os.environ, {settings.SWITCHBOARD_MODULE: __file__}):
            binaries = find_binaries()
        self.socket = folder / "s"
        command = [binaries.redis_server, "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", folder]
        command += ["--loadmodule", binaries.timeseries] if timeseries else []
        environment = dict(os.environ)
        if binaries.needs_openssl11:
            environment["LD_LIBRARY_PATH"] = str(openssl11_folder(folder))
        self._command, self._environment, self._log = command, environment, folder / "log"
        self.start_again()

    def start_again(self) -> None:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        client = self.client()
        wait_for(lambda: self._answers(client), what=f"the server; its log: {self._log.read_text()[-500:]}")
        client.close()

    def client(self, protocol: int = 2) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), protocol=protocol, retry=None)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @staticmethod
    def _answers(client: redis.Redis) -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def bare_server(*, timeseries: bool = True) -> Iterator[BareServer]:
    # Short: the path of a unix socket may have about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="rededge-"))
    server = BareServer(folder, timeseries=timeseries)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
