"""Runs one StreamReader registration: reads its streams as a consumer group, and runs its chain over each batch.

This is the path that every frame of every camera takes, and it must not lose an entry, whatever dies. Why it is built
as it is:

**At least once.** A batch is acknowledged only after its whole chain has ended. If the worker dies in between, the
batch is still pending, and the next owner of the stream begins with what is pending. So a chain may run twice over a
batch, but never not at all. All workers read under one consumer name, as RedisGears does: what a dead worker left
pending is then simply read by `XREADGROUP ... 0`, and no XCLAIM has to guess how long a worker must be silent to be
dead. This is safe because only one worker at a time reads a stream (owned_streams.py, state/leases.py).

**A worker that lost its lease** (it was stopped for a while, say) may have read a batch that it must not run any more.
The runner asks after reading whether it still owns the stream, and leaves the batch pending if not. The owner looks for
such entries every PENDING_INTERVAL seconds.

**Few round trips.** A frame takes about 15 ms, most of it in the model; two round trips to Redis took a third of a
millisecond of that. Now there is usually one for each batch: the commands that finish a batch go with the one that
reads the next (stream_connection.py). While the chain runs over a batch of one entry, the next entry is already
requested. It is pending then although nobody has begun with it, which the crash guard must know (acknowledgements.py).
Reading a batch before the last one was acknowledged, and packing commands ourselves, were tried too, and gained nothing
that could be measured.

**Which error means what.** If the server is away, nothing has failed: the batch is still pending, and the runner begins
with that when the server is back. NOGROUP means that somebody deleted the stream or the group: it is created again. Any
other error of Redis is shown in lastError and tried again. The thread never ends because of an error: nobody would
notice, and its streams would stand still.

**RedisGears' habits** that programs rely on: when a stream is first seen, one execution runs and is counted, even if
nothing is pending; an error text that begins with PAUSE pauses the registration.

The parts: owned_streams.py says which streams are read, due_batches.py when a batch is due, acknowledgements.py what
happens to a batch afterwards.
"""

from __future__ import annotations

import logging
import threading
import time

import redis

from rededge_nb.edge.client import RETRY_DELAY, CommandArgs, shard, worker_client
from rededge_nb.edge.gears.chain.readers import stream_record
from rededge_nb.edge.gears.runners.acknowledgements import Acknowledgements, Entries
from rededge_nb.edge.gears.runners.due_batches import BLOCK_MS, POLL_DELAY, DueBatches
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runners.new_streams import NewStreams
from rededge_nb.edge.gears.runners.owned_streams import OwnedStreams
from rededge_nb.edge.gears.runners.stream_connection import Batch, StreamConnection
from rededge_nb.edge.gears.runners.sync_stream import SyncStream
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import ExecutionAbortedError, GearsForceStopped
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.edge.gears.state import statistics
from rededge_nb.edge.gears.state.crashes import MAX_STREAMS, Verdict
from rededge_nb.schema import GEAR_GROUP as GROUP

logger = logging.getLogger(__name__)

CONSUMER = "__gears_client__"
"""The one consumer of the group; RedisGears' own name for it."""
PENDING_INTERVAL = 2.0
"""Seconds between two searches for entries that a worker read and left pending because it lost its lease."""
PAUSE = "PAUSE"
"""An error whose text begins so pauses the registration."""


