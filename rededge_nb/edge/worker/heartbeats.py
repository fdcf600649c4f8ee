"""What is in a heartbeat: which process it is from, what keeps it busy, and which code of the package it has loaded.

A heartbeat lasts for seconds after its worker has died. On the same machine the next worker need not wait for that,
because it can see that the process has ended.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path


def own_process() -> dict[str, object]:
    """This process as it is described in its heartbeat."""
    return {"pid": os.getpid(), "machine": _machine()}


def has_ended(heartbeat: bytes | str) -> bool:
    """Whether a heartbeat is from a process of this machine that has ended."""
    try:
        process = json.loads(heartbeat)["process"]
        pid, machine = int(process["pid"]), process["machine"]
    except (ValueError, KeyError, TypeError):
        return False  # written by another version
    if machine is None or machine != _machine():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it belongs to another user
    return False


@functools.cache
def _machine() -> str | None:
    """Identifies this start of the machine and this container, in which a process id means one process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None
