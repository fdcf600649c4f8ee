"""A server that does not answer leads to an error, and what may wait is waited for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from rededge_nb.connection import connect
from rededge_nb.edge.ai.commands import COMMANDS as AI_COMMANDS
from rededge_nb.edge.client import blocking_client, client_from_url, client_like, connection_of, reply_timeouts
from rededge_nb.edge.client.commands import replies_to
from rededge_nb.edge.client.reply_timeouts import REPLY_TIMEOUT, WAITING, WORKER_REPLY_TIMEOUT, reply_timeout
from rededge_nb.edge.gears.commands import COMMANDS as GEARS_COMMANDS
from rededge_nb.edge.server.state import Instance
from rededge_nb.edge.worker.command_table import GRACE_MS, TIMEOUTS_MS
from rededge_nb.errors import ServerUnavailableError
from tests.bare import BareServer, bare_server

SHORT = 0.5
LONGER = 3 * SHORT


@pytest.fixture(scope="module")
def server() -> Iterator[BareServer]:
    with bare_server() as started:
        yield started


@pytest.fixture
def client(server: BareServer) -> Iterator[redis.Redis]:
    with client_from_url(f"unix://{server.socket}") as opened:
        opened.flushall()
        yield opened


@pytest.fixture
def short_timeouts(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on; a busy machine may take longer for any command than they allow."""
    monkeypatch.setattr(reply_timeouts, "REPLY_TIMEOUT", SHORT)
    monkeypatch.setattr(reply_timeouts, "WORKER_REPLY_TIMEOUT", SHORT)


@pytest.fixture
def stopped(server: BareServer, client: redis.Redis, short_timeouts: None) -> Iterator[redis.Redis]:
    """A client of a server that keeps its connections, and does not answer."""
    os.kill(server.process.pid, signal.SIGSTOP)
    yield client
    os.kill(server.process.pid, signal.SIGCONT)


CALLS: dict[str, Callable[[redis.Redis], object]] = {
    "a command": lambda client: client.get("x"),
    "a command of a module": lambda client: client.execute_command("TS.GET", "x"),
    "a read that does not wait": lambda client: client.xread({"s": "0"}),
    "a read that waits for a moment": lambda client: client.xread({"s": "0"}, block=100),
    "a pipeline": lambda client: client.pipeline(transaction=False).get("x").get("y").execute(),
    "a transaction": lambda client: client.pipeline().set("x", 1).execute(),
    "a large value": lambda client: client.set("x", bytes(50_000_000)),
    "a client of another database": lambda client: client_like(client, db=1).get("x"),
    "commands of our own": lambda client: commands_of_our_own(client),
}


def commands_of_our_own(client: redis.Redis, *commands: tuple[object, ...]) -> object:
    with connection_of(client) as connection:
        return replies_to(connection, commands or [("GET", "x"), ("GET", "y")])


@pytest.mark.parametrize("what", CALLS)
def test_a_server_that_is_stopped_leads_to_an_error(stopped: redis.Redis, what: str) -> None:
    with pytest.raises(redis.TimeoutError):
        CALLS[what](stopped)


def test_after_an_error_replies_belong_to_their_commands(
    server: BareServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.mset({"x": 1, "y": 2})
    os.kill(server.process.pid, signal.SIGSTOP)
    with monkeypatch.context() as patched:
        patched.setattr(reply_timeouts, "REPLY_TIMEOUT", SHORT)
        with pytest.raises(redis.TimeoutError):
            client.get("x")
    os.kill(server.process.pid, signal.SIGCONT)
    assert [client.get("y"), client.get("x")] == [b"2", b"1"]


@pytest.mark.parametrize(
    "wait",
    [
        lambda client: client.xread({"s": "0"}, block=0),
        lambda client: client.xread({"s": "0"}, block=60_000),
        lambda client: client.blpop(["l"], 0),
        lambda client: commands_of_our_own(client, ("BLPOP", "l", 0)),
    ],
)
def test_what_waits_for_data_waits_longer(
    server: BareServer, client: redis.Redis, short_timeouts: None, wait: Callable[[redis.Redis], object]
) -> None:
    with server.client() as other:

        def add() -> None:
            other.xadd("s", {"n": 1})
            other.rpush("l", 1)

        timer = threading.Timer(LONGER, add)
        timer.start()
        assert wait(client)
        timer.join()


def test_a_message_is_waited_for(server: BareServer, client: redis.Redis, short_timeouts: None) -> None:
    with client.pubsub() as subscription, server.client() as other:
        subscription.subscribe("news")
        timer = threading.Timer(LONGER, other.publish, ("news", "x"))
        timer.start()
        messages = subscription.listen()
        assert [next(messages)["type"], next(messages)["data"]] == ["subscribe", b"x"]
        timer.join()


def test_a_gear_may_take_any_time(edge: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(edge.url) as client:
        monkeypatch.setattr(reply_timeouts, "WORKER_REPLY_TIMEOUT", SHORT)
        script = f"import time\nGB('ShardsIDReader').map(lambda r: time.sleep({LONGER})).count().run()"
        assert client.execute_command("RG.PYEXECUTE", script) == [[b"1"], []]


def test_the_error_is_one_of_the_package(stopped: redis.Redis) -> None:
    path = stopped.connection_pool.connection_kwargs["path"]
    with pytest.raises(ServerUnavailableError, match="cannot be used: Timeout"):
        connect(f"unix://{path}")


def test_a_timeout_for_all_commands_applies_to_those_that_wait(server: BareServer, client: redis.Redis) -> None:
    with client_from_url(f"unix://{server.socket}", timeout=SHORT) as strict, pytest.raises(redis.TimeoutError):
        strict.blpop(["none"], 0)
    with blocking_client(client) as reader:
        reader.connection_pool.connection_kwargs["socket_timeout"] = SHORT
        with pytest.raises(redis.TimeoutError):
            reader.blpop(["none"], 0)


@pytest.mark.parametrize(
    ("command", "timeout"),
    [
        (("GET", "x"), REPLY_TIMEOUT),
        (("TS.MRANGE", "-", "+"), REPLY_TIMEOUT),
        ((b"get", "x"), REPLY_TIMEOUT),
        (("CLIENT LIST",), REPLY_TIMEOUT),
        (("XREAD", "COUNT", 1, "STREAMS", "block", 0), REPLY_TIMEOUT),
        (("xreadgroup", "GROUP", "g", "c", "block", "2500", "STREAMS", "s", ">"), REPLY_TIMEOUT + 2.5),
        ((b"XREAD", b"BLOCK", b"0", b"STREAMS", b"s", b"$"), None),
        (("XREAD", "BLOCK", "x", "STREAMS", "s", "$"), REPLY_TIMEOUT),
        (("AI.MODELEXECUTE", "m"), WORKER_REPLY_TIMEOUT),
        (("rg.dumpregistrations",), WORKER_REPLY_TIMEOUT),
        (("RG.PYEXECUTE", "GB().run()"), None),
        (("EDGE.NEXT", "gears", 1000), None),
    ],
)
def test_the_timeout_depends_on_the_command(command: tuple[object, ...], timeout: float | None) -> None:
    assert reply_timeout(command) == timeout


def test_a_worker_gets_the_time_that_the_switchboard_gives_it() -> None:
    longest = max(TIMEOUTS_MS.values()) + GRACE_MS
    assert longest / 1000 < WORKER_REPLY_TIMEOUT
    without_limit = {each.name for each in (*AI_COMMANDS, *GEARS_COMMANDS) if TIMEOUTS_MS[each.queue] == 0}
    assert without_limit
    assert without_limit <= WAITING
