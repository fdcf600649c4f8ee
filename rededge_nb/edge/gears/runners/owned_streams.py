"""Which streams a registration is about, and which of them this worker owns.

A stream is owned by one worker at a time, so that its entries are processed in order: see state/leases.py. A
registration is about one stream by its exact name, or about all streams with a prefix, which are found by SCAN.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import is_own_key
from rededge_nb.edge.gears.runners.stream_connection import StreamConnection
from rededge_nb.edge.gears.state.leases import Leases

SCAN_INTERVAL = 1.0
"""Seconds between two searches for new streams with a prefix."""


class OwnedStreams:
    """The streams of one registration that this worker owns."""

    def __init__(
        self,
        leases: Leases,
        registration_id: str,
        pattern: str,
        connection: StreamConnection,
        report: Callable[[str], None],
    ) -> None:
        self._leases = leases
        self._registration_id = registration_id
        self._pattern = pattern
        self._connection = connection
        self._report = report
        self._owned: set[str] = set()
        self._matching: list[str] = []
        self._at_start: set[str] | None = None
        self._scanned_at = float("-inf")
        self._reported: set[bytes] = set()
        leases.join(registration_id)

    @property
    def all(self) -> tuple[str, ...]:
        """The streams that this worker owned after the last acquire()."""
        return tuple(self._owned)

    def owns(self, stream: str) -> bool:
        """Whether the lease is still this worker's, as of the last renewal."""
        return self._leases.owns(self._registration_id, stream)

    def to_release(self) -> list[str]:
        """The owned streams that are gone, or that another worker should have. Searches for new streams first."""
        self._search()
        return [
            stream
            for stream in self._owned
            if stream not in self._matching or not self._leases.chosen(self._registration_id, stream)
        ]

    def search_now(self) -> None:
        """Search for new streams at the next to_release()."""
        self._scanned_at = float("-inf")

    def release(self, stream: str) -> None:
        """Give a stream to other workers."""
        self._owned.discard(stream)
        self._leases.release(self._registration_id, stream)

    def acquire(self) -> list[str]:
        """Take the streams that are free for this worker; returns all that it owns now."""
        streams = [stream for stream in self._matching if self._leases.acquire(self._registration_id, stream)]
        self._owned.update(streams)
        return streams

    def leave(self) -> None:
        """Take no part in this registration any more."""
        self._leases.leave(self._registration_id)

    def appeared_later(self, stream: str) -> bool:
        """Whether a stream did not exist when this worker first searched."""
        return stream not in (self._at_start or ())

    def _search(self) -> None:
        if not self._pattern.endswith("*"):
            self._matching = [self._pattern]
        elif time.monotonic() - self._scanned_at > SCAN_INTERVAL:
            self._matching = self._scan(self._pattern[:-1].encode())
            self._scanned_at = time.monotonic()
        if self._at_start is None:
            self._at_start = {stream for stream in self._matching if self._connection.command("EXISTS", stream)}

    def _scan(self, prefix: bytes) -> list[str]:
        cursor, keys = b"0", set[bytes]()
        while True:
            cursor, page = self._connection.command("SCAN", cursor, "COUNT", 1000, "TYPE", "stream")
            keys.update(key for key in page if key.startswith(prefix) and not self._is_own(key, prefix))
            if cursor == b"0":
                return sorted(name for key in keys if (name := self._name(key)) is not None)

    def _name(self, key: bytes) -> str | None:
        """A stream's name; None if it is not UTF-8, which is reported once: gears know streams by text."""
        try:
            return key.decode()
        except UnicodeDecodeError:
            if key not in self._reported:
                self._reported.add(key)
                self._report(f"the stream {key!r} is left out: its name is not UTF-8")
            return None

    def _is_own(self, key: bytes, prefix: bytes) -> bool:
        """Whether a key is a stream of the workers: each execution adds an entry there, and would start another."""
        return is_own_key(self._connection.client, key) and not prefix.startswith(key_names.PREFIX.encode())
