"""The pipeline on a schedule: one run at a time, each in a process of its own.

The library cronsim reads cron expressions, by the rules of Debian's cron. The loop is our own, because a run may take
longer than the interval: times that pass during a run, or while the machine sleeps, are made up for by one run.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol

from rededge_nb import settings
from rededge_nb.analytics.counted import counted_of
from rededge_nb.errors import ConfigurationError
from rededge_nb.notify.one_address import shown_target
from rededge_nb.pipeline.reserved import WAITS
from rededge_nb.pipeline.run_end import NOT_SENT, EndMessage
from rededge_nb.pipeline.runs import killed_run
from rededge_nb.pipeline.schedule_registry import RegisteredSchedule

logger = logging.getLogger(__name__)

NextTime = Callable[[datetime], datetime]
"""Returns the first time after a moment at which a run is due."""

CHECK_INTERVAL = 1.0
"""Longest wait in seconds. Meanwhile the clock may be set, the machine may sleep, and the schedule may be removed."""


class Run(Protocol):
    """What is done at each due time."""

    def __call__(self) -> None:
        """Do it, and return when it is done."""

    def stop(self) -> None:
        """End it early. A signal handler may call this at any moment."""


def cron_schedule(expression: str) -> NextTime:
    """Read a cron expression, in local time, as crontab(5) does.

    Raises:
        ConfigurationError: it is not a cron expression, its time never comes, or cronsim is not installed.
    """
    try:
        from cronsim import CronSim, CronSimError
        from tzlocal import get_localzone
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"schedules need {error.name}: pip install 'rededge_nb[notebooks]'") from error

    # not the offset of this moment: the hour must stay the same when daylight saving time begins or ends
    zone = get_localzone()

    def next_time(after: datetime) -> datetime:
        due: datetime = next(CronSim(expression, after.astimezone(zone)))
        return due

    try:
        # cronsim also takes six fields, the first of which is seconds
        if len(expression.split()) != 5:
            raise CronSimError("Wrong number of fields")
        next_time(_now())
    except (CronSimError, StopIteration) as error:
        raise ConfigurationError(
            f"{expression!r} is not a cron expression ({error or 'its time never comes'}): give minute, hour, day of "
            "month, month and day of week, such as '*/15 * * * *' or '0 6 * * mon-fri'"
        ) from error
    return next_time


class Scheduler:
    """Makes a run at each due time until stop() is called.

    Args:
        next_time: Tells when runs are due; see `cron_schedule`.
        run: Makes one run, and returns when it is done.
        now: Make the first run at once.
        control: What others ask of this schedule; nobody can if it is None.
    """

    def __init__(
        self, next_time: NextTime, run: Run, *, now: bool = False, control: RegisteredSchedule | None = None
    ) -> None:
        self._next_time = next_time
        self._run = run
        self._first_at_once = now
        self._control = control
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the current run, and let run() return."""
        self._stop.set()
        self._run.stop()

    def run(self) -> None:
        """Run until stop() is called."""
        done_until = _now()
        if self._first_at_once:
            self._run()
        while not self._stop.is_set():
            due = self._next_time(done_until)
            logger.info("next run at %s", due.strftime("%Y-%m-%d %H:%M:%S"))
            if not self._wait_until(due):
                break
            done_until = max(due, _now())
            if missed := self._times_between(due, done_until):
                logger.info("%d more times have passed: one run makes up for them all", missed)
            if self._control is not None and self._control.paused():
                logger.info("no run is made, because the schedule is paused")
            else:
                self._run()
        logger.info("stopped")

    def _times_between(self, after: datetime, until: datetime) -> int:
        """Number of due times after one moment, up to and including another."""
        number = 0
        while (after := self._next_time(after)) <= until:
            number += 1
        return number

    def _wait_until(self, due: datetime) -> bool:
        """Wait for a time. Returns False if the schedule has ended before."""
        while (left := (due - _now()).total_seconds()) > 0:
            if self._stop.wait(min(left, CHECK_INTERVAL)):
                return False
            if self._control is not None and self._control.removed():
                logger.info("the schedule was removed")
                return False
        return not self._stop.is_set()


