"""Which processor each thread of a run uses, when one inference uses all processors.

The problem. ONNX Runtime computes with the thread that calls it and some helper threads, which sleep between runs. When
they are woken, Linux should put each of them on a processor of its own, and on real hardware it does. In a virtual
machine it often puts all of them on the same processor: Linux looks for an idle one with `available_idle_cpu()`, which
excludes processors that the host has taken away (`vcpu_is_preempted()`), and a virtual processor that sleeps looks just
like that. Then the threads of a run take turns on one processor although the other one is idle. On two cores the people
model takes 17 to 20 ms instead of 12: nearly always after a pause (at 10 frames a second), and now and then without
one.

Threads that spin instead of sleeping are not woken and so are not moved, but they keep a processor busy all the time,
and the run takes 20 ms instead of 15 while another process is busy.

The solution. Every helper is pinned to one processor, and the calling thread is pinned to the one that it is on for as
long as the run takes. If the caller is on the processor of a helper, the helpers are moved first.

This is done only if a run uses all processors that the process may use. Otherwise Linux has idle processors to choose
from, and pinning would only prevent it from avoiding a busy one. Several threads may run the same model at the same
time; the helpers then stay where the first of them put them.

How the helpers are found. ONNX Runtime does not report its threads. Its option `session.intra_op_thread_affinities`
starts each helper on a given processor. The threads that are new after a session was made, and are pinned to exactly
these processors, are its helpers. If that does not fit, for example because another thread was started at the same
time, nothing is pinned later: runs are slower then, but correct.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rededge_nb.edge import processors

_TASKS = Path("/proc/self/task")


class ThreadAffinity:
    """Pins the threads of one model's runs to different processors; safe to use from any thread.

    Args:
        threads: Threads of a run, including the caller.
    """

    def __init__(self, threads: int) -> None:
        self._current_processor = _sched_getcpu()
        self._processors = processors.used_by_run(threads) if self._current_processor else []
        self._helpers: list[int] = []
        """Thread ids."""
        self._callers_processor: int | None = None
        """The processor on which there is no helper."""
        self._lock = threading.Lock()
        self._running = 0

    @property
    def initial(self) -> list[int]:
        """The processor on which each helper must be started; empty if helpers are not to be pinned."""
        return self._processors[1:]

    @contextlib.contextmanager
    def adopt(self) -> Iterator[None]:
        """Find the helpers among the threads that are started in this block: they are pinned as `initial` says."""
        if not self._processors:
            yield
            return
        before = _threads()
        yield
        affinities = {thread: _affinity(thread) for thread in _threads() - before}
        pinned = {min(numbers): thread for thread, numbers in affinities.items() if len(numbers) == 1}
        if sorted(pinned) == self.initial:
            self._helpers = list(pinned.values())
            self._callers_processor = self._processors[0]

    @contextlib.contextmanager
    def pinned(self) -> Iterator[None]:
        """Pin the calling thread where it is, and the helpers elsewhere unless another thread is running the model."""
        if not self._helpers or self._current_processor is None:
            yield
            return
        before, current = os.sched_getaffinity(0), self._current_processor()
        with self._lock:
            self._running += 1
            if self._running == 1 and current != self._callers_processor:
                self._callers_processor = current
                others = (number for number in self._processors if number != current)
                for helper, number in zip(self._helpers, others, strict=False):
                    _pin(helper, {number})
        try:
            _pin(0, {current})
            yield
        finally:
            _pin(0, before)
            with self._lock:
                self._running -= 1


def _sched_getcpu() -> Callable[[], int] | None:
    """The C function that returns the number of the current processor; None if the system does not have it."""
    if not (hasattr(os, "sched_getaffinity") and _TASKS.is_dir()):
        return None
    function: Callable[[], int] | None = getattr(ctypes.CDLL(None), "sched_getcpu", None)
    return function


def _threads() -> set[int]:
    return {int(task.name) for task in _TASKS.iterdir()}


def _affinity(thread: int) -> set[int]:
    try:
        return os.sched_getaffinity(thread)
    except OSError:  # the thread has ended
        return set()


def _pin(thread: int, numbers: set[int]) -> None:
    with contextlib.suppress(OSError):  # the process may not use these processors any more
        os.sched_setaffinity(thread, numbers)
