"""Deletes the statistics of registrations that were removed while a batch was running.

The worker that runs the batch counts it when it ends, which may be after RG.UNREGISTER has deleted the keys. So the
keys of unknown registrations are looked for from time to time. They are deleted at the second sight, because a
registration can be younger than the list of those that are known.
"""

from __future__ import annotations

import time

import redis

from rededge_nb.edge.client import key_names, shard
from rededge_nb.edge.gears.state.registrations import all_registrations, load_sessions

INTERVAL, INTERVAL_AMONG_OTHERS = 2.0, 60.0
"""Seconds between two looks; the second, if the keys of clients are in the same database."""


class Leftovers:
    """Looks for keys of unknown registrations.

    Args:
        client: A client of the database in which the workers keep their state.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._alone = shard.tag(client) is None and bool(client.connection_pool.connection_kwargs.get("db"))
        self._seen: set[bytes] = set()
        self._next_look = 0.0

    def delete(self) -> None:
        """Look, if it is time to."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + (INTERVAL if self._alone else INTERVAL_AMONG_OTHERS)
        pattern = key_names.registration_keys(self._client, "*")["statistics"].removesuffix("statistics") + "*"
        found = self._keys(pattern)
        known = {
            key.encode()
            for registration in all_registrations(load_sessions(self._client))
            for key in key_names.registration_keys(self._client, registration.id).values()
        }
        unknown = found - known
        if again := unknown & self._seen:
            self._client.delete(*again)
        self._seen = unknown - again

    def _keys(self, pattern: str) -> set[bytes]:
        found: set[bytes] = set()
        cursor: object = 0
        while True:
            cursor, keys = self._client.execute_command("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found.update(keys)
            if cursor in (0, b"0"):
                return found
