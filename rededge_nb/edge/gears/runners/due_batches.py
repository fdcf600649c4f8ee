"""When the next batch of a stream is due.

A registration with `batch` larger than 1 waits until so many entries are there. Two rules keep entries from waiting for
ever: `duration` is the longest time that the first of them waits, and entries that were there before this runner owned
the stream start a batch at once, as in RedisGears.

How long an entry has waited is measured from the moment at which this runner saw it. Its id does not tell that: clients
may choose ids, and the server's clock may differ from ours.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from rededge_nb.edge.gears.runners.stream_connection import StreamConnection
from rededge_nb.schema import GEAR_GROUP as GROUP

BLOCK_MS = 250
"""Longest wait for entries in one command. A runner that is asked to stop notices it within this time."""
POLL_DELAY = 0.02
"""Seconds between two reads of streams in several slots of a Redis Cluster: no command waits for all of them."""

UNREAD = """
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  if group[2] == ARGV[2] then
    local last_delivered = group[8]
    local entries = redis.call('XRANGE', KEYS[1], '(' .. last_delivered, '+', 'COUNT', ARGV[1])
    local first, last = entries[1] or {''}, entries[#entries] or {''}
    return {#entries, last_delivered, first[1], last[1]}
  end
end
return redis.error_reply('NOGROUP no consumer group ' .. ARGV[2] .. ' on ' .. KEYS[1])
"""
"""How many entries the group has not read yet, up to a limit; the last id that it has read; the ids of the first and of
the last unread entry. Redis counts them, because the entries may be images, which need not be sent for that."""
NEWEST = """
local entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return entries[1] and entries[1][1] or '0-0'
"""
"""The id of a stream's newest entry."""


class DueBatches:
    """Finds the streams of one registration whose next batch is due."""

    def __init__(
        self,
        connection: StreamConnection,
        arguments: dict[str, Any],
        stopping: threading.Event,
        in_one_command: Callable[[list[str]], bool],
    ) -> None:
        self._connection = connection
        self._batch_size: int = arguments["batchSize"]
        self._duration_ms: int = arguments["durationMS"]
        self._stopping = stopping
        self._in_one_command = in_one_command
        self._newest_before: dict[str, tuple[int, int]] = {}
        """By stream: the newest entry that was there before this runner owned it."""
        self._waiting: dict[str, tuple[bytes, float]] = {}
        """By stream: the first entry of its next batch, and when that was first seen."""

    @property
    def single(self) -> bool:
        """Whether every entry is a batch: then a batch is always due, and nothing need be asked."""
        return self._batch_size == 1

    def start(self, stream: str, *, is_new: bool) -> None:
        """Begin with a stream. All entries of a new one wait for a full batch."""
        self._newest_before[stream] = (
            (0, 0) if is_new else _parts(self._connection.command("EDGE.QUIET", "EVAL", NEWEST, 1, stream))
        )

    def wait(self, streams: list[str]) -> list[str]:
        """The streams whose next batch is due; if there are none, waits a moment for new entries first."""
        due, newest = [], []
        for stream in streams:
            count, last_delivered, first, last = self._connection.command(
                "EDGE.QUIET", "EVAL", UNREAD, 1, stream, self._batch_size, GROUP
            )
            if count and (count >= self._batch_size or self._is_old(stream, first) or self._has_waited(stream, first)):
                due.append(stream)
            if not count:
                self._waiting.pop(stream, None)
            newest.append(last if count else last_delivered)
        if due:
            return due
        if not self._in_one_command(streams):
            self._stopping.wait(POLL_DELAY)
            return []
        self._connection.command("XREAD", "COUNT", 1, "BLOCK", self._block_ms(streams), "STREAMS", *streams, *newest)
        return []

    def _block_ms(self, streams: list[str]) -> int:
        """How long to wait for new entries: not longer than until a batch has waited for the duration."""
        if not self._duration_ms:
            return BLOCK_MS
        began = [self._waiting[stream][1] for stream in streams if stream in self._waiting]
        left = [self._duration_ms - (time.monotonic() - since) * 1000 for since in began]
        return max(1, math.ceil(min([BLOCK_MS, self._duration_ms, *left])))

    def _is_old(self, stream: str, entry_id: bytes) -> bool:
        """Whether an entry was there before this runner owned the stream."""
        return _parts(entry_id) <= self._newest_before.get(stream, (0, 0))

    def _has_waited(self, stream: str, entry_id: bytes) -> bool:
        """Whether the first entry of a stream's next batch has waited for the duration."""
        first, since = self._waiting.get(stream, (b"", 0.0))
        if first != entry_id:
            since = time.monotonic()
            self._waiting[stream] = (entry_id, since)
        return bool(self._duration_ms) and (time.monotonic() - since) * 1000 >= self._duration_ms


def _parts(entry_id: bytes) -> tuple[int, int]:
    """An entry id as two numbers, which can be compared."""
    milliseconds, sequence = entry_id.split(b"-")
    return int(milliseconds), int(sequence)