class StreamRunner:
    """A thread that runs one registration until stop()."""

    def __init__(self, executor: GearExecutor, draft: Draft, session_id: str) -> None:
        self.busy = False
        """Whether a chain is running."""
        self._executor = executor
        self._draft = draft
        self._arguments = draft.arguments
        self._client = worker_client(executor.host.url, name="rededge-worker-streams")
        self._client.response_callbacks.clear()
        self._connection = StreamConnection(self._client)
        self._stopping = threading.Event()
        self._stopped_itself = False
        """Whether the registration was paused or aborted by this runner, which must not go on."""
        self._streams = OwnedStreams(
            executor.leases, draft.id, self._arguments["stream"], self._connection, self._report
        )  # fmt: skip
        self._due = DueBatches(self._connection, self._arguments, self._stopping, self._in_one_command)
        self._acknowledgements = Acknowledgements(
            self._client, self._connection, executor.host, draft, executor.retry_slot
        )
        self._prepared: set[str] = set()
        """Streams that have a group and nothing pending: their new entries can be read."""
        self._searched_pending_at = time.monotonic()
        self._proved: set[str] = set()
        """Streams of which a first new batch has been tried under the guard."""
        self._context = Context(executor, session_id=session_id)
        self._sync = SyncStream(executor, draft) if draft.mode == "sync" else None
        stream = self._arguments["stream"]
        self._new_streams = (
            NewStreams(executor.host.url, stream[:-1], self._connection.unblock, self._stopping)
            if stream.endswith("*")
            else None
        )
        self._thread = threading.Thread(target=self._run, name=f"gear-{draft.id}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Stop after the batch that is running; False if it has not ended within `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with entered(self._context):
            while not self._stopping.is_set() and not self._stopped_itself:
                try:
                    self._round()
                except (redis.ConnectionError, redis.BusyLoadingError):
                    self._prepared.clear()  # begin with what is pending
                    self._stopping.wait(RETRY_DELAY)
                except redis.ResponseError as error:
                    if not str(error).startswith("NOGROUP"):
                        self._report(shard.describe_error(error))
                        self._stopping.wait(RETRY_DELAY)
                    self._prepared.clear()
                except (GearsForceStopped, ExecutionAbortedError):  # it was meant for an execution that had just ended
                    self._prepared.clear()
                except BaseException:  # the thread must go on, or its streams stand still
                    logger.exception("registration %s", self._draft.id)
                    self._prepared.clear()  # what was read before a timeout is pending, and runs before newer entries
                    self._stopping.wait(RETRY_DELAY)
            if self._sync is not None:
                self._sync.stop()
            try:
                self._connection.flush()
                for stream in self._streams.all:
                    self._release(stream)
                self._streams.leave()
            except redis.RedisError as error:
                logger.info("leases of registration %s run out by themselves: %s", self._draft.id, error)
            self._client.close()

    def _round(self) -> None:
        """Run the batches that are due now; wait a moment if there are none."""
        if self._new_streams is not None and self._new_streams.created.is_set():
            self._new_streams.created.clear()
            self._streams.search_now()
        for stream in self._streams.to_release():
            self._release(stream)
        streams = self._streams.acquire()
        self._prepared.intersection_update(streams)
        if not streams:
            self._connection.flush()
            (self._stopping if self._new_streams is None else self._new_streams.created).wait(RETRY_DELAY)
            return
        ready = [stream for stream in streams if stream in self._prepared or self._prepare(stream)]
        if not ready and len(streams) > 1:
            self._stopping.wait(RETRY_DELAY)
        if not ready or self._stopping.is_set() or self._stopped_itself:
            self._connection.flush()
            return
        self._search_pending()
        single = self._due.single
        due = ready if single else self._due.wait(ready)
        if not due:
            return
        batches = self._connection.prefetched() or self._read(due, ">", BLOCK_MS if single else 1)
        for number, (key, entries) in enumerate(batches, 1):
            stream, is_last = key.decode(), number == len(batches)
            if self._streams.owns(stream):
                if is_last and single and self._in_one_command(due):
                    self._connection.prefetch(self._read_command(due, ">"))
                if not self._proven(stream, entries[0][0]) or not self._execute(stream, entries, at_once=not is_last):
                    return
            else:
                self._prepared.discard(stream)  # whoever owns it next begins with this batch, which is pending

    def _proven(self, stream: str, entry_id: bytes) -> bool:
        """Whether a new batch may run; after the death of a worker, the first one of a stream runs under the guard."""
        if not self._executor.retry_slot.cautious or stream in self._proved:
            return True
        self._proved.add(stream)
        return self._acknowledgements.begin_retry(stream, entry_id, self._stopping)

    def _release(self, stream: str) -> None:
        """Give a stream to other workers; it is called between two batches."""
        self._connection.flush()
        self._acknowledgements.drop_prefetched(stream)
        self._prepared.discard(stream)
        self._streams.release(stream)

    def _search_pending(self) -> None:
        """Prepare a stream again if more is pending than was prefetched."""
        if time.monotonic() - self._searched_pending_at < PENDING_INTERVAL:
            return
        self._searched_pending_at = time.monotonic()
        for stream in tuple(self._prepared):
            pending = self._connection.command("XPENDING", stream, GROUP)[0]
            if pending > len(self._connection.prefetched_of(stream.encode())):
                self._prepared.discard(stream)

    def _prepare(self, stream: str) -> bool:
        """Create the group and run what is pending; False if there is no such stream, or after a failure."""
        if not self._connection.command("EXISTS", stream):
            if len(self._streams.all) == 1:
                # returns when the first entry is added, and does not create the key
                self._connection.command("XREAD", "BLOCK", BLOCK_MS, "COUNT", 1, "STREAMS", stream, "0-0")
            return False
        is_new = self._streams.appeared_later(stream)
        try:
            self._connection.command("XGROUP", "CREATE", stream, GROUP, "0")
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            is_new = False  # some worker has read it before
        self._due.start(stream, is_new=is_new)
        self._connection.drop_prefetched(stream.encode())  # it is pending, too
        is_first = True
        while True:
            pending = self._read([stream], "0")
            entries = pending[0][1] if pending else []
            if entries and not self._may_run(stream, entries[0][0], is_first=is_first):
                self._acknowledgements.end_retry()
                return False
            # RedisGears runs, and counts, one execution at the first sight of a stream, even if nothing is pending
            if (entries or is_first) and not self._execute(stream, entries, at_once=True):
                return False
            if not entries:
                break
            is_first = False
        self._prepared.add(stream)
        return True

    def _may_run(self, stream: str, entry_id: bytes, *, is_first: bool) -> bool:
        """Whether a pending batch may run. If it has killed too many workers, the registration is paused."""
        verdict = self._acknowledgements.may_run(stream, entry_id, is_first=is_first)
        if verdict is Verdict.WAIT:
            self._stopping.wait(RETRY_DELAY)
        if verdict is Verdict.CRASHED:
            reason = (
                f"{self._acknowledgements.deaths} workers in a row died while they ran this over entry "
                f"{entry_id.decode()} of {stream}: the registration is paused, and RG.UNPAUSEREGISTRATIONS "
                f"{self._draft.id} tries it again"
            )
            self._executor.pause(self._draft.id, reason)
            self._stopped_itself = True
        if verdict is Verdict.CODE_CRASHED:
            reason = (
                f"workers died while they ran this code on {MAX_STREAMS} streams, last over entry "
                f"{entry_id.decode()} of {stream}: all registrations with this code are paused, and "
                "RG.UNPAUSEREGISTRATIONS tries them again"
            )
            self._executor.pause_code(self._draft, reason)
            self._stopped_itself = True
        return verdict is Verdict.GO and self._acknowledgements.begin_retry(stream, entry_id, self._stopping)

    def _execute(self, stream: str, entries: Entries, *, at_once: bool) -> bool:
        """Run the chain over one batch; False if nothing more may be read for now.

        Args:
            stream: Where the entries are from.
            entries: The batch.
            at_once: Whether to wait for the acknowledgement, because no command follows immediately.
        """
        self.busy = True
        self._acknowledgements.begin(entries)
        try:
            # an entry that was deleted after it was delivered has no fields: it can only be acknowledged
            records = [stream_record(stream, entry_id, fields) for entry_id, fields in entries if fields is not None]
            execution_id, outcome = self._executor.execute(self._context, self._draft, lambda: records)
            keep = self._executor.options.number("MaxExecutionsPerRegistration")
            paused = bool(outcome.errors) and outcome.errors[0].startswith(PAUSE)
            failed = bool(outcome.errors) or outcome.status == "aborted"
            policy = self._arguments["onFailedPolicy"]
            if paused or (failed and policy != "continue"):
                retry = policy == "retry" and not paused
                # that a registration is aborted is stored with it, which outlives FLUSHALL and this worker
                status = "WAITING_FOR_RETRY_ON_FAILURE" if retry else "OK"
                self._acknowledgements.leave_pending(stream, entries, execution_id, outcome, keep=keep, status=status)
                self._prepared.clear()
                if retry:
                    self._stopping.wait(self._arguments["retryInterval"])
                else:
                    (self._executor.pause if paused else self._executor.abort)(self._draft.id)
                    self._stopped_itself = True
                return False
            self._acknowledgements.acknowledge(stream, entries, execution_id, outcome, keep=keep, at_once=at_once)
            self._acknowledgements.acknowledged(stream)
        finally:
            self.busy = False
            self._acknowledgements.end_retry()
            if self._sync is not None:
                self._sync.processed.set()
        return not self._stopping.is_set()

    def _read(self, streams: list[str], after: str, block_ms: int | None = None) -> list[Batch]:
        """The next batches of streams, or the first pending ones where `after` is "0"."""
        if self._in_one_command(streams):
            return self._connection.read(self._read_command(streams, after, block_ms))
        found = [batch for stream in streams for batch in self._connection.read(self._read_command([stream], after))]
        if not found:
            self._stopping.wait(POLL_DELAY)
        return found

    def _read_command(self, streams: list[str], after: str, block_ms: int | None = None) -> CommandArgs:
        block = () if block_ms is None else ("BLOCK", block_ms)
        count = self._arguments["batchSize"]
        afters = [after] * len(streams)
        return ("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count, *block, "STREAMS", *streams, *afters)

    def _in_one_command(self, streams: list[str]) -> bool:
        """Whether one command may name all these streams: in a Redis Cluster they must be in one slot."""
        return shard.tag(self._client) is None or shard.same_slot(*streams)

    def _report(self, reason: str) -> None:
        """Show in lastError why this registration cannot read."""
        logger.warning("registration %s on %s: %s", self._draft.id, self._arguments["stream"], reason)
        try:
            statistics.report(self._executor.state_client, self._draft.id, reason)
        except redis.RedisError as error:
            logger.warning("registration %s: %s", self._draft.id, error)
