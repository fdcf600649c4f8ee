"""What comes and goes during a soak: gears, pages with a WebSocket, and a client that does not read its replies.

Each kind has a thread. A visit that fails is noted, and so is the number of visits: a soak without visits says nothing.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import redis
from websocket import WebSocketException, create_connection

from rededge_nb import schema
from tests.faults.stack import WEB_TOKEN, Stack

KINDS = ("gear", "page", "client that does not read")
PAUSE = 0.5
"""Seconds between two visits of one kind."""
GEAR_STREAM = "soak:gear"
ENTRIES_PER_GEAR = 5
MESSAGES_PER_PAGE = 5
REQUESTS_WITHOUT_READING = 2000
UNREAD_SECONDS = 60.0
"""Within this time the server must have closed the connection of the client that does not read."""
TIMEOUT = 30.0


class Visitors:
    """Starts all visits, and ends them; a context manager.

    Attributes:
        visits: How many of each kind are over.
        failures: The first failed visit of each kind, in words.
    """

    def __init__(self, stack: Stack, camera: str) -> None:
        self.visits: Counter[str] = Counter()
        self.failures: dict[str, str] = {}
        self._stack = stack
        self._camera = camera
        self._over = threading.Event()
        visits = (self._gear, self._page, self._client_that_does_not_read)
        self._threads = [
            threading.Thread(target=self._repeat, args=(name, visit), name=name, daemon=True)
            for name, visit in zip(KINDS, visits, strict=True)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT)

    def _repeat(self, name: str, visit: Callable[[int], None]) -> None:
        number = 0
        while not self._over.wait(PAUSE):
            number += 1
            try:
                visit(number)
            except (OSError, redis.RedisError, WebSocketException, AssertionError) as error:
                self.failures.setdefault(name, f"{type(error).__name__}: {error}")
            else:
                self.visits[name] += 1

    def _gear(self, number: int) -> None:
        """Register a gear, let it process some entries, and unregister it; every tenth time, also
        run a script that fails."""
        client = self._stack.client()
        counter = "soak:counted"
        client.delete(counter, GEAR_STREAM)
        script = (
            f"print('gear {number}')\n"
            f"GB('StreamReader').foreach(lambda r: execute('INCR', '{counter}')).register('{GEAR_STREAM}')"
        )
        client.execute_command("RG.PYEXECUTE", script, "ID", f"soak-{number}")
        (registration,) = [
            each[1] for each in client.execute_command("RG.DUMPREGISTRATIONS") if GEAR_STREAM in str(each)
        ]
        try:
            for entry in range(ENTRIES_PER_GEAR):
                client.xadd(GEAR_STREAM, {"n": entry})
            for _ in range(round(TIMEOUT / 0.1)):
                if self._over.is_set() or int(client.get(counter) or 0) >= ENTRIES_PER_GEAR:
                    break
                self._over.wait(0.1)
            else:
                raise AssertionError(f"gear {number} has not processed its entries")
        finally:
            client.execute_command("RG.UNREGISTER", registration)
        if number % 10 == 0:
            with contextlib.suppress(redis.ResponseError):
                client.execute_command("RG.PYEXECUTE", "raise ValueError('as planned')")

    def _page(self, number: int) -> None:
        """Open the page's WebSocket, show some frames, and close it; every other time without saying so."""
        port = self._stack.web_port
        page = create_connection(
            f"ws://127.0.0.1:{port}/live",
            timeout=TIMEOUT,
            header={"Cookie": f"rededge_web_{port}={WEB_TOKEN}"},
            suppress_origin=True,
        )
        try:
            page.send(json.dumps({"to": "page", "kind": "watch", "camera": self._camera, "minutes": 5}))
            page.send(json.dumps({"to": "player", "kind": "ready"}))
            for _ in range(MESSAGES_PER_PAGE):
                assert page.recv(), "the page got an empty message"
        finally:
            if number % 2:
                page.close()
            else:
                page.shutdown()

    def _client_that_does_not_read(self, number: int) -> None:
        """As `viewer`, ask for frames again and again and never read, until the server closes the connection."""
        password = self._stack.state.password("viewer")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(UNREAD_SECONDS)
            client.connect(str(self._stack.state.path / "redis.sock"))
            client.sendall(_command("AUTH", "viewer", password))
            assert client.recv(100) == b"+OK\r\n", "viewer cannot log in"
            ask = _command("XREVRANGE", schema.frames_key(self._camera), "+", "-", "COUNT", "10")
            with contextlib.suppress(ConnectionError):
                for _ in range(REQUESTS_WITHOUT_READING):
                    client.sendall(ask)
            poll = select.poll()
            poll.register(client, 0)  # POLLHUP is always reported
            for _ in range(round(UNREAD_SECONDS / 0.1)):
                if self._over.is_set() or poll.poll(100):
                    return
            raise AssertionError(f"its connection was not closed within {UNREAD_SECONDS:.0f} s")


def _command(*words: Any) -> bytes:
    encoded = [str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)])
