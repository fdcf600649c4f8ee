"""Processes: ending children, on request and when their parent dies; the memory of this process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal that a process gets when its parent dies."""
PRIVATE_UMASK = 0o077
"""With this umask, only the owner can read the files that a process makes."""


def end_process(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Send SIGTERM to a child and wait; send SIGKILL if it has not ended after `timeout` seconds."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def on_signals(action: Callable[[], object]) -> None:
    """Call `action` on SIGTERM and Ctrl-C, in a thread of its own.

    Not in the handler: it runs in the main thread between any two instructions, also within `Event.wait` or
    `Event.set`, and would wait there for ever for the lock that the main thread holds itself.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=action, name="signal", daemon=True).start())


def kill_group(pid: int) -> None:
    """Send SIGKILL to what is left of the process group of a process that has ended and was its leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_with_parent(*, max_data_bytes: int | None = None) -> Callable[[], None] | None:
    """A `preexec_fn` that has the child receive SIGTERM when its parent dies; None where the system is not Linux.

    Args:
        max_data_bytes: Memory for data that the child may have (RLIMIT_DATA).
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if max_data_bytes is not None:
            limit = max_data_bytes if hard < 0 else min(max_data_bytes, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))

    return prepare


def start_time(pid: int) -> str:
    """When a process started: together with its id, this names one process for ever. Empty if there is none.

    See proc(5): field 22 of /proc/<pid>/stat counts ticks since the machine has started.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else f"{boot}:{fields[19]}"


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal (SIGSTOP, Ctrl-Z); see proc(5), field 3 of /proc/<pid>/stat."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def resident_memory() -> int:
    """Bytes of physical memory that this process uses; where the system does not report it, the most it ever used."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return peak_resident_memory()


def peak_resident_memory() -> int:
    """The most bytes of physical memory that this process ever used."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
