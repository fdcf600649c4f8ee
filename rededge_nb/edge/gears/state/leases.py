"""Leases: one worker at a time owns a stream (or a registration's events), and another takes over when it dies.

A stream's entries must be processed in order, so only one worker may read it. Redis gives us a key with an expiry for
that: `SET lease holder NX PX LEASE_MS`. The owner extends it with each heartbeat, four times within its length. A
worker that dies stops doing so, and its streams are free about a second later.

**Who takes a free stream?** If the first to ask took it, the first worker to start would own every stream. So the
streams are spread: among the workers that can run the registration (they are candidates, in a sorted set with the time
of their last heartbeat), rendezvous hashing chooses one for each stream. Only that one takes a free stream; if it does
not within STAND_IN_DELAY, any other does. A worker that joins becomes the choice for its share, and the owners of those
streams release them between two batches. A worker that leaves moves its own share and no other.

**A stalled worker** (stopped, swapped out, without network) may come back and still think that it owns a stream which
another one has taken. renew() finds that out. Until then it can only finish the batch that it was running: after every
read, the runner asks owns() first.

**Clocks.** An expiry is a point in time on the server's clock. If that clock is set back by an hour, the lease of a
dead worker lasts an hour longer. So a worker that finds the lease of another one shortens it to LEASE_MS, which a
living worker extends again. Candidates from the future are removed for the same reason.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

import redis

from rededge_nb.edge.client import even_if_full, key_names

LEASE_MS = 1_200
"""How long a worker that no longer renews keeps a stream, and stays a candidate for others."""
STAND_IN_DELAY = 1.0
"""Seconds that a free stream waits for the worker of choice before any other takes it."""


class Leases:
    """The streams that this worker owns, each for a registration. Safe to use from any thread."""

    def __init__(self, client: redis.Redis, worker_id: str) -> None:
        self._client = client
        self._worker_id = worker_id
        self._owned: dict[str, str] = {}
        """Registration's id, by stream."""
        self._free_since: dict[str, float] = {}
        self._candidates: dict[str, list[str]] = {}
        """Workers, by registration's id."""
        self._lock = threading.Lock()

    def join(self, registration_id: str) -> None:
        """Become a candidate for a registration's streams."""
        with self._lock:
            self._candidates.setdefault(registration_id, [self._worker_id])

    def leave(self, registration_id: str) -> None:
        """Be no candidate any more."""
        with self._lock:
            self._candidates.pop(registration_id, None)
        key = key_names.registration_keys(self._client, registration_id)["workers"]
        self._client.execute_command("ZREM", key, self._worker_id)

    def acquire(self, registration_id: str, stream: str) -> bool:
        """Take a stream for a registration, if it is free and no other worker should have it; False if not owned."""
        with self._lock:
            owner = self._owned.get(stream)
        if owner is not None:
            return owner == registration_id
        if not self._may_take(registration_id, stream):
            return False
        holder = f"{self._worker_id}/{registration_id}"
        key = key_names.lease(self._client, stream)
        if not self._client.execute_command(*even_if_full(key, "SET", key, holder, "NX", "PX", LEASE_MS)):
            self._free_since.pop(stream, None)
            self._cap_lease_ttl(stream)
            return False
        with self._lock:
            self._owned[stream] = registration_id
        return True

    def owns(self, registration_id: str, stream: str) -> bool:
        """Whether the stream is still this worker's, as of the last renewal."""
        with self._lock:
            return self._owned.get(stream) == registration_id

    def held_elsewhere(self, stream: str) -> bool:
        """Whether another worker owns the stream."""
        holder = self._client.execute_command("GET", key_names.lease(self._client, stream))
        return holder is not None and not holder.startswith(f"{self._worker_id}/".encode())

    def chosen(self, registration_id: str, stream: str) -> bool:
        """Whether this worker is the stream's worker of choice."""
        with self._lock:
            candidates = self._candidates.get(registration_id, ())
        return not candidates or max(candidates, key=lambda one: _weight(one, stream)) == self._worker_id

    def release(self, registration_id: str, stream: str) -> None:
        """Give the stream to others."""
        with self._lock:
            if self._owned.get(stream) != registration_id:
                return
            del self._owned[stream]
        if self._client.execute_command("GET", key_names.lease(self._client, stream)) == self._holder(registration_id):
            self._client.execute_command("DEL", key_names.lease(self._client, stream))

    def renew(self) -> None:
        """Extend all leases, and forget those that this worker has lost."""
        with self._lock:
            owned = tuple(self._owned.items())
            joined = tuple(self._candidates)
        pipeline = self._client.pipeline(transaction=False)
        for stream, _ in owned:
            pipeline.execute_command("GET", key_names.lease(self._client, stream))
        pipeline.execute_command("TIME")
        *holders, (seconds, microseconds) = pipeline.execute()
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        for (stream, registration_id), holder in zip(owned, holders, strict=True):
            if holder == self._holder(registration_id):
                pipeline.execute_command("PEXPIRE", key_names.lease(self._client, stream), LEASE_MS)
            else:
                with self._lock:
                    if self._owned.get(stream) == registration_id:
                        del self._owned[stream]
        for registration_id in joined:
            key = key_names.registration_keys(self._client, registration_id)["workers"]
            pipeline.execute_command(*even_if_full(key, "ZADD", key, now_ms, self._worker_id))
            pipeline.execute_command("ZREMRANGEBYSCORE", key, "-inf", now_ms - LEASE_MS)
            pipeline.execute_command("ZREMRANGEBYSCORE", key, f"({now_ms + LEASE_MS}", "+inf")
            # somebody may just have removed the registration and its keys, and ZADD has created this one again
            pipeline.execute_command("PEXPIRE", key, LEASE_MS)
            pipeline.execute_command("ZRANGE", key, 0, -1)
        replies: list[Any] = pipeline.execute()
        workers = [[worker.decode() for worker in reply] for reply in replies if isinstance(reply, list)]
        with self._lock:
            for registration_id, found in zip(joined, workers, strict=True):
                if registration_id in self._candidates:
                    self._candidates[registration_id] = found

    def _may_take(self, registration_id: str, stream: str) -> bool:
        """Whether this worker is the one of choice, or that one did not take the stream in time."""
        if self.chosen(registration_id, stream):
            return True
        if self._client.execute_command("EXISTS", key_names.lease(self._client, stream)):
            self._free_since.pop(stream, None)
            self._cap_lease_ttl(stream)
            return False
        free_since = self._free_since.setdefault(stream, time.monotonic())
        return time.monotonic() - free_since > STAND_IN_DELAY

    def _cap_lease_ttl(self, stream: str) -> None:
        """Shorten another worker's lease to its usual length, in case the clock was set back."""
        self._client.execute_command("PEXPIRE", key_names.lease(self._client, stream), LEASE_MS, "LT")

    def _holder(self, registration_id: str) -> bytes:
        return f"{self._worker_id}/{registration_id}".encode()


def _weight(worker_id: str, stream: str) -> bytes:
    """A worker's weight for a stream in rendezvous hashing: the candidate with the highest one is chosen."""
    return hashlib.blake2b(f"{worker_id}\0{stream}".encode(), digest_size=8).digest()
