"""Leases: one worker at a time owns a stream, and another takes over soon after its owner died."""

from __future__ import annotations

import threading

import redis

LEASE_MS = 1_500
"""How long a stream stays with a worker that no longer renews."""


def lease_key(stream: str) -> str:
    """Key that names the stream's owner."""
    return f"rededge:gears:owner:{stream}"


class Leases:
    """The streams that this worker owns. Safe to use from any thread."""

    def __init__(self, client: redis.Redis, worker_id: str) -> None:
        self._client = client
        self._worker_id = worker_id
        self._owned: set[str] = set()
        self._lock = threading.Lock()

    def acquire(self, stream: str) -> bool:
        """Own the stream, if nobody else does."""
        with self._lock:
            if stream in self._owned:
                return True
        taken = self._client.execute_command("SET", lease_key(stream), self._worker_id, "NX", "PX", LEASE_MS)
        if taken:
            with self._lock:
                self._owned.add(stream)
        return bool(taken)

    def owns(self, stream: str) -> bool:
        """Whether the stream is still this worker's, as of the last renewal."""
        with self._lock:
            return stream in self._owned

    def release(self, stream: str) -> None:
        """Let the stream go."""
        with self._lock:
            if stream not in self._owned:
                return
            self._owned.discard(stream)
        if self._holder(stream) == self._worker_id:
            self._client.execute_command("DEL", lease_key(stream))

    def renew(self) -> None:
        """Extend all leases; one that was lost meanwhile (a stalled worker) is owned no longer."""
        with self._lock:
            streams = tuple(self._owned)
        for stream in streams:
            holder = self._holder(stream)
            if holder == self._worker_id:
                self._client.execute_command("PEXPIRE", lease_key(stream), LEASE_MS)
            else:
                with self._lock:
                    self._owned.discard(stream)

    def _holder(self, stream: str) -> str | None:
        value = self._client.execute_command("GET", lease_key(stream))
        return None if value is None else value.decode()
