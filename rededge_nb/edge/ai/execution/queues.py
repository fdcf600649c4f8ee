"""The queues in which runs wait for their device, each with a thread that takes them one after the other.

A queue is one device as clients spell it in upper case, so `CPU` and `CPU:1` run side by side on the same processor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rededge_nb.edge.ai.execution.batches import Batching, Inputs, Outputs
from rededge_nb.edge.switchboard.calls import CommandError, Simple

MAX_WAITING = 1_000
"""Runs that may wait for one device before the next is turned away."""
LONGEST_WAIT = 120.0
"""Seconds after which a run that still waits is dropped: its caller has had an error from the switchboard by then."""
IDLE = 10.0
"""Seconds after which the thread of a device that has nothing to do ends."""

TIMED_OUT = Simple("TIMEDOUT")

T = TypeVar("T")


class TimedOutError(Exception):
    """A run waited longer than its TIMEOUT."""


@dataclass(eq=False)
class Job:
    """One run that waits for its device."""

    device: str
    run: Callable[[Sequence[Inputs]], list[Outputs]]
    """Does the work of several jobs of a group at once; what it returns are their results, in order."""
    inputs: Inputs
    timeout: float | None = None
    """Seconds that it may wait."""
    group: Hashable | None = None
    """Jobs of one group may be done at once; None is done alone."""
    samples: int = 1
    batching: Batching = field(default_factory=Batching)
    before: Callable[[], None] | None = None
    """Called right before the run, in the device's thread, unless the job is joined with others."""
    result: Future[Outputs] = field(default_factory=Future)
    queued_at: float = field(default_factory=time.monotonic)

    @property
    def deadline(self) -> float:
        """When it no longer waits."""
        return self.queued_at + (LONGEST_WAIT if self.timeout is None else min(self.timeout, LONGEST_WAIT))


class Queues:
    """The queues of all devices of a process; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: dict[str, threading.Condition] = {}
        self._waiting: dict[str, list[Job]] = {}

    def submit(self, job: Job) -> Future[Outputs]:
        """Have a job done; the result may be a CommandError or, if it waited too long, a TimedOutError."""
        with self._lock:
            waiting = self._waiting.get(job.device)
            if waiting is None:
                waiting = self._waiting[job.device] = []
                self._changed[job.device] = threading.Condition(self._lock)
                thread = threading.Thread(target=self._serve, args=(job.device,), name=f"ai-{job.device}", daemon=True)
                try:
                    thread.start()
                except BaseException:
                    del self._waiting[job.device], self._changed[job.device]  # the next job tries again
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
                _do(batch)
            del expired, batch  # the next wait may be long, and they hold tensors

    def _take(self, device: str) -> tuple[list[Job], list[Job]]:
        """Wait for jobs that waited too long, or can be done at once; none of both after a time without any."""
        waiting, changed = self._waiting[device], self._changed[device]
        while True:
            now = time.monotonic()
            expired = [job for job in waiting if job.deadline <= now]
            batch = [] if expired else next_batch(waiting, now)
            if expired or batch:
                taken = {id(job) for job in (*expired, *batch)}
                waiting[:] = [job for job in waiting if id(job) not in taken]
                return expired, batch
            if not changed.wait(max(0.0, min(map(_wakes_at, waiting), default=now + IDLE) - now)) and not waiting:
                return [], []


def next_batch(waiting: Sequence[Job], now: float) -> list[Job]:
    """The jobs to do next, together: the first that is not held back, and those of its group that it takes along."""
    held: set[Hashable] = set()
    for position, job in enumerate(waiting):
        if job.group is None or job.samples >= job.batching.size:
            return [job]
        if job.group in held:
            continue
        batch, total = [], 0
        # a least number above the size would never come together if the size were enough
        enough = max(job.batching.size, job.batching.least)
        for other in waiting[position:]:
            if other.group == job.group:
                batch.append(other)
                total += other.samples
                if total >= enough:
                    break
        patience = job.batching.patience
        if total >= job.batching.least or (patience and now - job.queued_at >= patience):
            return batch
        held.add(job.group)
    return []


def then(future: Future[Any], function: Callable[[Any], T]) -> Future[T]:
    """The result of `function` of a future's result, computed in the thread that brings it; errors are passed on."""
    following: Future[T] = Future()

    def follow(done: Future[Any]) -> None:
        if not following.set_running_or_notify_cancel():
            return  # whoever waited gave up, such as a coroutine with a time limit
        try:
            following.set_result(function(done.result()))
        except Exception as error:  # noqa: BLE001 - whoever waits shall hear of it, whatever it is
            following.set_exception(error)

    future.add_done_callback(follow)
    return following


def or_timed_out(future: Future[Any]) -> Future[object]:
    """A future whose result says so if it waited too long."""
    following: Future[object] = Future()

    def follow(done: Future[Any]) -> None:
        if not following.set_running_or_notify_cancel():
            return
        error = done.exception()
        if isinstance(error, TimedOutError):
            following.set_result(TIMED_OUT)
        elif error is not None:
            following.set_exception(error)
        else:
            following.set_result(done.result())

    future.add_done_callback(follow)
    return following


def _wakes_at(job: Job) -> float:
    patience = job.batching.patience
    return min(job.deadline, job.queued_at + patience) if job.group is not None and patience else job.deadline


def _do(taken: Sequence[Job]) -> None:
    """Do jobs and tell what came of them; nothing that goes wrong may leave here and end the device's thread."""
    batch = [job for job in taken if job.result.set_running_or_notify_cancel()]
    if not batch:
        return
    try:
        if len(batch) == 1 and batch[0].before is not None:
            # not for each of a batch: what is taken before, such as a connection, is held for the whole run
            batch[0].before()
        results = list(zip(batch, batch[0].run([job.inputs for job in batch]), strict=True))
    except BaseException as error:  # noqa: BLE001 - the callers hear of it, and the thread goes on
        told = error if isinstance(error, Exception) else CommandError(f"ERR {type(error).__name__}: {error}")
        for job in batch:
            job.result.set_exception(told)
        return
    for job, result in results:
        job.result.set_result(result)
