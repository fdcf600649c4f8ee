"""Which connections are closed, and that our own are not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from rededge_nb import settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.server.client_watch import Connection, Rules, parse
from rededge_nb.edge.server.state import Instance, StateFolder
from tests.waiting import wait_for

MB = 1024**2


def connection(number: int, **fields: Any) -> Connection:
    defaults = {"ours": False, "waits": False, "user": "default", "held": 0, "age": 60, "idle": 1, "never_sent": False}
    return Connection(id=number, **(defaults | fields))


def closed(*connections: Connection, rules: Rules | None = None, now: float = 0.0, **limits: int) -> list[int]:
    limits = {"max_memory": 800 * MB, "max_clients": 100} | limits
    return sorted((rules or Rules()).to_close(connections, now=now, **limits))


def test_a_connection_that_holds_much_for_long_is_closed() -> None:
    rules, slow, large = Rules(), connection(1, held=5 * MB), connection(2, held=3 * MB)
    assert closed(slow, large, rules=rules, now=100.0) == []
    assert closed(slow, large, rules=rules, now=104.9) == []
    assert closed(slow, large, rules=rules, now=105.1) == [1]


def test_a_connection_that_reads_in_between_is_not_closed() -> None:
    rules = Rules()
    for second in range(30):
        held = 5 * MB if second % 4 else 0
        assert closed(connection(1, held=held), rules=rules, now=float(second)) == []


def test_together_they_may_hold_an_eighth_of_the_memory_and_the_largest_are_closed() -> None:
    connections = [connection(number, held=held * MB) for number, held in enumerate((30, 50, 20, 40))]
    assert closed(*connections) == [1]
    assert closed(*connections, max_memory=400 * MB) == [1, 3]
    assert closed(*connections, max_memory=0) == []


def test_connections_that_do_nothing_are_closed() -> None:
    assert closed(
        connection(1, never_sent=True, age=11),
        connection(2, never_sent=True, age=9),
        connection(3, idle=601),
        connection(4, idle=599),
        connection(5, idle=9_999, waits=True),
    ) == [1, 3]


def test_the_newest_connections_are_closed_if_there_are_too_many() -> None:
    connections = [connection(number) for number in range(81)]
    assert closed(*connections[:80]) == []
    assert closed(*connections) == list(range(60, 81))


@pytest.mark.parametrize("fields", [{"held": 500 * MB}, {"never_sent": True}, {"idle": 9_999}])
def test_our_own_connections_are_never_closed(fields: dict[str, Any]) -> None:
    rules, ours = Rules(), [connection(number, ours=True, **fields) for number in range(100)]
    assert closed(*ours, rules=rules) == []
    assert closed(*ours, rules=rules, now=1_000.0) == []


def test_a_line_of_client_list_is_parsed() -> None:
    line = (
        "id=7 addr=127.0.0.1:1 laddr=127.0.0.1:2 fd=9 name=a b=c age=12 idle=3 flags={} db=0 sub=0 qbuf=26 qbuf-free=9 "
        "argv-mem=10 omem=100 tot-mem=22 events=r cmd={} user=viewer redir=-1 resp=2\n"
    )
    (one,) = parse(line.format("N", "xrange"))
    assert one == connection(7, user="viewer", held=136, age=12.0, idle=3.0)
    assert parse(line.format("e", "x"))[0].ours
    assert parse(line.format("b", "x"))[0].waits
    assert parse(line.format("P", "x"))[0].waits
    assert parse(line.format("N", "NULL"))[0].never_sent


# ---- With a server of 64 MB ----


@pytest.fixture
def instance(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setenv(settings.MAX_MEMORY, "64mb")
    return server.start(folder)


@pytest.fixture
def owner(instance: Instance) -> Iterator[redis.Redis]:
    with client_from_url(instance.url) as opened:
        yield opened


def log_in(instance: Instance, user: str | None) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", instance.port), timeout=20)
    if user is not None:
        opened.sendall(f"AUTH {user} {StateFolder(instance.dir).password(user)}\r\n".encode())
        assert opened.recv(100) == b"+OK\r\n"
    return opened


def flood(opened: socket.socket, commands: bytes, until: Callable[[], bool]) -> None:
    """Send commands and read nothing, until the server closes the connection."""
    opened.settimeout(0.2)
    while not until():
        try:
            opened.sendall(commands)
        except TimeoutError:
            continue
        except OSError:
            return


@pytest.mark.parametrize(
    ("user", "commands"),
    [
        (None, b"PING\r\n" * 20_000),
        ("viewer", b"XRANGE camera:0 - +\r\n" * 50),
        ("viewer", b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$400000000\r\n" + bytes(1_000_000)),
        ("viewer", b"HGETALL x " + b"y" * 100_000),
    ],
)
@pytest.mark.parametrize("count", [1, 5])
def test_clients_that_do_not_read_or_do_not_end_a_command_take_no_memory_from_the_data(
    instance: Instance, owner: redis.Redis, user: str | None, commands: bytes, count: int
) -> None:
    for _ in range(10):
        owner.xadd("camera:0", {"image": bytes(1_000_000)})
    ends = time.monotonic() + 8.0
    threads = []
    with ExitStack() as stack:
        for _ in range(count):
            opened = stack.enter_context(log_in(instance, user))
            threads.append(threading.Thread(target=flood, args=(opened, commands, lambda: time.monotonic() > ends)))
            threads[-1].start()
        while time.monotonic() < ends and any(thread.is_alive() for thread in threads):
            owner.set("written", bytes(100))
        for thread in threads:
            thread.join()
    wait_for(lambda: owner.info("memory")["used_memory"] < 30 * MB, what="the memory to be free again")
    assert owner.execute_command("RG.PYEXECUTE", "GB('ShardsIDReader').run()") == [[b"1"], []]


def test_a_thousand_silent_connections_leave_room_for_others(instance: Instance, owner: redis.Redis) -> None:
    owner.config_set("maxclients", 300)
    with ExitStack() as stack:
        for _ in range(290):
            stack.enter_context(socket.create_connection(("127.0.0.1", instance.port), timeout=20))
        wait_for(lambda: owner.info("clients")["connected_clients"] < 240, what="room", timeout=30)
        with client_from_url(instance.tcp_url) as another:
            assert another.ping()


def test_our_own_clients_are_marked_and_others_cannot_be(instance: Instance, owner: redis.Redis) -> None:
    for user, ours in (("notebook", True), ("worker", True), ("viewer", False)):
        with client_from_url(instance.url_of(user), name=f"as-{user}") as client:
            client.ping()
            found = {one["name"]: "e" in one["flags"] for one in owner.client_list() if one["name"].startswith("as-")}
            assert found[f"as-{user}"] is ours
    wait_for(  # a connection that is being made is marked a moment after it has its name
        lambda: all("e" in one["flags"] for one in owner.client_list() if one["name"].startswith("rededge-")),
        what="marks",
    )


def test_heartbeats_and_leases_are_written_although_the_memory_is_full(instance: Instance, owner: redis.Redis) -> None:
    owner.execute_command("RG.PYEXECUTE", "GB('StreamReader').foreach(lambda r: execute('DEL', 'full')).register('s')")
    owner.xadd("s", {"n": 1})
    state = state_client(owner)
    wait_for(lambda: not owner.xlen("s") and state.keys("rededge:worker:*"), what="the gear and the first heartbeat")
    owner.config_set("maxmemory", "1mb")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        owner.set("x", 1)
    state.delete(*state.keys("rededge:worker:*"), *state.keys("rededge:gears:owner:*"))
    wait_for(lambda: state.keys("rededge:worker:*") and state.keys("rededge:gears:owner:*"), what="new ones")
