"""The queues in which runs wait for their device. Each queue has one thread, which does one run (or batch) at a time.

The name of a queue is the device as the client spelled it, in upper case. So `CPU` and `CPU:1` are two queues and run
side by side, although both use the same processor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from rededge_nb.edge.ai.execution.batches import Batching, Inputs, Outputs
from rededge_nb.edge.switchboard.calls import CommandError

MAX_WAITING = 1_000
"""How many runs may wait for one device; further ones are refused."""
MAX_WAIT = 120.0
"""Seconds after which a waiting run is dropped. By then the switchboard has sent the caller an error."""
IDLE_TIMEOUT = 10.0
"""Seconds without work after which the thread of a device ends."""


class TimedOutError(Exception):
    """A run waited longer than its TIMEOUT."""


@dataclass(eq=False)
class Job:
    """One run that waits for its device."""

    device: str
    run: Callable[[Sequence[Inputs]], list[Outputs]]
    """Runs several jobs of the same group at once and returns their outputs, in order."""
    inputs: Inputs
    timeout: float | None = None
    """Seconds that the job may wait."""
    group: Hashable | None = None
    """Jobs of the same group may be joined; a job without a group is never joined."""
    samples: int = 1
    batching: Batching = field(default_factory=Batching)
    before: Callable[[], None] | None = None
    """Called directly before the run, in the device's thread, unless the job is joined with others."""
    result: Future[Outputs] = field(default_factory=Future)
    queued_at: float = field(default_factory=time.monotonic)

    @property
    def deadline(self) -> float:
        """When the job is dropped if it still waits, by the monotonic clock."""
        return self.queued_at + (MAX_WAIT if self.timeout is None else min(self.timeout, MAX_WAIT))

    @property
    def wake_up_at(self) -> float:
        """When the device's thread must look at this job again, by the monotonic clock."""
        max_wait = self.batching.max_wait
        return min(self.deadline, self.queued_at + max_wait) if self.group is not None and max_wait else self.deadline


class Queues:
    """The queues of all devices of a process; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: dict[str, threading.Condition] = {}
        self._waiting: dict[str, list[Job]] = {}
        self._processor_seconds: dict[str, float] = {}

    def processor_seconds(self) -> dict[str, float]:
        """By device: the processor time of its thread, without the threads that a backend starts itself."""
        return dict(self._processor_seconds)

    def submit(self, job: Job) -> Future[Outputs]:
        """Queue a job. Its future may raise CommandError, or TimedOutError if the job waited too long.

        Raises:
            CommandError: Too many runs wait for the device already.
        """
        with self._lock:
            waiting = self._waiting.get(job.device)
            if waiting is None:
                waiting = self._waiting[job.device] = []
                self._changed[job.device] = threading.Condition(self._lock)
                thread = threading.Thread(target=self._serve, args=(job.device,), name=f"ai-{job.device}", daemon=True)
                try:
                    thread.start()
                except BaseException:
                    # without the thread nobody would serve the queue; the next job tries to start one again
                    del self._waiting[job.device], self._changed[job.device]
                    raise
            if len(waiting) >= MAX_WAITING:
                raise CommandError(f"BUSYWORKER {len(waiting)} runs wait for {job.device} already")
            waiting.append(job)
            self._changed[job.device].notify()
        return job.result

    def _serve(self, device: str) -> None:
        while True:
            with self._lock:
                expired, batch = self._take(device)
                if not expired and not batch:
                    # an idle thread ends, and the next job starts another
                    del self._waiting[device], self._changed[device]
                    return
            for job in expired:
                if job.result.set_running_or_notify_cancel():
                    job.result.set_exception(TimedOutError())
            if batch:
                began = time.thread_time()
                _run(batch)
                seconds = self._processor_seconds.get(device, 0.0) + time.thread_time() - began
                self._processor_seconds[device] = seconds
            del expired, batch  # they refer to tensors, and the next wait may be long

    def _take(self, device: str) -> tuple[list[Job], list[Job]]:
        """Wait for work; returns the jobs that waited too long and the batch to run, both empty after IDLE_TIMEOUT."""
        waiting, changed = self._waiting[device], self._changed[device]
        while True:
            now = time.monotonic()
            expired = [job for job in waiting if job.deadline <= now]
            batch = [] if expired else next_batch(waiting, now)
            if expired or batch:
                taken = {id(job) for job in (*expired, *batch)}
                waiting[:] = [job for job in waiting if id(job) not in taken]
                return expired, batch
            wake_up_at = min((job.wake_up_at for job in waiting), default=now + IDLE_TIMEOUT)
            if not changed.wait(max(0.0, wake_up_at - now)) and not waiting:
                return [], []


def next_batch(waiting: Sequence[Job], now: float) -> list[Job]:
    """The jobs to run next, as one batch: the first job that need not wait, and later jobs of its group."""
    must_wait: set[Hashable] = set()
    for position, job in enumerate(waiting):
        if job.group is None or job.samples >= job.batching.size:
            return [job]
        if job.group in must_wait:
            continue
        batch, total = [], 0
        # max(): if MINBATCHSIZE is above BATCHSIZE, a batch of BATCHSIZE would never be large enough to run
        enough = max(job.batching.size, job.batching.min_samples)
        for other in waiting[position:]:
            if other.group == job.group:
                batch.append(other)
                total += other.samples
                if total >= enough:
                    break
        max_wait = job.batching.max_wait
        if total >= job.batching.min_samples or (max_wait and now - job.queued_at >= max_wait):
            return batch
        must_wait.add(job.group)
    return []


def _run(taken: Sequence[Job]) -> None:
    """Run a batch and complete its futures. Nothing may be raised here: it would end the device's thread."""
    batch = [job for job in taken if job.result.set_running_or_notify_cancel()]
    if not batch:
        return
    try:
        if len(batch) == 1 and batch[0].before is not None:
            # not for several jobs: each would hold a connection during the whole run
            batch[0].before()
        results = list(zip(batch, batch[0].run([job.inputs for job in batch]), strict=True))
    except BaseException as error:  # noqa: BLE001 - passed on to the callers
        reported = error if isinstance(error, Exception) else CommandError(f"ERR {type(error).__name__}: {error}")
        for job in batch:
            job.result.set_exception(reported)
        return
    for job, result in results:
        job.result.set_result(result)
