"""Runs one StreamReader registration: reads its streams as a consumer group and executes its chain on each batch.

At least once: a batch is acknowledged only after its whole chain has ended, so a worker that dies in the middle leaves
it pending, and whoever owns the stream next begins with what is pending. While a chain runs over a batch of one entry
Redis is asked for the next one: that is pending then, too, although nobody has begun with it.

A batch is counted and acknowledged in one transaction. In a Redis Cluster that cannot be, since the stream and the
counters lie in different slots: there the acknowledgement comes last, and a batch whose worker dies in between is
counted, and run, once more.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import redis

from rededge_nb.edge.client import RETRY_DELAY, CommandArgs, client_from_url, in_transaction, key_names, shard
from rededge_nb.edge.gears.chain.readers import stream_record
from rededge_nb.edge.gears.chain.run import Outcome
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runners.stream_link import Batch, StreamLink
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import GearsForceStopped
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.state import statistics
from rededge_nb.edge.gears.state.crashes import MAX_CRASHES, CrashGuard, Verdict
from rededge_nb.edge.gears.state.executions import fields_of, remember_registered

logger = logging.getLogger(__name__)

GROUP = "__gears_consumer_group__"
CONSUMER = "__gears_client__"
BLOCK_MS = 250
"""Longest wait in one read; a runner that is asked to stop, or to take over a stream, notices within this."""
SCAN_INTERVAL = 1.0
"""Seconds between looks for new streams under a prefix."""
PENDING_INTERVAL = 2.0
"""Seconds between looks for entries that were left pending by a worker that lost its lease after reading them."""
PAUSE = "PAUSE"
"""An error whose text begins so pauses the registration."""
POLL_DELAY = 0.02
"""Seconds between looks at streams in several slots of a cluster: no one command waits for all of them."""

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
"""How many entries the group has not read yet, at most so many; its last delivered id; the ids of the first and the
last of them. Counted in the server: the entries, which may be pictures, need not travel for that."""
NEWEST = """
local entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return entries[1] and entries[1][1] or '0-0'
"""
"""The id of a stream's newest entry."""

Entries = list[tuple[bytes, list[bytes]]]


