"""A crash guard: a gear that kills its worker is paused after a few times, not run for ever.

A worker that dies leaves its batch pending, and the next worker begins with that batch. If the batch itself is the
reason (a model that runs out of memory, a bug in a C library, a function that hangs and so has the worker killed), each
worker would die over it in turn, and every other gear with them. So before a worker runs anything that was left behind,
it writes down in Redis that it tries that; a worker that finds the note of a dead one counts one crash.

A batch can also be left behind on purpose, by a failure policy. Then nobody died, and the note says so.

**Whose fault was it?** A worker runs many gears at the same time, and when it dies, all of their batches are left
behind. The gears that did no harm must not be paused. So a worker tries such batches one after the other (RetrySlot),
at least for as long as ALONE_TIMEOUT: the one that was tried alone when the worker died is the reason. A batch that
takes longer must not block the others; from then on a death could have several reasons, and counts half.

**The same code on several streams.** A people counter is registered for each camera. If its code crashes workers on two
streams, it will do so on all others, each time with a dead worker. So crashes are also counted for the code, across
registrations and sessions, and all registrations with that code are paused as one.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from enum import Enum

import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.gears.runtime.host import Host

CERTAIN, UNCERTAIN = 2, 1
"""What a death counts: when a batch was tried alone, and when others were tried at the same time."""
MAX_POINTS = 4
"""A batch may not be tried any more when its deaths count so much: usually after two workers in a row."""
ALONE_TIMEOUT = 2.0
"""Seconds that the other batches wait for the one that is being tried."""
CLOSED_AFTER_START = 0.3
"""Seconds after the start of a runner before which no batch that was left behind is tried."""
MAX_STREAMS = 2
"""On how many streams code may crash workers before all registrations with that code are paused."""
CODE_TTL_MS = 600_000
"""How long a crash counts for the code, in milliseconds."""
NO_WORKER = ""
"""In place of a worker's id: the thing was left behind on purpose."""


class Verdict(Enum):
    """Whether a worker may try something."""

    GO = "go"
    """Call CrashGuard.begin(), try it, and call CrashGuard.survived()."""
    WAIT = "wait"
    """Another worker tries it, or died a moment ago: ask again later."""
    CRASHED = "crashed"
    """Too many workers in a row have died over it."""
    CODE_CRASHED = "code crashed"
    """Workers have died over the same code on several streams."""


class RetrySlot:
    """Lets the gears of a worker try the batches left behind one after the other; safe to use from any thread.

    Args:
        cautious: Whether the worker before this one died. Then the first new batch of each stream is tried in this way,
            too, since a death can be due to an entry that no worker has seen before.
    """

    def __init__(self, *, cautious: bool) -> None:
        self.cautious = cautious
        self._changed = threading.Condition()
        self._inside: dict[object, Callable[[], None]] = {}
        self._opens_at = 0.0

    def close_briefly(self) -> None:
        """Let nobody in for CLOSED_AFTER_START; called when a runner has been started.

        By then all runners have read their notes. If one of them finds that its batch killed the last worker, it is
        paused before another one with the same code can kill this worker.
        """
        if self.cautious:
            with self._changed:
                self._opens_at = time.monotonic() + CLOSED_AFTER_START

    def enter(self, holder: object, not_alone: Callable[[], None]) -> bool:
        """Wait until no other batch is being tried, at most ALONE_TIMEOUT; returns whether this one is alone.

        Args:
            holder: Who tries something.
            not_alone: Called if another one is let in before leave() is called.
        """
        with self._changed:
            if holder in self._inside:
                return len(self._inside) == 1
            while (wait := self._opens_at - time.monotonic()) > 0:
                self._changed.wait(wait)
            self._changed.wait_for(lambda: not self._inside, ALONE_TIMEOUT)
            others = list(self._inside.values())
            self._inside[holder] = not_alone
        for other in others:
            with contextlib.suppress(redis.RedisError):  # then a death counts more than it should
                other()
        return not others

    def leave(self, holder: object) -> None:
        """Let the next one in."""
        with self._changed:
            self._inside.pop(holder, None)
            self._changed.notify_all()


