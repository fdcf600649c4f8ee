"""A worker behind a proxy that drops what is sent on the existing connections, without closing them."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator

import pytest
import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.client.connecting import KEEPALIVE
from rededge_nb.edge.server.redis_server import free_port
from rededge_nb.edge.worker.command_table import module_arguments
from rededge_nb.edge.worker.worker import Worker
from tests.edge.bare_redis import bare_redis
from tests.gear_scripts import execute
from tests.waiting import wait_for

BACK_WITHIN = 15.0
"""Seconds that are promised, without the time that a loaded machine adds."""


class Proxy:
    """Passes connections on to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.accepted = 0
        self.refuses = False
        self._passing: set[socket.socket] = set()
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """From now on, drop what is sent on all connections that exist."""
        self._passing.clear()

    def close(self) -> None:
        self._closed.set()
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.accepted += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                self._passing |= {client, server}
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with source:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    if source not in self._passing or self.refuses:
                        self._closed.wait()
                        break
                    target.sendall(data)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxied() -> Iterator[tuple[Proxy, redis.Redis]]:
    """A proxy behind which a worker serves, and a client of the server that does not use the proxy."""
    port = free_port()
    with bare_redis(*module_arguments(), options=("--port", str(port))) as bare:
        proxy = Proxy(port)
        client = client_from_url(f"unix://{bare.socket_path}", timeout=3)
        worker = Worker(f"redis://127.0.0.1:{proxy.port}")
        thread = threading.Thread(target=worker.run)
        thread.start()
        execute(client, "GB('StreamReader').foreach(lambda r: execute('INCR', 'n')).register('s')")
        client.xadd("s", {"x": 1})
        wait_for(lambda: client.get("n") == b"1", what="an entry", timeout=30)
        names = lambda: {one["name"] for one in client.client_list()}  # noqa: E731
        wait_for(lambda: "rededge-worker-partition" in names(), what="the connection that notices", timeout=30)
        yield proxy, client
        worker.stop()
        thread.join(30)
        client.close()
        proxy.close()


def answers(client: redis.Redis) -> bool:
    try:
        return len(client.execute_command("RG.DUMPREGISTRATIONS")) == 1
    except redis.RedisError:
        return False


def test_a_worker_connects_again_after_its_connections_were_lost(
    proxied: tuple[Proxy, redis.Redis], caplog: pytest.LogCaptureFixture
) -> None:
    proxy, client = proxied
    proxy.swallow()
    client.xadd("s", {"x": 2})
    wait_for(lambda: client.get("n") == b"2", what="an entry after that", timeout=4 * BACK_WITHIN)
    wait_for(lambda: answers(client), what="an answer after that", timeout=4 * BACK_WITHIN)
    lost = [record for record in caplog.records if "were lost without notice" in record.getMessage()]
    assert len(lost) == 1


def test_a_worker_is_back_soon_after_a_partition_has_ended(proxied: tuple[Proxy, redis.Redis]) -> None:
    proxy, client = proxied
    proxy.refuses = True
    client.xadd("s", {"x": 2})
    accepted = proxy.accepted
    wait_for(lambda: proxy.accepted > accepted + 1, what="attempts", timeout=60)
    assert client.get("n") == b"1"
    proxy.refuses = False
    proxy.swallow()
    wait_for(lambda: client.get("n") == b"2", what="an entry after that", timeout=4 * BACK_WITHIN)
    wait_for(lambda: answers(client), what="an answer after that", timeout=4 * BACK_WITHIN)


def test_a_redis_that_is_busy_is_no_lost_connection(
    proxied: tuple[Proxy, redis.Redis], caplog: pytest.LogCaptureFixture
) -> None:
    _, client = proxied
    with caplog.at_level(logging.WARNING), contextlib.suppress(redis.TimeoutError):
        client.execute_command("DEBUG", "SLEEP", "7")
    wait_for(lambda: answers(client), what="an answer after that", timeout=60)
    assert not [record for record in caplog.records if "were lost without notice" in record.getMessage()]


def test_connections_over_tcp_notice_that_the_other_computer_is_gone() -> None:
    with bare_redis(load=False, options=("--port", str(port := free_port()))):
        client = client_from_url(f"redis://127.0.0.1:{port}")
        connection = client.connection_pool.get_connection()
        opened = connection._sock
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        found = {option: opened.getsockopt(socket.IPPROTO_TCP, option) for option in KEEPALIVE}
        assert found == KEEPALIVE
        assert found[socket.TCP_USER_TIMEOUT] == 10_000
        client.close()
