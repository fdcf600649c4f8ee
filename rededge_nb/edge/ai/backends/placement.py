"""Which processors the threads of a run are on, where the kernel would put them all on one.

In a virtual machine Linux takes a processor that sleeps for one that the host has taken away (`vcpu_is_preempted` in
its `available_idle_cpu`), and so wakes the threads of a run that comes after a pause on one and the same: the people
model takes 17 to 20 ms then instead of 12 on two cores. Spinning threads would not fall asleep, but burn a core.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

PAUSE = 0.010
"""Seconds without a run after which the next finds the processors asleep."""


class Placement:
    """The processors of one model's runs; safe to use from any thread.

    Where a run takes all processors that the process may use, each helper has one of its own, and a caller that comes
    after a pause has the one that is left. Anywhere else the kernel has room to do better, and nothing is done.

    Args:
        threads: threads of a run, its caller among them.
    """

    def __init__(self, threads: int) -> None:
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        fits = len(allowed) == threads > 1
        self.helpers: list[int] = allowed[1:] if fits else []
        """A processor for each thread but the caller; empty where that is left to the kernel."""
        self._caller = {allowed[0]} if fits else None
        self._ended = float("-inf")

    @contextlib.contextmanager
    def of_run(self) -> Iterator[None]:
        """Keep the calling thread off the helpers' processors, if the run inside comes after a pause."""
        if self._caller is None or time.monotonic() - self._ended < PAUSE:
            before = None
        else:
            before = os.sched_getaffinity(0)
            _move_to(self._caller)
        try:
            yield
        finally:
            if before is not None:
                _move_to(before)
            self._ended = time.monotonic()


def _move_to(processors: set[int]) -> None:
    with contextlib.suppress(OSError):  # they were taken from the process meanwhile
        os.sched_setaffinity(0, processors)
