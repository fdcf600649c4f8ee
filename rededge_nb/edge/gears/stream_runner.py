"""Runs one StreamReader registration: reads its streams as a consumer group and executes its chain on each batch.

At least once: a batch is acknowledged only after its whole chain has ended, so a worker that dies in the middle leaves
it pending, and whoever owns the stream next begins with what is pending.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.gears.context import Context, entered
from rededge_nb.edge.gears.executions import Outcome, fields_of, queue_registered, run_chain
from rededge_nb.edge.gears.readers import stream_record
from rededge_nb.edge.gears.registrations import Draft, statistics_key

if TYPE_CHECKING:
    from rededge_nb.edge.worker import Worker

logger = logging.getLogger(__name__)

GROUP = "__gears_consumer_group__"
CONSUMER = "__gears_client__"
BLOCK_MS = 500
"""Longest wait in one read; a runner that is asked to stop notices within this."""
SCAN_INTERVAL = 1.0
"""Seconds between looks for new streams under a prefix."""
PENDING_INTERVAL = 2.0
"""Seconds between looks for entries that were left pending by a worker that lost its lease after reading them."""
RETRY_DELAY = 0.2
"""Seconds before another try at a stream that another worker owns, or a server that is away."""

Entries = list[tuple[bytes, list[bytes]]]


class StreamRunner:
    """A thread that runs one registration until stop()."""

    def __init__(self, worker: Worker, draft: Draft) -> None:
        self.busy = False
        """Whether a batch is in hand."""
        self._worker = worker
        self._draft = draft
        self._arguments = draft.arguments
        self._client = client_from_url(worker.url, name="rededge-worker-streams")
        self._client.response_callbacks.clear()
        self._stopping = threading.Event()
        self._aborted = False
        self._prepared: set[str] = set()
        self._scanned: tuple[float, list[str]] = (float("-inf"), [])
        self._held: set[str] = set()
        self._looked_for_pending = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"gear-{draft.id}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Stop after the batch in hand; False if that has not ended within `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with entered(Context(self._worker)):
            while not self._stopping.is_set() and not self._aborted:
                try:
                    self._round()
                except (redis.ConnectionError, redis.BusyLoadingError):
                    # whatever was in hand is still pending: begin with that when Redis is back
                    self._prepared.clear()
                    self._stopping.wait(RETRY_DELAY)
                except redis.ResponseError as error:
                    if not str(error).startswith("NOGROUP"):
                        self._report(str(error))
                        self._stopping.wait(RETRY_DELAY)
                    self._prepared.clear()
                except Exception:  # the thread must live on, or its streams stand still
                    logger.exception("registration %s", self._draft.id)
                    self._stopping.wait(RETRY_DELAY)
            try:
                for stream in self._held:
                    self._worker.engine.leases.release(stream)
            except redis.RedisError as error:
                logger.info("leases of registration %s run out by themselves: %s", self._draft.id, error)
            self._client.close()

    def _round(self) -> None:
        leases = self._worker.engine.leases
        streams = [stream for stream in self._streams() if leases.acquire(stream)]
        self._held.update(streams)
        self._prepared.intersection_update(streams)
        if not streams:
            self._stopping.wait(RETRY_DELAY)
            return
        for stream in streams:
            if stream not in self._prepared and not self._prepare(stream):
                return
        self._look_for_pending()
        wait_ms = BLOCK_MS if self._arguments["batchSize"] == 1 else self._wait_for_batch(streams)
        if wait_ms is None:
            return
        for stream, entries in self._read(streams, ">", wait_ms):
            if leases.owns(stream) and not self._execute(stream, entries):
                return

    def _look_for_pending(self) -> None:
        """Prepare a stream anew if it has pending entries: between two rounds none of them is in hand here."""
        if time.monotonic() - self._looked_for_pending < PENDING_INTERVAL:
            return
        self._looked_for_pending = time.monotonic()
        for stream in tuple(self._prepared):
            if self._client.execute_command("XPENDING", stream, GROUP)[0]:
                self._prepared.discard(stream)

    def _streams(self) -> list[str]:
        """Keys that the registration is about: the exact one, or those under its prefix."""
        pattern: str = self._arguments["stream"]
        if not pattern.endswith("*"):
            return [pattern]
        scanned, found = self._scanned
        if time.monotonic() - scanned > SCAN_INTERVAL:
            prefix, cursor, keys = pattern[:-1], b"0", set[str]()
            while True:
                cursor, page = self._client.execute_command("SCAN", cursor, "COUNT", 1000, "TYPE", "stream")
                keys.update(key.decode() for key in page if key.startswith(prefix.encode()))
                if cursor == b"0":
                    break
            found = sorted(keys)
            self._scanned = (time.monotonic(), found)
        return found

    def _prepare(self, stream: str) -> bool:
        """Make the group and run over what is pending; False while there is no such stream, or after a failure."""
        if not self._client.execute_command("EXISTS", stream):
            # wakes up with the first entry, and makes no key meanwhile
            self._client.execute_command("XREAD", "BLOCK", BLOCK_MS, "COUNT", 1, "STREAMS", stream, "0-0")
            return False
        try:
            self._client.execute_command("XGROUP", "CREATE", stream, GROUP, "0")
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        pending = self._read([stream], "0", None, count=self._arguments["batchSize"])
        entries = pending[0][1] if pending else []
        while True:
            # RedisGears runs, and counts, one execution at the first sight of a stream even when nothing is pending
            if not self._execute(stream, entries):
                return False
            pending = self._read([stream], "0", None, count=self._arguments["batchSize"]) if entries else []
            entries = pending[0][1] if pending else []
            if not entries:
                break
        self._prepared.add(stream)
        return True

    def _read(self, streams: list[str], after: str, wait_ms: int | None, count: int | None = None) -> list[Any]:
        words: list[Any] = ["XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count or self._arguments["batchSize"]]
        if wait_ms is not None:
            words += ["BLOCK", max(wait_ms, 1)]
        found = self._client.execute_command(*words, "STREAMS", *streams, *([after] * len(streams)))
        return [(stream.decode(), entries) for stream, entries in found or ()]

    def _wait_for_batch(self, streams: list[str]) -> int | None:
        """Wait until a stream has a whole batch, or its oldest entry has waited `durationMS`; None if not yet."""
        batch, duration = self._arguments["batchSize"], self._arguments["durationMS"]
        for stream in streams:
            waiting = self._unread(stream, batch)
            if len(waiting) >= batch:
                return 1
            age = int(time.time() * 1000) - int(waiting[0].split(b"-")[0]) if waiting else 0
            if waiting and duration and age >= duration:
                return 1
        last = [(self._last_delivered(stream), stream) for stream in streams]
        newest = [entry_ids[-1] if (entry_ids := self._unread(stream, batch)) else after for after, stream in last]
        block = min(BLOCK_MS, duration) if duration else BLOCK_MS
        self._client.execute_command("XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", *streams, *newest)
        return None

    def _unread(self, stream: str, most: int) -> list[bytes]:
        """Ids of the oldest entries that the group has not read, at most `most`."""
        after = self._last_delivered(stream)
        entries = self._client.execute_command("XRANGE", stream, b"(" + after, "+", "COUNT", most)
        return [entry_id for entry_id, _ in entries]

    def _last_delivered(self, stream: str) -> bytes:
        for flat in self._client.execute_command("XINFO", "GROUPS", stream):
            group = dict(zip(flat[::2], flat[1::2], strict=True))
            if group[b"name"] == GROUP.encode():
                last: bytes = group[b"last-delivered-id"]
                return last
        raise redis.ResponseError(f"NOGROUP no consumer group {GROUP} on {stream}")

    def _execute(self, stream: str, entries: Entries) -> bool:
        """Run the chain over one batch and settle it; False when nothing more may be read for now."""
        self.busy = True
        try:
            # an entry deleted since it was delivered comes back without fields: only its acknowledgement is left to do
            records = [stream_record(stream, entry_id, fields) for entry_id, fields in entries if fields is not None]
            outcome = run_chain(records, self._draft.steps)
            if outcome.errors and self._arguments["onFailedPolicy"] != "continue":
                return self._settle_failed(outcome)
            self._settle(stream, entries, outcome)
        finally:
            self.busy = False
        return not self._stopping.is_set()

    def _settle(self, stream: str, entries: Entries, outcome: Outcome) -> None:
        """Acknowledge and trim the batch, and count it, in one round trip."""
        pipeline = self._client.pipeline(transaction=True)
        if entries:
            pipeline.execute_command("XACK", stream, GROUP, *(entry_id for entry_id, _ in entries))
            if self._arguments["trimStream"]:
                milliseconds, sequence = entries[-1][0].split(b"-")
                # by id, not by length: an entry added in this moment must not push out an unread one
                pipeline.execute_command("XTRIM", stream, "MINID", b"%s-%d" % (milliseconds, int(sequence) + 1))
        self._queue_statistics(pipeline, outcome, "OK", entries)
        pipeline.execute()

    def _settle_failed(self, outcome: Outcome) -> bool:
        """Leave the batch pending: for ever under `abort`, for a while under `retry`."""
        retry = self._arguments["onFailedPolicy"] == "retry"
        pipeline = self._client.pipeline(transaction=True)
        self._queue_statistics(pipeline, outcome, "WAITING_FOR_RETRY_ON_FAILURE" if retry else "ABORTED", [])
        pipeline.execute()
        if retry:
            self._stopping.wait(self._arguments["retryInterval"])
        self._aborted = not retry
        self._prepared.clear()
        return False

    def _queue_statistics(self, pipeline: Any, outcome: Outcome, status: str, entries: Entries) -> None:
        key = statistics_key(self._draft.id)
        for name, amount in (
            ("triggered", 1),
            ("failures" if outcome.errors else "success", 1),
            ("total_ms", outcome.milliseconds),
        ):
            pipeline.execute_command("HINCRBY", key, name, amount)
        values: list[Any] = ["status", status, "last_ms", outcome.milliseconds]
        values += ["last_error", outcome.errors[0] if outcome.errors else ""]
        if entries:
            lag = max(0, int(time.time() * 1000) - int(entries[0][0].split(b"-")[0]))
            values += ["last_lag_ms", lag]
            pipeline.execute_command("HINCRBY", key, "total_lag_ms", lag)
            pipeline.execute_command("HINCRBY", key, "lags", 1)
        pipeline.execute_command("HSET", key, *values)
        engine = self._worker.engine
        fields = fields_of(engine.execution_ids.next(), "done", self._worker.id, outcome, self._draft.steps)
        queue_registered(pipeline, self._draft.id, fields)

    def _report(self, reason: str) -> None:
        """Show a reason that keeps the registration from reading in its lastError."""
        logger.warning("registration %s on %s: %s", self._draft.id, self._arguments["stream"], reason)
        try:
            self._client.execute_command("HSET", statistics_key(self._draft.id), "last_error", reason)
        except redis.RedisError as error:
            logger.warning("registration %s: %s", self._draft.id, error)
