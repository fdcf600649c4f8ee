"""What is done with a batch after its chain has ended: it is counted and acknowledged, or it stays pending.

Count, acknowledgement and trimming go in one transaction, so that a batch is counted exactly when it is done. In a
Redis Cluster that is impossible, because the stream and the counters may be in different slots. There the
acknowledgement comes last: if the worker dies in between, the batch runs and is counted once more, but it is not lost.

A stream is trimmed by id, not by length: by length, an entry that is added at the same moment would push out one that
nobody has read.

A batch that is found pending may have killed the worker that had it. The crash guard (state/crashes.py) counts that,
unless it is known that nobody died: a batch that this runner itself left pending, or one that was only prefetched.
"""

from __future__ import annotations

import threading
from typing import Any

import redis

from rededge_nb.edge.client import CommandArgs, in_transaction, shard
from rededge_nb.edge.client.state_database import in_state_database, state_client
from rededge_nb.edge.gears.chain.code_identity import code_identity
from rededge_nb.edge.gears.chain.run import Outcome
from rededge_nb.edge.gears.runners.stream_connection import StreamConnection
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.runtime.host import Host
from rededge_nb.edge.gears.state import statistics
from rededge_nb.edge.gears.state.crashes import CrashGuard, RetrySlot, Verdict
from rededge_nb.edge.gears.state.executions import fields_of, remember_registered
from rededge_nb.schema import GEAR_GROUP as GROUP

Entries = list[tuple[bytes, list[bytes]]]


class Acknowledgements:
    """Acknowledges the batches of one registration, or leaves them pending."""

    def __init__(
        self, client: redis.Redis, connection: StreamConnection, host: Host, draft: Draft, retry_slot: RetrySlot
    ) -> None:
        self._client = client
        self._connection = connection
        self._host = host
        self._draft = draft
        self._guard = CrashGuard(state_client(client), host, draft.id, code_identity(draft.steps))
        self._retry_slot = retry_slot
        self._guarded: set[str] = set()
        """Streams for which the guard has a note."""
        self._begun: set[bytes] = set()
        """First entries of batches that this runner began and has not acknowledged."""

    def may_run(self, stream: str, entry_id: bytes, *, is_first: bool) -> Verdict:
        """Whether a batch that was found pending may run, or has killed too many workers.

        Args:
            stream: Where it is from.
            entry_id: The first entry of it.
            is_first: Whether it is the first pending batch of the stream. Only that one ran when a worker died; what is
                pending behind it was prefetched.
        """
        crashes = 1 if is_first and entry_id not in self._begun else 0
        return self._guard.verdict(stream, entry_id.decode(), crashes=crashes)

    def begin_retry(self, stream: str, entry_id: bytes, stopping: threading.Event) -> bool:
        """Wait until this batch can be tried, and note that it is; False if the runner is to stop."""
        alone = self._retry_slot.enter(self, lambda: self._guard.not_alone(stream))
        if stopping.is_set():
            self._retry_slot.leave(self)
            return False
        self._guard.begin(stream, entry_id.decode(), alone=alone)
        self._guarded.add(stream)
        return True

    @property
    def deaths(self) -> int:
        """How many workers in a row had died over the batch that may_run() was asked for last."""
        return self._guard.deaths

    def end_retry(self) -> None:
        """Let other gears of this worker try their batches; called when a batch has ended in any way."""
        self._retry_slot.leave(self)

    def begin(self, entries: Entries) -> None:
        """Note that this runner runs a batch."""
        if entries:
            self._begun.add(entries[0][0])

    def acknowledge(
        self, stream: str, entries: Entries, execution_id: str, outcome: Outcome, *, keep: int, at_once: bool
    ) -> None:
        """Have a batch counted, acknowledged and trimmed.

        Args:
            stream: Where it is from.
            entries: The batch.
            execution_id: Its execution.
            outcome: How that ended.
            keep: Executions of the registration that are stored.
            at_once: Whether to wait for that. Otherwise it happens with the next command.
        """
        oldest = entries[0][0] if entries else None
        commands = self._counts(execution_id, outcome, keep=keep, oldest_id=oldest)
        if entries:
            commands.append(("XACK", stream, GROUP, *(entry_id for entry_id, _ in entries)))
            if self._draft.arguments["trimStream"]:
                milliseconds, sequence = entries[-1][0].split(b"-")
                commands.append(("XTRIM", stream, "MINID", b"%s-%d" % (milliseconds, int(sequence) + 1)))
        self._connection.unsent = self._together(commands)
        if at_once or stream in self._guarded:
            self._connection.flush()

    def acknowledged(self, stream: str) -> None:
        """Note that this worker has survived a batch."""
        if stream in self._guarded:
            self._guarded.discard(stream)
            self._guard.survived(stream)
        self._begun.clear()

    def leave_pending(
        self, stream: str, entries: Entries, execution_id: str, outcome: Outcome, *, keep: int, status: str
    ) -> None:
        """Have a batch counted, and leave it pending.

        Args:
            stream: Where it is from.
            entries: The batch.
            execution_id: Its execution.
            outcome: How that ended.
            keep: Executions of the registration that are stored.
            status: What RG.DUMPREGISTRATIONS shows as the registration's status.
        """
        self._connection.unsent = self._together(self._counts(execution_id, outcome, keep=keep, status=status))
        self._connection.flush()
        if entries:
            self._guard.left_on_purpose(stream, entries[0][0].decode())
            self._guarded.add(stream)
        self._retry_slot.leave(self)

    def drop_prefetched(self, stream: str) -> None:
        """Leave the prefetched entries of a stream pending for its next owner."""
        if entries := self._connection.prefetched_of(stream.encode()):
            self._guard.left_on_purpose(stream, entries[0][0].decode())
            self._connection.drop_prefetched(stream.encode())

    def _counts(self, execution_id: str, outcome: Outcome, *, keep: int, **options: Any) -> list[CommandArgs]:
        """The commands that store an execution and count it."""
        fields = fields_of(execution_id, outcome.status, self._host.id, outcome, self._draft.steps)
        stored = remember_registered(self._client, self._draft.id, fields, keep=keep)
        counts = statistics.count_outcome(self._client, self._draft.id, outcome, **options)
        return in_state_database(self._client, [stored, *counts])

    def _together(self, commands: list[CommandArgs]) -> list[CommandArgs]:
        """The commands as a transaction, except in a Redis Cluster."""
        return in_transaction(commands) if shard.tag(self._client) is None else commands
