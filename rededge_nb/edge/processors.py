"""The processors that this process may use, and how many threads one run of a model takes."""

from __future__ import annotations

import os

MAX_THREADS = 4
"""The most threads that one run of a model takes, unless told otherwise."""


def allowed() -> list[int]:
    """Numbers of the processors that this process may use; empty where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def count() -> int:
    """How many processors this process may use; all of the machine's where the system does not tell."""
    return len(allowed()) or os.cpu_count() or 1


def default_threads() -> int:
    """Threads of a run: one for each processor that the process may use, MAX_THREADS at most."""
    return min(count(), MAX_THREADS)


def taken_by_run(threads: int) -> list[int]:
    """The processors that a run occupies when it takes all of them.

    Empty when a run leaves some processors free or has only one: the kernel places the threads better then.
    """
    numbers = allowed()
    return numbers if len(numbers) == threads > 1 else []
