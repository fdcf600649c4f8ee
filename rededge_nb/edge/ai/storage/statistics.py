"""Run statistics of models and scripts, for AI.INFO.

They belong to the stored value: they are fields of its hash, so deleting or replacing it removes them. Runs are
counted in memory and added to the hash now and then, under WATCH, so that a key that was deleted in the meantime is
never made anew and what is stored in its place does not inherit them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields

import redis

from rededge_nb.edge.ai.storage import hashes

logger = logging.getLogger(__name__)

_PREFIX = "stat:"


@dataclass
class Runs:
    """Counters of a model or script, in AI.INFO's order."""

    duration: int = 0
    """Microseconds of the successful runs."""
    samples: int = 0
    """Sum of the first dimension of the first output."""
    calls: int = 0
    """Runs, failed ones included."""
    errors: int = 0


_NAMES = tuple(field.name for field in fields(Runs))


@dataclass(frozen=True)
class Stored:
    """One stored model or script: a key, and which of the values that it held over time."""

    db: int
    key: bytes
    generation: bytes


class Statistics:
    """Counters that this process has not yet written; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[Stored, Runs] = {}

    def record(self, stored: Stored, *, duration: float = 0.0, samples: int = 0, failed: bool = False) -> None:
        """Count one run that took `duration` seconds."""
        self._add(stored, Runs(round(duration * 1e6), samples, 1, int(failed)))

    def flush(self, client_of: Callable[[int], redis.Redis]) -> None:
        """Write all counters; `client_of` gives the client of a database.

        Raises:
            redis.RedisError: a write failed; what was not written is kept for the next time.
        """
        with self._lock:
            pending, self._pending = self._pending, {}
        try:
            while pending:
                stored, runs = next(iter(pending.items()))
                _write(client_of(stored.db), stored, runs)
                del pending[stored]
        finally:
            for stored, runs in pending.items():
                self._add(stored, runs)

    def read(self, client: redis.Redis, db: int, key: bytes, kind: str) -> Runs:
        """The counters of a model or script (`kind`), those of other workers as of their last flush.

        Raises:
            CommandError: the key is missing or holds something else.
        """
        stored = Stored(db, key, hashes.read(client, key, kind, ["generation"])[0])
        runs = self._take(stored) or Runs()
        pending = Runs()
        try:
            if runs != pending:
                _write(client, stored, runs)
        except redis.RedisError as error:
            # such as a full memory, which is no reason to tell nothing; flush() tries again
            logger.debug("the runs of %r stay unwritten: %s", key, error)
            self._add(stored, runs)
            pending = runs
        written = client.hmget(key, [_PREFIX + name for name in _NAMES])
        return _sum(Runs(*(int(value or 0) for value in written)), pending)

    def reset(self, client: redis.Redis, db: int, key: bytes, kind: str) -> None:
        """Set the counters of a model or script to 0; what other workers have not flushed yet is added afterwards.

        Raises:
            CommandError: the key is missing or holds something else.
        """
        generation = hashes.read(client, key, kind, ["generation"])[0]
        counted = self.read(client, db, key, kind)
        # what of it could not be written is taken off in advance
        _write(client, Stored(db, key, generation), Runs(*(-count for count in astuple(counted))))

    def _add(self, stored: Stored, runs: Runs) -> None:
        with self._lock:
            self._pending[stored] = _sum(self._pending.get(stored, Runs()), runs)

    def _take(self, stored: Stored) -> Runs | None:
        with self._lock:
            return self._pending.pop(stored, None)


def _sum(first: Runs, second: Runs) -> Runs:
    return Runs(
        first.duration + second.duration,
        first.samples + second.samples,
        first.calls + second.calls,
        first.errors + second.errors,
    )


def _write(client: redis.Redis, stored: Stored, runs: Runs) -> None:
    def add(pipeline: redis.client.Pipeline) -> None:
        try:
            generation = pipeline.hget(stored.key, "generation")
        except redis.ResponseError:
            generation = None  # the key holds something else by now
        pipeline.multi()
        if generation == stored.generation:
            for name, count in zip(_NAMES, astuple(runs), strict=True):
                pipeline.hincrby(stored.key, _PREFIX + name, count)

    client.transaction(add, stored.key)
