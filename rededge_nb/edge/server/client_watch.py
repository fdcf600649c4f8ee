"""Closes connections of clients that fill the server's memory, or take its places for connections.

What a client does not read stays in the server's memory, and so does an incomplete command; both count for `maxmemory`.
A client need not even know the password for that. Redis has a limit for each connection (edge/server/memory.py), but
many connections together can hold much more. Redis's own limit for all clients, `maxmemory-clients`, must not be used:
with it, a client that is allowed to wait for keys can execute code in redis-server (CVE-2026-23479, from 7.2.0 to
8.6.2). Redis does not tell which connections are not logged in, either.

So our own processes mark their connections with CLIENT NO-EVICT, which needs a permission that strangers and the user
`viewer` do not have (edge/client/connecting.py). A thread looks at all others a few times a second, and closes those
that hold too much, hold it for too long, or are too many. Whoever closes a connection for a reason logs it once a
minute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import redis

from rededge_nb.edge.client import client_from_url, pairs

logger = logging.getLogger(__name__)

INTERVAL = 0.2
"""Seconds between two looks: a client can add about 20 MB of replies in that time."""
MAX_SHARE = 8
"""All connections together that are not our own may hold this part of `maxmemory`, one divided by it."""
SLOW_BYTES, SLOW_SECONDS = 4 * 1024**2, 5.0
"""A connection may not hold more than this for longer than this."""
IDLE_SECONDS = 600.0
"""A connection without commands is closed after this time."""
GREETING_SECONDS = 10.0
"""A connection that has never sent a command is closed after this time."""
FULL, RELIEVED = 0.8, 0.6
"""If more than this share of the server's connections is taken, connections are closed until this share is left."""
LOOKS_PER_LIMITS = 25
"""The limits of the server are read again after so many looks."""
LOG_INTERVAL = 60.0

_NEVER_SENT = "NULL"


@dataclass(frozen=True)
class Connection:
    """One line of CLIENT LIST."""

    id: int
    ours: bool
    """Whether it is marked with CLIENT NO-EVICT, or is a replica."""
    waits: bool
    """Whether it waits for a key or for messages, so that it need not send commands."""
    user: str
    held: int
    """Bytes of replies that it has not read, and of commands that it has not completed."""
    age: float
    idle: float
    never_sent: bool


def parse(text: str) -> list[Connection]:
    """The connections in the reply to CLIENT LIST."""
    found = []
    for line in text.splitlines():
        fields = dict(pair.split("=", 1) for pair in line.split(" ") if "=" in pair)
        flags = fields.get("flags", "")
        found.append(
            Connection(
                id=int(fields["id"]),
                ours="e" in flags or "S" in flags or "M" in flags,
                waits="b" in flags or "P" in flags,
                user=fields.get("user", ""),
                held=int(fields.get("omem", 0)) + int(fields.get("qbuf", 0)) + int(fields.get("argv-mem", 0)),
                age=float(fields.get("age", 0)),
                idle=float(fields.get("idle", 0)),
                never_sent=fields.get("cmd") == _NEVER_SENT,
            )
        )
    return found


class Rules:
    """Decides which connections are closed. It remembers since when a connection has been holding much."""

    def __init__(self) -> None:
        self._slow_since: dict[int, float] = {}

    def to_close(
        self, connections: Iterable[Connection], *, now: float, max_memory: int, max_clients: int
    ) -> dict[int, str]:
        """The ids of the connections to be closed, each with the reason.

        Args:
            connections: All connections.
            now: The monotonic clock.
            max_memory: The server's `maxmemory` in bytes; 0 is no limit.
            max_clients: The server's `maxclients`.
        """
        connections = list(connections)
        others = [one for one in connections if not one.ours]
        slow = {one.id for one in others if one.held > SLOW_BYTES}
        self._slow_since = {name: self._slow_since.get(name, now) for name in slow}
        found: dict[int, str] = {}
        for one in others:
            if now - self._slow_since.get(one.id, now) > SLOW_SECONDS:
                found[one.id] = f"it did not read its replies, or send its command, for {SLOW_SECONDS:.0f} s"
            elif one.never_sent and one.age > GREETING_SECONDS:
                found[one.id] = f"it sent no command for {GREETING_SECONDS:.0f} s"
            elif one.idle > IDLE_SECONDS and not one.waits:
                found[one.id] = f"it was idle for {IDLE_SECONDS:.0f} s"
        total = sum(one.held for one in others if one.id not in found)
        for one in sorted(others, key=lambda one: one.held, reverse=True):
            if not max_memory or total <= max_memory // MAX_SHARE:
                break
            if one.id not in found:
                found[one.id] = "clients that do not read their replies held too much memory"
                total -= one.held
        if len(connections) > FULL * max_clients:
            # the newest first: whoever has been connected for long is probably no attacker
            left = len(connections) - len(found)
            for one in sorted(others, key=lambda one: one.id, reverse=True):
                if left <= RELIEVED * max_clients:
                    break
                if one.id not in found:
                    found[one.id] = f"the server accepts {max_clients} connections, and too many of them were in use"
                    left -= 1
        return found


class ClientWatch:
    """Looks at the connections of a server in a thread, until it is closed."""

    def __init__(self, url: str) -> None:
        self._client = client_from_url(url, timeout=5.0, name="rededge-watch")
        self._client.response_callbacks.clear()
        self._closed = threading.Event()
        self._rules = Rules()
        self._logged: dict[str, float] = {}
        threading.Thread(target=self._run, name="client watch", daemon=True).start()

    def close(self) -> None:
        """Close no more connections."""
        self._closed.set()

    def _run(self) -> None:
        looks, limits = 0, (0, 0)
        while not self._closed.wait(INTERVAL):
            try:
                if looks % LOOKS_PER_LIMITS == 0:
                    limits = self._limits()
                self._look(*limits)
                looks += 1
            except redis.RedisError as error:
                looks = 0
                self._log(f"connections cannot be watched: {error}")
        self._client.close()

    def _look(self, max_memory: int, max_clients: int) -> None:
        connections = parse(self._client.execute_command("CLIENT", "LIST").decode(errors="replace"))
        now = time.monotonic()
        found = self._rules.to_close(connections, now=now, max_memory=max_memory, max_clients=max_clients)
        for name, reason in found.items():
            self._client.execute_command("CLIENT", "KILL", "ID", name)
            self._log(f"a connection was closed: {reason}")

    def _limits(self) -> tuple[int, int]:
        values = pairs(self._client.execute_command("CONFIG", "GET", "maxmemory", "maxclients"))
        return int(values[b"maxmemory"]), int(values[b"maxclients"])

    def _log(self, message: str) -> None:
        now = time.monotonic()
        if now - self._logged.get(message, -LOG_INTERVAL) >= LOG_INTERVAL:
            logger.warning("%s", message)
            self._logged[message] = now