class RunCommand:
    """Makes a run of the pipeline in a process of its own, and logs its result.

    Takes the options of `rededge pipeline run`, by their names in Python.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        video: Path | None = None,
        camera: str = "0",
        seconds: float | None = None,
        output: Path = Path("runs"),
        notebooks: Sequence[str | Path] = (),
        parameters: Mapping[str, object] | None = None,
        keep: int | None = None,
        timeout: float | None = None,
        retry: int = 0,
        notify: str | None = None,
        on: str = "failure",
    ) -> None:
        options = {"--dir": directory, "--video": video, "--camera": camera, "--seconds": seconds}
        options |= {"--output": output, "--keep": keep, "--timeout": timeout, "--retry": retry or None}
        self._command = [sys.executable, "-P", "-m", "rededge_nb.cli", "pipeline", "run", "--json"]
        self._command += [f"{name}={value}" for name, value in options.items() if value is not None]
        self._command += [f"--notebook={name}" for name in notebooks]
        for name, value in (parameters or {}).items():
            self._command += ["-p", name, json.dumps(value)]
        self.words = self._command[self._command.index("run") + 2 :]
        """The options, as on the command line; of the address for messages only what everybody may see."""
        EndMessage(notify, on)  # a mistake is shown now, and not at the first run
        self._notify, self._on = notify, on
        if notify is not None:
            self._command.append(f"--on={on}")
            self.words += [f"--notify={shown_target(notify)}", f"--on={on}"]
        self._output = output
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def __call__(self) -> None:
        """Make the run."""
        began = time.monotonic()
        # in a session of its own, because Ctrl-C must reach the scheduler alone, which passes it on once; the address
        # for messages is not on its command line, which every account can read
        process = self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {settings.NOTIFY: self._notify or ""},
        )
        logger.info("run started, process %d", process.pid)
        if self._stopped:
            process.terminate()
        lines: list[str] = []
        # in a thread, because a run that waits says so at once, and not at its end
        reader = threading.Thread(target=_read_errors, args=(process.stderr, lines), name="rededge schedule")
        with process:
            reader.start()
            output = "" if process.stdout is None else process.stdout.read()
            reader.join()
        code, self._process = process.returncode, None
        if code == 0:
            logger.info("run done: %s", _in_one_line(json.loads(output)))
        elif self._stopped:
            logger.info("run ended early")
        elif code < 0:
            run = killed_run(self._output, process.pid)
            logger.error("run %s was killed by signal %d", run, -code)
            EndMessage(self._notify, self._on).send_killed(run, -code, time.monotonic() - began)
        else:
            last = lines[-1] if lines else "it printed no error"
            logger.error("run failed with exit code %d: %s", code, last.removeprefix("rededge: "))

    def stop(self) -> None:
        """Ask the run to end, and prevent another one. The second call kills the run."""
        process = self._process
        if process is not None:
            (process.kill if self._stopped else process.terminate)()
        self._stopped = True


def _read_errors(stream: IO[str] | None, lines: list[str]) -> None:
    """Collect what a run prints on stderr, and log at once what concerns people who look at the schedule."""
    for line in stream or ():
        text = line.rstrip()
        if text:
            lines.append(text)
        if text.startswith(WAITS):
            logger.info("%s", text)
        elif text.startswith(NOT_SENT):
            logger.error("%s", text)


def _in_one_line(summary: dict[str, Any]) -> str:
    if "frames" not in summary:
        return f"nothing was captured, in {summary['seconds']} s, see {summary['folder']}"
    what = counted_of(summary)
    frames, mean = summary["frames"], summary[what.series]["mean"]
    counted = "nobody" if mean is None else f"{mean:.2f} {what.plural} on average"
    return (
        f"{frames['processed']} of {frames['in']} frames, {counted}, in {summary['seconds']} s, see {summary['folder']}"
    )


def _now() -> datetime:
    return datetime.now().astimezone()
