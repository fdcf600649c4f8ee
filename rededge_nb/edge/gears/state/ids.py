"""Ids of executions and registrations: `<shard>-<number>`, and the numbers keep growing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import redis

SHARD_ID = "0" * 40
"""The shard's id in replies. In a Redis Cluster it is the same: the gears of each shard know nothing of the others."""


class Ids:
    """Hands out ids of one kind. FLUSHALL deletes the counter in Redis, but no id is used twice while a worker runs.

    Args:
        client: A client of the database with the counter.
        key: Names the counter's key.
        block: How many ids are reserved at once: a busy gear does not ask Redis for each.
    """

    def __init__(self, client: redis.Redis, key: Callable[[redis.Redis], str], *, block: int = 1) -> None:
        self._client = client
        self._key = key
        self._block = block
        self._next = self._end = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """A new id."""
        with self._lock:
            if self._next == self._end:
                key = self._key(self._client)
                end = self._client.execute_command("INCRBY", key, self._block)
                if end <= self._end:  # FLUSHALL has deleted the counter
                    end = self._client.execute_command("INCRBY", key, self._end - end + self._block)
                self._end = end
                self._next = self._end - self._block
            self._next += 1
            return f"{SHARD_ID}-{self._next - 1}"

    def skip(self, used: Iterable[str]) -> None:
        """Hand out none of these ids, which other workers have handed out."""
        with self._lock:
            for one in used:
                number = int(one.rpartition("-")[2])
                if number >= self._end:
                    self._next = self._end = number + 1