class StreamRunner:
    """A thread that runs one registration until stop()."""

    def __init__(self, executor: GearExecutor, draft: Draft, session_id: str) -> None:
        self.busy = False
        """Whether a batch is in hand."""
        self._executor = executor
        self._leases = executor.leases
        self._draft = draft
        self._arguments = draft.arguments
        self._client = client_from_url(executor.host.url, name="rededge-worker-streams")
        self._client.response_callbacks.clear()
        self._link = StreamLink(self._client)
        self._stopping = threading.Event()
        self._aborted = False
        self._prepared: set[str] = set()
        self._scanned: tuple[float, list[str]] = (float("-inf"), [])
        self._at_start: set[str] | None = None
        """The streams that were there when this runner first looked."""
        self._left_over: dict[str, tuple[int, int]] = {}
        """By stream, the newest entry that was there before this runner had it: no batch waits for more than that."""
        self._waiting: dict[str, tuple[bytes, float]] = {}
        """By stream, the entry that its next batch begins with, and when that was first seen."""
        self._unnamed: set[bytes] = set()
        self._held: set[str] = set()
        self._looked_for_pending = time.monotonic()
        self._attempts = CrashGuard(self._client, executor.host, draft.id)
        self._attempted: set[str] = set()
        self._left_pending: set[bytes] = set()
        self._leases.join(draft.id)
        self._context = Context(executor, session_id=session_id)
        self._thread = threading.Thread(target=self._run, name=f"gear-{draft.id}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Stop after the batch in hand; False if that has not ended within `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with entered(self._context):
            while not self._stopping.is_set() and not self._aborted:
                try:
                    self._round()
                except (redis.ConnectionError, redis.BusyLoadingError):
                    # whatever was in hand is still pending: begin with that when Redis is back
                    self._prepared.clear()
                    self._stopping.wait(RETRY_DELAY)
                except redis.ResponseError as error:
                    if not str(error).startswith("NOGROUP"):
                        self._report(shard.describe_error(error))
                        self._stopping.wait(RETRY_DELAY)
                    self._prepared.clear()
                except GearsForceStopped:  # it came too late for the execution that it was meant for
                    self._prepared.clear()
                except BaseException:  # the thread must live on, or its streams stand still
                    logger.exception("registration %s", self._draft.id)
                    self._stopping.wait(RETRY_DELAY)
            try:
                self._link.settle()
                for stream in tuple(self._held):
                    self._release(stream)
                self._leases.leave(self._draft.id)
            except redis.RedisError as error:
                logger.info("leases of registration %s run out by themselves: %s", self._draft.id, error)
            self._client.close()

    def _round(self) -> None:
        wanted = self._streams()
        if self._at_start is None:
            self._at_start = {stream for stream in wanted if self._command("EXISTS", stream)}
        for stream in tuple(self._held):
            if stream not in wanted or not self._leases.chosen(self._draft.id, stream):
                self._release(stream)  # between two batches: nothing of it is in hand
        streams = [stream for stream in wanted if self._leases.acquire(self._draft.id, stream)]
        self._held.update(streams)
        self._prepared.intersection_update(streams)
        if not streams:
            self._link.settle()
            self._stopping.wait(RETRY_DELAY)
            return
        ready = [stream for stream in streams if stream in self._prepared or self._prepare(stream)]
        if not ready and len(streams) > 1:
            self._stopping.wait(RETRY_DELAY)
        if not ready or self._stopping.is_set() or self._aborted:
            self._link.settle()
            return
        self._look_for_pending()
        whole = self._arguments["batchSize"] == 1
        due = ready if whole else self._wait_for_batch(ready)
        if not due:
            return
        batches = self._link.taken_ahead() or self._read(due, ">", BLOCK_MS if whole else 1)
        for number, (key, entries) in enumerate(batches, 1):
            stream, last = key.decode(), number == len(batches)
            if self._leases.owns(self._draft.id, stream):
                if last and whole and self._in_one_command(due):
                    self._link.read_ahead(self._reading(due, ">"))
                if not self._execute(stream, entries, settle_later=last):
                    return

    def _release(self, stream: str) -> None:
        self._link.settle()
        if ahead := self._link.ahead_of(stream.encode()):
            self._attempts.left_on_purpose(stream, ahead[0][0].decode())
            self._link.drop_ahead(stream.encode())
        self._held.discard(stream)
        self._prepared.discard(stream)
        self._leases.release(self._draft.id, stream)

    def _look_for_pending(self) -> None:
        """Prepare a stream anew if it has pending entries: between two rounds only what was read ahead is in hand."""
        if time.monotonic() - self._looked_for_pending < PENDING_INTERVAL:
            return
        self._looked_for_pending = time.monotonic()
        for stream in tuple(self._prepared):
            if self._command("XPENDING", stream, GROUP)[0] > len(self._link.ahead_of(stream.encode())):
                self._prepared.discard(stream)

    def _streams(self) -> list[str]:
        """Keys that the registration is about: the exact one, or those under its prefix."""
        pattern: str = self._arguments["stream"]
        if not pattern.endswith("*"):
            return [pattern]
        scanned, found = self._scanned
        if time.monotonic() - scanned > SCAN_INTERVAL:
            prefix, cursor, keys = pattern[:-1].encode(), b"0", set[bytes]()
            while True:
                cursor, page = self._command("SCAN", cursor, "COUNT", 1000, "TYPE", "stream")
                keys.update(key for key in page if self._is_about(key, prefix))
                if cursor == b"0":
                    break
            found = sorted(name for key in keys if (name := self._name(key)) is not None)
            self._scanned = (time.monotonic(), found)
        return found

    def _is_about(self, key: bytes, prefix: bytes) -> bool:
        # what the workers write down of an execution is a stream, too, which would raise the next execution
        own = key.startswith(key_names.PREFIX.encode()) and not prefix.startswith(key_names.PREFIX.encode())
        return key.startswith(prefix) and not own

    def _name(self, key: bytes) -> str | None:
        """A stream's name; None, and a report once, of one that is not UTF-8: gears know streams by text."""
        try:
            return key.decode()
        except UnicodeDecodeError:
            if key not in self._unnamed:
                self._unnamed.add(key)
                self._report(f"the stream {key!r} is left out: its name is not UTF-8")
            return None

    def _prepare(self, stream: str) -> bool:
        """Make the group and run over what is pending; False while there is no such stream, or after a failure."""
        if not self._command("EXISTS", stream):
            if len(self._held) == 1:
                # wakes up with the first entry, and makes no key meanwhile
                self._command("XREAD", "BLOCK", BLOCK_MS, "COUNT", 1, "STREAMS", stream, "0-0")
            return False
        new = stream not in (self._at_start or ())
        try:
            self._command("XGROUP", "CREATE", stream, GROUP, "0")
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            new = False  # another worker, or one before this, has begun with it
        self._left_over[stream] = (0, 0) if new else _parts(self._command("EVAL", NEWEST, 1, stream))
        self._link.drop_ahead(stream.encode())  # that is pending, too
        first = True
        while True:
            pending = self._read([stream], "0")
            entries = pending[0][1] if pending else []
            if entries and not self._may_try(stream, entries[0][0], first=first):
                return False
            # RedisGears runs, and counts, one execution at the first sight of a stream even when nothing is pending
            if (entries or first) and not self._execute(stream, entries):
                return False
            if not entries:
                break
            first = False
        self._prepared.add(stream)
        return True

    def _may_try(self, stream: str, entry_id: bytes, *, first: bool) -> bool:
        """Whether a batch that was left pending, perhaps by a worker that it killed, is to be run again.

        Only the first may have done that: what is pending behind it was read ahead.
        """
        crashes = 0 if entry_id in self._left_pending or not first else 1
        verdict = self._attempts.may_try(stream, entry_id.decode(), crashes=crashes)
        if verdict is Verdict.GO:
            self._attempted.add(stream)
            return True
        if verdict is Verdict.WAIT:
            self._stopping.wait(RETRY_DELAY)
            return False
        self._aborted = True
        reason = (
            f"{MAX_CRASHES} workers in a row died while they ran this over entry {entry_id.decode()} of {stream}: "
            f"the registration is paused, and RG.UNPAUSEREGISTRATIONS {self._draft.id} tries it again"
        )
        self._executor.pause(self._draft.id, reason)
        return False

    def _read(self, streams: list[str], after: str, wait_ms: int | None = None) -> list[Batch]:
        """The next batches of streams, or those that are pending where `after` is "0"."""
        if self._in_one_command(streams):
            return self._link.read(self._reading(streams, after, wait_ms))
        found = [batch for stream in streams for batch in self._link.read(self._reading([stream], after))]
        if not found:
            self._stopping.wait(POLL_DELAY)
        return found

    def _reading(self, streams: list[str], after: str, wait_ms: int | None = None) -> CommandArgs:
        """The command that reads batches of streams."""
        wait = () if wait_ms is None else ("BLOCK", wait_ms)
        count = self._arguments["batchSize"]
        afters = [after] * len(streams)
        return ("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count, *wait, "STREAMS", *streams, *afters)

    def _command(self, *words: Any) -> Any:
        return self._link.command(words)

    def _in_one_command(self, streams: list[str]) -> bool:
        """Whether one command may name all these streams: those of a cluster must lie in one slot for that."""
        return shard.tag(self._client) is None or shard.same_slot(*streams)

    def _wait_for_batch(self, streams: list[str]) -> list[str]:
        """The streams whose next batch may begin; waits a while where there is none.

        A batch begins when it is whole, when its oldest entry has waited `durationMS`, or at once if that was there
        before this runner had the stream.
        """
        batch, duration = self._arguments["batchSize"], self._arguments["durationMS"]
        due, newest = [], []
        for stream in streams:
            count, last_delivered, first, last = self._command("EVAL", UNREAD, 1, stream, batch, GROUP)
            if count and (count >= batch or self._is_left_over(stream, first) or self._has_waited(stream, first)):
                due.append(stream)
            newest.append(last if count else last_delivered)
        if due:
            return due
        if not self._in_one_command(streams):
            self._stopping.wait(POLL_DELAY)
            return []
        block = min(BLOCK_MS, duration) if duration else BLOCK_MS
        self._command("XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", *streams, *newest)
        return []

    def _is_left_over(self, stream: str, entry_id: bytes) -> bool:
        """Whether an entry was there before this runner had the stream."""
        return _parts(entry_id) <= self._left_over.get(stream, (0, 0))

    def _has_waited(self, stream: str, entry_id: bytes) -> bool:
        """Whether a stream's first waiting entry has been that for `durationMS`."""
        duration = self._arguments["durationMS"]
        noted, since = self._waiting.get(stream, (b"", 0.0))
        if noted != entry_id:
            # by our own clock: ids need not tell the time, nor come from a clock like ours
            since = time.monotonic()
            self._waiting[stream] = (entry_id, since)
        return bool(duration) and (time.monotonic() - since) * 1000 >= duration

    def _execute(self, stream: str, entries: Entries, *, settle_later: bool = False) -> bool:
        """Run the chain over one batch and settle it; False when nothing more may be read for now.

        Args:
            stream: Where the entries are from.
            entries: The batch.
            settle_later: The next command may settle it, since that follows at once.
        """
        self.busy = True
        if entries:
            self._left_pending.add(entries[0][0])
        try:
            # an entry deleted since it was delivered comes back without fields: only its acknowledgement is left to do
            records = [stream_record(stream, entry_id, fields) for entry_id, fields in entries if fields is not None]
            execution_id, outcome = self._executor.execute(self._context, self._draft, lambda: records)
            fields = fields_of(execution_id, outcome.status, self._executor.host.id, outcome, self._draft.steps)
            keep = self._executor.options.number("MaxExecutionsPerRegistration")
            memory = remember_registered(self._client, self._draft.id, fields, keep=keep)
            if outcome.errors and outcome.errors[0].startswith(PAUSE):
                return self._settle_paused(memory, stream, entries, outcome)
            failed = outcome.errors or outcome.status == "aborted"
            if failed and self._arguments["onFailedPolicy"] != "continue":
                return self._settle_failed(memory, stream, entries, outcome)
            self._settle(memory, stream, entries, outcome)
            if not settle_later or stream in self._attempted:
                self._link.settle()
        finally:
            self.busy = False
        if stream in self._attempted:
            self._attempted.discard(stream)
            self._attempts.survived(stream)
        self._left_pending.clear()
        return not self._stopping.is_set()

    def _settle(self, memory: CommandArgs, stream: str, entries: Entries, outcome: Outcome) -> None:
        """Have the batch counted, acknowledged and trimmed."""
        oldest = entries[0][0] if entries else None
        commands = [memory, *statistics.count_outcome(self._client, self._draft.id, outcome, oldest_id=oldest)]
        if entries:
            commands.append(("XACK", stream, GROUP, *(entry_id for entry_id, _ in entries)))
            if self._arguments["trimStream"]:
                milliseconds, sequence = entries[-1][0].split(b"-")
                # by id, not by length: an entry added in this moment must not push out an unread one
                commands.append(("XTRIM", stream, "MINID", b"%s-%d" % (milliseconds, int(sequence) + 1)))
        self._link.unsettled = self._together(commands)

    def _together(self, commands: list[CommandArgs]) -> list[CommandArgs]:
        """The commands as a transaction, unless they are about several slots of a cluster."""
        return in_transaction(commands) if shard.tag(self._client) is None else commands

    def _settle_failed(self, memory: CommandArgs, stream: str, entries: Entries, outcome: Outcome) -> bool:
        """Leave the batch pending: for ever under `abort`, for a while under `retry`."""
        retry = self._arguments["onFailedPolicy"] == "retry"
        # that it is aborted is kept with the registration, which outlasts FLUSHALL and this worker
        status = "WAITING_FOR_RETRY_ON_FAILURE" if retry else "OK"
        self._leave(memory, stream, entries, outcome, status=status)
        if retry:
            self._stopping.wait(self._arguments["retryInterval"])
        else:
            self._executor.abort(self._draft.id)
        self._aborted = not retry
        return False

    def _settle_paused(self, memory: CommandArgs, stream: str, entries: Entries, outcome: Outcome) -> bool:
        """Pause the registration, as the gear has asked for by an error that begins with PAUSE."""
        self._leave(memory, stream, entries, outcome, status="OK")
        self._aborted = True
        self._executor.pause(self._draft.id)
        return False

    def _leave(self, memory: CommandArgs, stream: str, entries: Entries, outcome: Outcome, *, status: str) -> None:
        """Count a batch, and leave it pending."""
        counts = statistics.count_outcome(self._client, self._draft.id, outcome, status=status)
        self._link.unsettled = self._together([memory, *counts])
        self._link.settle()
        if entries:
            self._attempts.left_on_purpose(stream, entries[0][0].decode())
            self._attempted.add(stream)
        self._prepared.clear()

    def _report(self, reason: str) -> None:
        """Show a reason that keeps the registration from reading in its lastError."""
        logger.warning("registration %s on %s: %s", self._draft.id, self._arguments["stream"], reason)
        try:
            statistics.report(self._client, self._draft.id, reason)
        except redis.RedisError as error:
            logger.warning("registration %s: %s", self._draft.id, error)


def _parts(entry_id: bytes) -> tuple[int, int]:
    """An entry's id as it is ordered."""
    milliseconds, sequence = entry_id.split(b"-")
    return int(milliseconds), int(sequence)
