"""How much memory an embedded server may take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rededge_nb import settings

LEAST, MOST = 256 * 1024**2, 16 * 1024**3
"""Bounds of what is taken for granted; more, or less, is a matter of settings.MAX_MEMORY."""
SHARE = 2
"""The machine's memory is divided by this: workers and notebooks need the rest, and Redis twice its own for a moment
when it writes its append-only file anew."""
LEAST_FOR_REPLIES = 1024**3
"""Bytes of replies that a client may leave unread, at least: a model of 512 MB has to get through to a worker."""
LEAST_FOR_A_WORKER = 2 * 1024**3
"""Bytes that a worker may always have: large models and their threads ask for more than they use."""

_GROUPS = Path("/sys/fs/cgroup")


def configuration_lines() -> list[str]:
    """The lines of redis.conf that bound the memory.

    Nothing is evicted: models, registrations and leases are keys like others, and streams have bounds of their own.
    What would go beyond is refused (an OOM error) until there is room.

    Raises:
        ConfigurationError: the setting is no size.
    """
    limit = settings.max_memory() or default_limit()
    # replies that nobody reads count, but Redis refuses no reads; and a client need not know the password to cause them
    unread = max(LEAST_FOR_REPLIES, limit // 2)
    return [
        f"maxmemory {limit}",
        "maxmemory-policy noeviction",
        f"client-output-buffer-limit normal {unread} 0 0",
    ]


def default_limit() -> int:
    """Bytes that Redis may take on this machine when nobody says how many."""
    return min(max(machine_memory() // SHARE, LEAST), MOST)


def worker_limit() -> int:
    """Bytes of data that a worker may have: a gear that collects without end gets a MemoryError, not the machine."""
    return max(machine_memory() * 3 // 4, LEAST_FOR_A_WORKER)


def machine_memory(limits: Iterable[Path] | None = None) -> int:
    """Bytes of memory that this machine has, or that its container or service allows.

    Args:
        limits: Files in which control groups tell their limit; default: this process's own.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in limit_files() if limits is None else limits:
        try:
            found.append(int(file.read_text()))
        except (OSError, ValueError):
            continue  # there is no such group, or its limit is `max`
    return min(found)


def limit_files() -> Iterator[Path]:
    """Files with the memory limit of a container (control groups version 2 and 1) and of a systemd service."""
    yield _GROUPS / "memory.max"
    yield _GROUPS / "memory" / "memory.limit_in_bytes"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            version_2, _, path = line.partition("::/")
            if version_2 == "0":
                yield _GROUPS / path / "memory.max"
