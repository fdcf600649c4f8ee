"""The processors that this process may use, and how many threads one run of a model uses."""

from __future__ import annotations

import os

MAX_THREADS = 4
"""Default for the most threads of one run."""


def allowed() -> list[int]:
    """Numbers of the processors that this process may use; empty if the system does not report them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def count() -> int:
    """How many processors this process may use; all of the machine's if the system does not report it."""
    return len(allowed()) or os.cpu_count() or 1


def default_threads() -> int:
    """Threads of a run: one for each processor that the process may use, at most MAX_THREADS."""
    return min(count(), MAX_THREADS)


def used_by_run(threads: int) -> list[int]:
    """The processors of a run, if it uses all that the process may use, and more than one; otherwise empty."""
    numbers = allowed()
    return numbers if len(numbers) == threads > 1 else []
