"""Whether this worker works, and its reports about that to the process that started it.

A worker can hang in several ways. A gear can hold the interpreter lock in a C function (a regular expression that does
not end); then no thread runs. A gear can close the connections of the worker, or damage the libraries that it uses;
then threads wait for ever, or end. In each case the process is alive, but calls get no answer and streams are not read.

So a thread checks the others every REPORT_INTERVAL and writes a byte to the pipe of the parent process if all is well.
The parent kills a worker without reports (server/children.py), and its next owner finds the batch that was being
processed like that of a worker that crashed. A thread that has the interpreter lock can take long, but a report proves
that the lock is released at times.

Shortly before the parent would kill this process, a thread of the C library, which does not need the interpreter lock,
writes the stacks of all threads to the log. This shows which gear hung.

What counts as well:
- The heartbeat was accepted lately; or Redis is not available, which is not the fault of this process.
- Threads that take calls have come back lately from waiting, or are working on a call.
- Of each queue at least one thread has not been working on the same call for much longer than the call may take. Then
its
  caller has got an error long ago, and nobody else gets an answer. Executions of gears may take as long as they want.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import threading
import time
from collections.abc import Iterator

logger = logging.getLogger(__name__)

WELL, SERVER_UNAVAILABLE, BUSY_LOADING = b".", b"u", b"l"
"""The reports: all is well; Redis is not available; a model is being loaded, which can hold the interpreter lock."""
REPORT_INTERVAL = 1.0
WAIT_INTERVAL = 5.0
"""Seconds after which a thread that waits for calls must come back from waiting."""


class Activity:
    """What one thread that takes calls is doing."""

    def __init__(self, queue: str, thread: threading.Thread) -> None:
        self.queue = queue
        self._thread = thread
        self._call: str | None = None
        self._since = time.monotonic()

    def waiting(self) -> None:
        """Note that the thread waits for calls; called at least every WAIT_INTERVAL."""
        self._call, self._since = None, time.monotonic()

    @contextlib.contextmanager
    def working(self, call: str) -> Iterator[None]:
        """Note that the thread works on a call."""
        self._call, self._since = call, time.monotonic()
        try:
            yield
        finally:
            self.waiting()

    def working_for(self) -> float:
        """Seconds that the thread has been working on its call; 0 while it waits."""
        since = self._since
        return time.monotonic() - since if self._call is not None else 0.0

    def problem(self, timeout: float) -> str | None:
        """Why the thread does not take calls; None if it does, or is working on one."""
        if not self._thread.is_alive():
            return f"thread {self._thread.name} has ended"
        if self._call is None and time.monotonic() - self._since > timeout + WAIT_INTERVAL:
            return f"thread {self._thread.name} does not come back from waiting"
        return None


class Health:
    """Watches the threads of a worker and reports to the parent process.

    Args:
        descriptor: The pipe to the parent; None if there is none.
        timeout: Seconds after which the parent kills a worker without reports; 0 means never.
        limits: For each queue the seconds that a call may take; None means without limit.
    """

    def __init__(self, descriptor: int | None, timeout: float, limits: dict[str, float | None]) -> None:
        self._descriptor = descriptor
        self._pipe = _identity(descriptor)
        self._timeout = timeout
        self._limits = limits
        self._activities: list[Activity] = []
        self._heartbeat_at = time.monotonic()
        self._heartbeat_error = ""
        self._server_unavailable = False
        self._loading = 0
        self._lock = threading.Lock()

    def watch(self, queue: str) -> Activity:
        """Watch the calling thread, which takes calls from a queue."""
        activity = Activity(queue, threading.current_thread())
        with self._lock:
            self._activities.append(activity)
        return activity

    def heartbeat_sent(self) -> None:
        """Note that Redis has accepted a heartbeat."""
        self._heartbeat_at, self._heartbeat_error, self._server_unavailable = time.monotonic(), "", False

    def heartbeat_failed(self, error: Exception, *, server_unavailable: bool) -> None:
        """Note that a heartbeat could not be sent."""
        self._heartbeat_error, self._server_unavailable = f"{type(error).__name__}: {error}", server_unavailable

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Note that a model is loaded in this block, during which no reports may be possible."""
        with self._lock:
            self._loading += 1
        faulthandler.cancel_dump_traceback_later()
        self._report(BUSY_LOADING)
        try:
            yield
        finally:
            with self._lock:
                self._loading -= 1

    def busy_queues(self) -> dict[str, float]:
        """The queues of which all threads are working: how long, in seconds, the one that began last has been."""
        with self._lock:
            activities = list(self._activities)
        queues = {activity.queue for activity in activities}
        seconds = {queue: min(one.working_for() for one in activities if one.queue == queue) for queue in queues}
        return {queue: busy for queue, busy in seconds.items() if busy}

    def problem(self) -> str | None:
        """What does not work; None if all is well."""
        with self._lock:
            activities = list(self._activities)
        for activity in activities:
            found = activity.problem(self._timeout)
            if found is not None:
                return found
        for queue, seconds in self.busy_queues().items():
            limit = self._limits.get(queue)
            if limit is not None and seconds > limit + self._timeout:
                return f"all threads of the queue {queue} have been working on a call for {seconds:.0f} s"
        if not self._server_unavailable and time.monotonic() - self._heartbeat_at > self._timeout:
            return f"no heartbeat was sent for {self._timeout:.0f} s ({self._heartbeat_error or 'it does not return'})"
        return None

    def report_until(self, ended: threading.Event) -> None:
        """Check and report, until the worker has ended."""
        reported = None
        # The first report ends the time that a worker may need to start: gears may hang from now on.
        self._report(WELL)
        self._dump_stacks_later()
        while not ended.wait(REPORT_INTERVAL):
            problem = self.problem() if self._timeout else None
            if problem is None:
                with self._lock:
                    loading = self._loading > 0
                self._report(BUSY_LOADING if loading else SERVER_UNAVAILABLE if self._server_unavailable else WELL)
                if not loading:
                    self._dump_stacks_later()
            elif problem != reported:
                logger.error("this worker does not work: %s", problem)
                faulthandler.dump_traceback()
            reported = problem
        faulthandler.cancel_dump_traceback_later()

    def _dump_stacks_later(self) -> None:
        """Have the stacks of all threads written to the log, unless this is called again before the parent kills us."""
        if self._timeout and self._descriptor is not None:
            faulthandler.dump_traceback_later(max(1.0, self._timeout - 2 * REPORT_INTERVAL))

    def _report(self, state: bytes) -> None:
        # A gear can close all files. Then another file may have the number by now, and must not get the byte.
        if self._descriptor is not None and _identity(self._descriptor) == self._pipe:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, state)


def _identity(descriptor: int | None) -> tuple[int, int] | None:
    """Device and inode of an open file; None if there is no such file."""
    if descriptor is None:
        return None
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino
