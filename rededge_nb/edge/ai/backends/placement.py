"""Which processors the threads of a run are on, where the kernel would put them all on one.

In a virtual machine Linux takes a processor that sleeps for one that the host has taken away (`vcpu_is_preempted` in
its `available_idle_cpu`), and so wakes all threads of a run on one and the same: on two cores the people model takes 17
to 20 ms then instead of 12, after a pause nearly always, else now and then. Threads that spin would not be woken, but
burn a core.
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


class Placement:
    """Gives each thread of one model's runs a processor of its own; safe to use from any thread.

    That is done where a run takes all processors that the process may use: the caller stays where it is, and each
    helper gets one of the other processors. Anywhere else the kernel places the threads better, and nothing is done.

    Args:
        threads: threads of a run, its caller among them.
    """

    def __init__(self, threads: int) -> None:
        self._processor = _how_to_tell_the_processor()
        self._allowed = processors.taken_by_run(threads) if self._processor else []
        self._helpers: list[int] = []
        """Their thread ids."""
        self._away_from: int | None = None
        self._lock = threading.Lock()
        self._running = 0

    @property
    def at_first(self) -> list[int]:
        """A processor for each helper to start on; empty where that is left to the kernel."""
        return self._allowed[1:]

    @contextlib.contextmanager
    def of_helpers(self) -> Iterator[None]:
        """Find the helpers among the threads that are started inside: they are on the processors of `at_first`."""
        if not self._allowed:
            yield
            return
        before = _threads()
        yield
        places = {helper: _affinity(helper) for helper in _threads() - before}
        found = {min(where): helper for helper, where in places.items() if len(where) == 1}
        if sorted(found) == self.at_first:
            self._helpers = list(found.values())
            self._away_from = self._allowed[0]

    @contextlib.contextmanager
    def of_run(self) -> Iterator[None]:
        """Keep the calling thread in one place, and the helpers elsewhere, unless they are at work for another."""
        if not self._helpers or self._processor is None:
            yield
            return
        before, here = os.sched_getaffinity(0), self._processor()
        with self._lock:
            self._running += 1
            if self._running == 1 and here != self._away_from:
                self._away_from = here
                others = (number for number in self._allowed if number != here)
                for helper, number in zip(self._helpers, others, strict=False):
                    _move(helper, {number})
        try:
            _move(0, {here})
            yield
        finally:
            _move(0, before)
            with self._lock:
                self._running -= 1


def _how_to_tell_the_processor() -> Callable[[], int] | None:
    """What tells the processor that the calling thread is on; None where there is no such thing."""
    if not (hasattr(os, "sched_getaffinity") and _TASKS.is_dir()):
        return None
    tell: Callable[[], int] | None = getattr(ctypes.CDLL(None), "sched_getcpu", None)
    return tell


def _threads() -> set[int]:
    return {int(task.name) for task in _TASKS.iterdir()}


def _affinity(thread: int) -> set[int]:
    try:
        return os.sched_getaffinity(thread)
    except OSError:  # it has ended
        return set()


def _move(thread: int, numbers: set[int]) -> None:
    with contextlib.suppress(OSError):  # the process may not use them any more
        os.sched_setaffinity(thread, numbers)
