"""Child processes that are started again whenever they die or hang.

A child that dies again and again is started after increasing delays, at most MAX_DELAY, and without end: a worker that
cannot run must not take down the server, and whatever keeps it from running may go away. Deaths are counted for each
child separately. The count begins again once the child has been running for STABLE_AFTER.

A child that hangs does not die by itself. So it reports through a pipe, about once a second, that it works; the byte
says in which state. It must not be able to report while it hangs, so a thread of the child sends the reports, which
needs the interpreter lock like all other threads (see worker/health.py). A child without reports is killed with
SIGKILL, since one that hangs or is stopped does not handle SIGTERM. From then on it is a dead child like any other.
While it starts or loads a model it may be silent for longer, unless it is stopped.

A gear can start processes, and these may outlive its worker: a program that it runs, or a copy of the worker that
`multiprocessing` has forked. So a child that is the leader of a process group is ended together with this group.

If this process itself did not run for a while, because the machine was suspended or very busy, the children could not
be heard. That time does not count.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from time import monotonic

from rededge_nb.edge.processes import end_process, is_stopped, kill_group
from rededge_nb.edge.server.state import Trouble
from rededge_nb.edge.worker.health import BUSY_LOADING, SERVER_UNAVAILABLE

FIRST_DELAY, MAX_DELAY = 0.05, 30.0
"""Seconds until a child is started again after its first death in a row; each further delay is twice as long."""
STABLE_AFTER = 30.0
"""Seconds after which a running child is no longer in trouble."""
START_TIMEOUT = 90.0
"""Seconds until the first report of a child. On a busy machine, importing its modules takes long."""
LOADING_TIMEOUT = 300.0
"""Seconds without a report while a child loads a model: some backends hold the interpreter lock meanwhile."""
MAX_PAUSE = 2.0
"""If this process did not run for longer than this, silence of its children does not count."""


class Child:
    """A child process that is started again whenever it dies or hangs.

    Args:
        name: What it is called in messages, such as `worker 1`.
        start: Starts the process. It gets the file descriptor for the reports, which the process must inherit, and
            whether the process before it died lately.
        hang_timeout: Seconds without a report after which the process is killed; 0 means never.
        server_answers: Whether the server answers this process. A child that reports for `hang_timeout` seconds that it
            cannot reach the server, although the server answers, is killed, too.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[int, bool], subprocess.Popen[bytes]],
        *,
        hang_timeout: float,
        server_answers: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.trouble: Trouble | None = None
        self._start = start
        self._hang_timeout = hang_timeout
        self._server_answers = server_answers
        self._reports: int | None = None
        self._killed_because = ""
        self._started_at = self._silent_since = self._unavailable_since = self._checked_at = 0.0
        self._stopped_since = 0.0
        self._timeout = START_TIMEOUT
        self._next_start = 0.0

    def check(self) -> str | None:
        """Start the process if it is due, kill it if it hangs; returns a sentence if it has died or has recovered."""
        now = monotonic()
        paused = now - self._checked_at
        self._checked_at = now
        if self.process is None:
            return self._try_to_start(now) if now >= self._next_start else None
        if self.process.poll() is not None:
            kill_group(self.process.pid)
            reason = self._killed_because or f"exit code {describe_exit(self.process.returncode)}"
            return self._died(f"{self.name} (process {self.process.pid}, {reason}) died", now)
        if paused > MAX_PAUSE:
            self._silent_since += paused
            self._unavailable_since += paused if self._unavailable_since else 0.0
            self._stopped_since += paused if self._stopped_since else 0.0
        self._read_reports(now)
        self._kill_if_it_hangs(now)
        if self.trouble is not None and now - self._started_at > STABLE_AFTER and not self._killed_because:
            self.trouble = None
            return f"{self.name} has been running for {STABLE_AFTER:.0f} s"
        return None

    def kill(self, reason: str) -> None:
        """Kill the process, if it is running; it is started again as after any death."""
        if self.process is not None and self.process.poll() is None:
            self._killed_because = f"killed: {reason}"
            self.process.kill()

    def terminate(self) -> None:
        """Ask the process to end, if it is running."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def end(self, timeout: float) -> None:
        """End the process; it is killed if it does not end within `timeout` seconds."""
        if self.process is not None:
            end_process(self.process, timeout)
            kill_group(self.process.pid)
        self._close_reports()

    def _try_to_start(self, now: float) -> str | None:
        self._close_reports()
        self._reports, write_end = os.pipe()
        os.set_blocking(self._reports, False)
        os.set_blocking(write_end, False)
        try:
            self.process = self._start(write_end, self.trouble is not None)
        except (OSError, subprocess.SubprocessError) as error:  # for example no memory for a new process
            return self._died(f"{self.name} could not be started: {error}", now)
        finally:
            os.close(write_end)
        self._killed_because = ""
        self._started_at = self._silent_since = now
        self._timeout = START_TIMEOUT
        self._unavailable_since = self._stopped_since = 0.0
        return None

    def _died(self, reason: str, now: float) -> str:
        deaths = self.trouble.deaths + 1 if self.trouble is not None else 1
        delay = min(FIRST_DELAY * 2 ** min(deaths - 1, 20), MAX_DELAY)
        self._next_start = now + delay
        since = self.trouble.since if self.trouble is not None else time.time()
        self.trouble = Trouble(self.name, since, deaths, reason, time.time() + delay)
        self.process = None
        return reason

    def _read_reports(self, now: float) -> None:
        reports = b""
        with contextlib.suppress(BlockingIOError):
            reports = os.read(self._reports, 4096) if self._reports is not None else b""
        if not reports:
            return
        self._silent_since = now
        self._timeout = LOADING_TIMEOUT if reports.endswith(BUSY_LOADING) else self._hang_timeout
        if not reports.endswith(SERVER_UNAVAILABLE) or not self._server_answers():
            self._unavailable_since = 0.0
        elif self._unavailable_since == 0.0:
            self._unavailable_since = now

    def _kill_if_it_hangs(self, now: float) -> None:
        if self._hang_timeout == 0.0 or self._killed_because or self.process is None:
            return
        if not is_stopped(self.process.pid):
            self._stopped_since = 0.0
        elif self._stopped_since == 0.0:
            self._stopped_since = now
        if now - self._silent_since > self._timeout:
            self._killed_because = f"killed: it hung for {self._timeout:.0f} s"
        elif self._unavailable_since and now - self._unavailable_since > self._hang_timeout:
            self._killed_because = f"killed: it did not reach the server for {self._hang_timeout:.0f} s"
        elif self._stopped_since and now - self._stopped_since > self._hang_timeout:
            self._killed_because = f"killed: it was stopped for {self._hang_timeout:.0f} s"
        else:
            return
        self.process.kill()

    def _close_reports(self) -> None:
        if self._reports is not None:
            os.close(self._reports)
            self._reports = None


def describe_exit(code: int) -> str:
    """An exit code, with the name of the signal if one ended the process."""
    try:
        return f"{code}, {signal.Signals(-code).name}" if code < 0 else str(code)
    except ValueError:
        return str(code)
