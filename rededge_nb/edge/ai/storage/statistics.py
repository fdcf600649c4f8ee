"""Statistics of the runs of models and scripts, for AI.INFO.

They belong to the stored value: they are fields of its hash, so deleting or replacing the value removes them. Runs are
counted in memory, and the counts are added to the hash from time to time, and when somebody asks for them
(counts_of_workers.py). This happens under WATCH, so that a deleted key is not created again and a new value under the
same key does not inherit the counts of the old one.
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


@dataclass(frozen=True)
class RunCounts:
    """Counters of a model or script, in the order of AI.INFO."""

    duration: int = 0
    """Microseconds of the successful runs."""
    samples: int = 0
    """Sum of the first dimension of the first output."""
    calls: int = 0
    """Runs, failed ones included."""
    errors: int = 0

    def __add__(self, other: RunCounts) -> RunCounts:
        return RunCounts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


_NAMES = tuple(field.name for field in fields(RunCounts))


@dataclass(frozen=True)
class StoredValue:
    """A stored model or script: its key, and which of the values that the key held over time."""

    db: int
    key: bytes
    generation: bytes


class Statistics:
    """Counts that this process has not written to Redis yet; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writing = threading.RLock()
        """Held while counts are neither in memory nor in Redis, so that nobody reads too few meanwhile."""
        self._unwritten: dict[StoredValue, RunCounts] = {}

    def record(self, stored: StoredValue, *, duration: float = 0.0, samples: int = 0, failed: bool = False) -> None:
        """Count one run that took `duration` seconds."""
        self._add(stored, RunCounts(round(duration * 1e6), samples, 1, int(failed)))

    def flush(self, client_of: Callable[[int], redis.Redis]) -> None:
        """Write all counts; `client_of` returns the client of a database.

        Raises:
            redis.RedisError: Redis did not accept a write. The counts not written yet are kept.
        """
        with self._writing:
            with self._lock:
                counts, self._unwritten = self._unwritten, {}
            try:
                while counts:
                    stored, count = next(iter(counts.items()))
                    _write(client_of(stored.db), stored, count)
                    del counts[stored]
            finally:
                for stored, count in counts.items():
                    self._add(stored, count)

    def read(self, client: redis.Redis, db: int, key: bytes, kind: str) -> RunCounts:
        """The counters of a model or script, with the counts of other workers that these have written.

        Raises:
            CommandError: The key is missing or holds something else.
        """
        stored = StoredValue(db, key, hashes.read(client, key, kind, ["generation"])[0])
        with self._writing:
            unwritten = self._take(stored)
            try:
                if unwritten != RunCounts():
                    _write(client, stored, unwritten)
                    unwritten = RunCounts()
            except redis.RedisError as error:
                # for example because the memory is full: the counts are reported nevertheless, and flush() tries again
                logger.debug("the counts of %r are not written: %s", key, error)
                self._add(stored, unwritten)
            written = client.hmget(key, [_PREFIX + name for name in _NAMES])
        return RunCounts(*(int(value or 0) for value in written)) + unwritten

    def reset(self, client: redis.Redis, db: int, key: bytes, kind: str) -> None:
        """Set the counters of a model or script to 0; counts that other workers have not written are added later.

        Raises:
            CommandError: The key is missing or holds something else.
        """
        generation = hashes.read(client, key, kind, ["generation"])[0]
        with self._writing:
            counted = self.read(client, db, key, kind)
            # If read() could not write the counts, they are subtracted before they are added.
            _write(client, StoredValue(db, key, generation), RunCounts(*(-count for count in astuple(counted))))

    def _add(self, stored: StoredValue, counts: RunCounts) -> None:
        with self._lock:
            self._unwritten[stored] = self._unwritten.get(stored, RunCounts()) + counts

    def _take(self, stored: StoredValue) -> RunCounts:
        with self._lock:
            return self._unwritten.pop(stored, RunCounts())


def _write(client: redis.Redis, stored: StoredValue, counts: RunCounts) -> None:
    def add(pipeline: redis.client.Pipeline) -> None:
        try:
            generation = pipeline.hget(stored.key, "generation")
        except redis.ResponseError:
            generation = None  # the key holds something else by now
        pipeline.multi()
        if generation == stored.generation:
            for name, count in zip(_NAMES, astuple(counts), strict=True):
                pipeline.hincrby(stored.key, _PREFIX + name, count)

    client.transaction(add, stored.key)
