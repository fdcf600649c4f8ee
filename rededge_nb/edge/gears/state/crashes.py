"""A crash guard: a gear that kills its worker is paused after a few times, not run for ever.

A worker that dies leaves its batch pending, and the next worker begins with that batch. If the batch itself is the
reason (a model that runs out of memory, a bug in a C library), each worker would die over it in turn, and every other
gear with them. So before a worker runs anything that was left behind, it writes down in Redis that it tries that; a
worker that finds the note of a dead one counts one crash.

A batch can also be left behind on purpose, by a failure policy. Then nobody died, and the note says so.
"""

from __future__ import annotations

import json
from enum import Enum

import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.gears.runtime.host import Host

MAX_CRASHES = 2
"""How many workers may die in a row over the same thing."""
NO_WORKER = ""
"""In place of a worker's id: the thing was left behind on purpose."""


class Verdict(Enum):
    """Whether a worker may try something."""

    GO = "go"
    """Try it, and call CrashGuard.survived afterwards."""
    WAIT = "wait"
    """Another worker tries it, or died a moment ago: ask again later."""
    CRASHED = "crashed"
    """MAX_CRASHES workers in a row have died over it."""


class CrashGuard:
    """Counts the crashes of one registration, for each place: a stream, or `onRegistered`."""

    def __init__(self, client: redis.Redis, host: Host, registration_id: str) -> None:
        self._client = client
        self._host = host
        self._registration_id = registration_id

    def may_try(self, place: str, thing: str, *, crashes: int = 0) -> Verdict:
        """Note that this worker tries `thing` in `place`, unless too many died over it.

        Args:
            place: The stream, or `onRegistered`.
            thing: What is tried there: the id of an entry.
            crashes: How many workers have died over it, where there is no note.
        """
        note = self._client.execute_command("HGET", self._key(), place)
        if note is not None and (found := json.loads(note))["thing"] == thing:
            crashes, worker = found["crashes"], found["worker"]
            if worker not in (NO_WORKER, self._host.id):
                if self._host.alive(worker):
                    return Verdict.WAIT
                crashes += 1
        if crashes >= MAX_CRASHES:
            self.survived(place)  # once the registration is unpaused, all attempts are allowed again
            return Verdict.CRASHED
        self._write(place, thing, self._host.id, crashes)
        return Verdict.GO

    def left_on_purpose(self, place: str, thing: str) -> None:
        """Note that `thing` stays pending although nobody died over it."""
        self._write(place, thing, NO_WORKER, 0)

    def survived(self, place: str) -> None:
        """Remove the note: the worker is alive after what it tried."""
        self._client.execute_command("HDEL", self._key(), place)

    def _write(self, place: str, thing: str, worker: str, crashes: int) -> None:
        note = json.dumps({"thing": thing, "worker": worker, "crashes": crashes})
        self._client.execute_command("HSET", self._key(), place, note)

    def _key(self) -> str:
        return key_names.registration_keys(self._client, self._registration_id)["attempts"]
