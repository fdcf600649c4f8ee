"""Ending child processes: on request, and when their parent dies."""

from __future__ import annotations

import ctypes
import resource
import signal
import subprocess
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def end_process(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Ask a child to end, wait, and kill it if it does not."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_with_parent(*, most_memory: int | None = None) -> Callable[[], None] | None:
    """What a child runs before exec so that it is asked to end when its parent dies (Linux; elsewhere nothing).

    Args:
        most_memory: bytes of data that the child may have.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if most_memory is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (most_memory if hard < 0 else min(most_memory, hard), hard))

    return prepare
