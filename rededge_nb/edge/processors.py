"""The processors of this machine, and who is on which where the run of a model takes all of them."""

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
    """The processors of a run that takes all: the first is its caller's, the others are its helpers'.

    Empty where a run leaves some to others, or has but one: the kernel knows better there.
    """
    numbers = allowed()
    return numbers if len(numbers) == threads > 1 else []


def configuration_lines() -> list[str]:
    """The lines of redis.conf that keep Redis off the first processor, where runs take all.

    On two cores the kernel would wake Redis on the processor of the gear that has sent it a command or waits for its
    frame, even if the other one is idle (see `ai/backends/placement.py`): Redis interrupts the gear then for about 0.4
    of the 15 ms of a frame. Its child that writes the append-only file anew has time, and may be anywhere.
    """
    numbers = taken_by_run(default_threads())
    if not numbers:
        return []
    return [f"server-cpulist {_words(numbers[1:])}", f"aof-rewrite-cpulist {_words(numbers)}"]


def _words(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))
