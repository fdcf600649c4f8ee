"""How much memory an embedded server and its workers may use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rededge_nb import settings

MIN_DEFAULT_BYTES, MAX_DEFAULT_BYTES = 256 * 1024**2, 16 * 1024**3
"""Bounds of the default for `maxmemory`; the setting REDEDGE_MAX_MEMORY can be below or above them."""
MACHINE_DIVISOR = 2
"""The default is the machine's memory divided by this. Workers and notebooks need the rest, and Redis needs twice its
data for a short time when it rewrites its append-only file."""
REPLY_DIVISOR, MIN_REPLY_BYTES, MAX_REPLY_BYTES = 8, 16 * 1024**2, 1024**3
"""A connection may leave this part of `maxmemory` unread, one divided by it, within bounds. A worker receives the
arguments of a call as a reply, so this is also the largest model that can be stored."""
MAX_VALUE_BYTES = 512 * 1024**2
"""Redis's default limit for one value."""
MIN_WORKER_BYTES = 2 * 1024**3
"""A worker may always have this much data: large models and their threads reserve more than they use."""

_CGROUPS = Path("/sys/fs/cgroup")


def configuration_lines() -> list[str]:
    """The lines of redis.conf that limit the memory.

    No keys are evicted: models, registrations and leases are keys like others, and streams have limits of their own.
    When the memory is full, Redis refuses writes with an OOM error.

    Raises:
        ConfigurationError: The setting is not a size.
    """
    limit = settings.max_memory() or default_limit()
    unread = max_reply_bytes(limit)
    return [
        f"maxmemory {limit}",
        "maxmemory-policy noeviction",
        # What a client does not read uses this memory, too. With many connections: see client_watch.py.
        f"client-output-buffer-limit normal {unread} {unread // 2} 60",
        # Redis reserves memory for an argument as soon as its length is announced.
        f"proto-max-bulk-len {min(unread, MAX_VALUE_BYTES)}",
        f"client-output-buffer-limit pubsub {unread} {unread // 4} 60",
    ]


def max_call_bytes() -> int:
    """How large the arguments of one call may be: a worker receives them as a reply."""
    return max_reply_bytes(settings.max_memory() or default_limit()) * 9 // 10


def max_reply_bytes(limit: int) -> int:
    """How much a connection may leave unread on a server with this `maxmemory`."""
    return min(max(limit // REPLY_DIVISOR, MIN_REPLY_BYTES), MAX_REPLY_BYTES)


def default_limit() -> int:
    """The default for `maxmemory` on this machine, in bytes."""
    return min(max(machine_memory() // MACHINE_DIVISOR, MIN_DEFAULT_BYTES), MAX_DEFAULT_BYTES)


def worker_limit() -> int:
    """Bytes of data that a worker may have. A gear that needs more gets a MemoryError; the machine is not harmed."""
    return max(machine_memory() * 3 // 4, MIN_WORKER_BYTES)


def machine_memory(limits: Iterable[Path] | None = None) -> int:
    """The memory of this machine, or of its container or service if that has a limit, in bytes.

    Args:
        limits: Files of control groups that contain a limit; default: those of this process.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in limit_files() if limits is None else limits:
        try:
            found.append(int(file.read_text()))
        except (OSError, ValueError):
            continue  # there is no such group, or it has no limit (`max`)
    return min(found)


def limit_files() -> Iterator[Path]:
    """Files with the memory limit of a container (control groups version 2 and 1) and of a systemd service."""
    yield _CGROUPS / "memory.max"
    yield _CGROUPS / "memory" / "memory.limit_in_bytes"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            version_2, _, path = line.partition("::/")
            if version_2 == "0":
                yield _CGROUPS / path / "memory.max"
