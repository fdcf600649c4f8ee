"""Leases: one worker at a time owns a stream (or a registration's events), and another takes over when it dies.

Streams are spread over the workers: each stream has one worker of choice among those that can run it, and only that one
takes it while it is free. A worker that joins becomes the choice for its share, and who had those streams hands them
over between two batches.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

import redis

from rededge_nb.edge.client import key_names

LEASE_MS = 1_200
"""How long a stream stays with a worker that no longer renews, and how long that worker counts as one to choose."""
STAND_IN_DELAY = 1.0
"""Seconds that a free stream waits for its worker of choice before any other takes it."""


class Leases:
    """What this worker owns, by holder: a registration's id. Safe to use from any thread."""

    def __init__(self, client: redis.Redis, worker_id: str) -> None:
        self._client = client
        self._worker_id = worker_id
        self._owned: dict[str, str] = {}
        self._free_since: dict[str, float] = {}
        self._candidates: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def join(self, registration_id: str) -> None:
        """Be one of the workers that a registration's streams are spread over."""
        with self._lock:
            self._candidates.setdefault(registration_id, [self._worker_id])

    def leave(self, registration_id: str) -> None:
        """Be that no longer."""
        with self._lock:
            self._candidates.pop(registration_id, None)
        key = key_names.registration_keys(self._client, registration_id)["workers"]
        self._client.execute_command("ZREM", key, self._worker_id)

    def acquire(self, registration_id: str, stream: str) -> bool:
        """Own the stream for a registration, if nobody else does and no other worker is the better choice."""
        with self._lock:
            owner = self._owned.get(stream)
        if owner is not None:
            return owner == registration_id
        if not self._may_take(registration_id, stream):
            return False
        holder = f"{self._worker_id}/{registration_id}"
        if not self._client.execute_command("SET", key_names.lease(self._client, stream), holder, "NX", "PX", LEASE_MS):
            self._free_since.pop(stream, None)
            self._outlive_no_clock(stream)
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
        """Let the stream go."""
        with self._lock:
            if self._owned.get(stream) != registration_id:
                return
            del self._owned[stream]
        if self._client.execute_command("GET", key_names.lease(self._client, stream)) == self._holder(registration_id):
            self._client.execute_command("DEL", key_names.lease(self._client, stream))

    def renew(self) -> None:
        """Extend all leases; one that was lost meanwhile (a stalled worker) is owned no longer."""
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
            pipeline.execute_command("ZADD", key, now_ms, self._worker_id)
            pipeline.execute_command("ZREMRANGEBYSCORE", key, "-inf", now_ms - LEASE_MS)
            # a worker that died before the clock went back
            pipeline.execute_command("ZREMRANGEBYSCORE", key, f"({now_ms + LEASE_MS}", "+inf")
            # the registration may have gone in this moment, and its keys with it
            pipeline.execute_command("PEXPIRE", key, LEASE_MS)
            pipeline.execute_command("ZRANGE", key, 0, -1)
        replies: list[Any] = pipeline.execute()
        workers = [[worker.decode() for worker in reply] for reply in replies if isinstance(reply, list)]
        with self._lock:
            for registration_id, found in zip(joined, workers, strict=True):
                if registration_id in self._candidates:
                    self._candidates[registration_id] = found

    def _may_take(self, registration_id: str, stream: str) -> bool:
        if self.chosen(registration_id, stream):
            return True
        if self._client.execute_command("EXISTS", key_names.lease(self._client, stream)):
            self._free_since.pop(stream, None)
            self._outlive_no_clock(stream)
            return False
        free_since = self._free_since.setdefault(stream, time.monotonic())
        return time.monotonic() - free_since > STAND_IN_DELAY

    def _outlive_no_clock(self, stream: str) -> None:
        """Shorten another's lease to its usual length: after the clock went back, a dead worker's would last long."""
        self._client.execute_command("PEXPIRE", key_names.lease(self._client, stream), LEASE_MS, "LT")

    def _holder(self, registration_id: str) -> bytes:
        return f"{self._worker_id}/{registration_id}".encode()


def _weight(worker_id: str, stream: str) -> bytes:
    """Rendezvous hashing: a worker that comes or goes moves its own share of the streams and no other."""
    return hashlib.blake2b(f"{worker_id}\0{stream}".encode(), digest_size=8).digest()