class CrashGuard:
    """Counts the crashes of one registration, for each place: a stream, or `onRegistered`.

    Args:
        client: For the notes.
        host: The worker.
        registration_id: The registration.
        code: Identifies its code; None if that is not known.
    """

    def __init__(self, client: redis.Redis, host: Host, registration_id: str, code: str | None = None) -> None:
        self._client = client
        self._host = host
        self._registration_id = registration_id
        self._code = code
        self._points = 0
        self.deaths = 0
        """How many workers in a row had died at the last verdict()."""

    def verdict(self, place: str, thing: str, *, crashes: int = 0) -> Verdict:
        """Whether `thing` may be tried in `place`; if so, begin() must be called next.

        Args:
            place: The stream, or `onRegistered`.
            thing: What is to be tried there: the id of an entry.
            crashes: How many workers have died over it, if there is no note.
        """
        self._points, self.deaths = CERTAIN * crashes, crashes
        note = self._client.execute_command("HGET", self._key(), place)
        if note is not None and (found := json.loads(note))["thing"] == thing:
            self._points, self.deaths = found.get("points", 0), found.get("deaths", 0)
            if found["worker"] not in (NO_WORKER, self._host.id):
                if self._host.alive(found["worker"]):
                    return Verdict.WAIT
                weight = found.get("weight", CERTAIN)
                self._points += weight
                self.deaths += 1
                # the death is counted now, so the note must not name the dead worker any more
                self._write(place, thing, NO_WORKER, weight)
                if weight == CERTAIN and self._count_for_code(place) >= MAX_STREAMS:
                    self._forget(place, with_code=True)
                    return Verdict.CODE_CRASHED
        if self._points >= MAX_POINTS:
            self._forget(place)
            return Verdict.CRASHED
        return Verdict.GO

    def begin(self, place: str, thing: str, *, alone: bool = True) -> None:
        """Note that this worker tries `thing` in `place` now.

        Args:
            place: As for verdict().
            thing: As for verdict().
            alone: Whether nothing else is tried at the same time.
        """
        self._write(place, thing, self._host.id, CERTAIN if alone else UNCERTAIN)

    def not_alone(self, place: str) -> None:
        """Note that other things are tried at the same time: a death counts half from now on."""
        note = self._client.execute_command("HGET", self._key(), place)
        if note is not None and (found := json.loads(note))["worker"] == self._host.id:
            self._write(place, found["thing"], self._host.id, UNCERTAIN)

    def left_on_purpose(self, place: str, thing: str) -> None:
        """Note that `thing` stays pending although nobody died over it."""
        self._points = self.deaths = 0
        self._write(place, thing, NO_WORKER, CERTAIN)

    def survived(self, place: str) -> None:
        """Remove the note: the worker is alive after what it tried."""
        self._client.execute_command("HDEL", self._key(), place)
        if self._code is not None:
            self._client.execute_command("HDEL", self._code_key(), f"{self._registration_id}|{place}")

    def _count_for_code(self, place: str) -> int:
        """Note that the code has crashed a worker in this place; returns in how many places it has lately."""
        if self._code is None:
            return 1
        key = self._code_key()
        self._client.execute_command("HINCRBY", key, f"{self._registration_id}|{place}", 1)
        self._client.execute_command("PEXPIRE", key, CODE_TTL_MS)
        return int(self._client.execute_command("HLEN", key))

    def _forget(self, place: str, *, with_code: bool = False) -> None:
        """Remove the counts, so that whoever unpauses the registration has all attempts again."""
        self._client.execute_command("HDEL", self._key(), place)
        if with_code:
            self._client.execute_command("DEL", self._code_key())

    def _write(self, place: str, thing: str, worker: str, weight: int) -> None:
        note = {"thing": thing, "worker": worker, "points": self._points, "deaths": self.deaths, "weight": weight}
        self._client.execute_command("HSET", self._key(), place, json.dumps(note))

    def _key(self) -> str:
        return key_names.registration_keys(self._client, self._registration_id)["attempts"]

    def _code_key(self) -> str:
        return key_names.code_crashes(self._client, str(self._code))
