"""The pipeline on a schedule: one run at a time, each a process of its own.

APScheduler tells when a cron expression is due. Its schedulers are not used: they drop the times that pass during a
run, where here one run makes up for all that passed, during a run or while the machine slept.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from rededge_nb.errors import ConfigurationError

logger = logging.getLogger(__name__)

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""By their numbers in a crontab; 7 is Sunday too."""
LOOK_INTERVAL = 15.0
"""Longest wait in seconds between looks at the clock, which may be set, and goes on while the machine sleeps."""


class Trigger(Protocol):
    """When something is due, as APScheduler's triggers tell it."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first due time after the previous one."""


class Run(Protocol):
    """What is done at each due time."""

    def __call__(self) -> None:
        """Do it, and return when it is done."""

    def stop(self) -> None:
        """End it early; may come at any moment, from a signal handler."""


def cron_trigger(expression: str) -> Trigger:
    """What a cron expression means in local time, as crontab(5) reads it.

    Raises:
        ConfigurationError: it is none, or its time never comes, or APScheduler is not installed.
    """
    try:
        from apscheduler.triggers.combining import OrTrigger
        from apscheduler.triggers.cron import CronTrigger
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"schedules need {error.name}: pip install 'rededge_nb[notebooks]'") from error

    words = expression.lower().split()
    if len(words) != 5:
        raise _not_cron(expression, f"it has {len(words)} fields, not 5")
    minute, hour, day, month, weekday = words
    try:
        fields = {"minute": minute, "hour": hour, "month": month}
        # cron wants either of the two where both are given, APScheduler both
        ways = [{"day": day}, {"day_of_week": _weekdays(weekday)}]
        if day.startswith("*") or weekday.startswith("*"):
            ways = [{**ways[0], **ways[1]}]
        trigger: Trigger = OrTrigger([CronTrigger(**fields, **way) for way in ways])
    except ValueError as error:
        raise _not_cron(expression, str(error)) from error
    if next_time(trigger, _now()) is None:
        raise _not_cron(expression, "no such day ever comes")
    return trigger


def next_time(trigger: Trigger, after: datetime) -> datetime | None:
    """The first due time after a moment."""
    return trigger.get_next_fire_time(after, after)


def times_between(trigger: Trigger, after: datetime, until: datetime) -> list[datetime]:
    """The due times after one moment, up to and with another."""
    found: list[datetime] = []
    due = next_time(trigger, after)
    while due is not None and due <= until:
        found.append(due)
        due = next_time(trigger, due)
    return found


class Scheduler:
    """Makes a run at each due time until stop() is called.

    Args:
        trigger: When runs are due.
        run: Makes one, and returns when it is done.
        now: Make a first one at once.
    """

    def __init__(self, trigger: Trigger, run: Run, *, now: bool = False) -> None:
        self._trigger = trigger
        self._run = run
        self._first_at_once = now
        self._stop = threading.Event()

    def stop(self) -> None:
        """Let run() return soon, and with it the run that is going on."""
        self._stop.set()
        self._run.stop()

    def run(self) -> None:
        """Run until stop() is called."""
        done_until = _now()
        if self._first_at_once:
            self._run()
        while not self._stop.is_set():
            due = next_time(self._trigger, done_until)
            if due is None:
                logger.info("no further time is due")
                return
            logger.info("next run at %s", due.strftime("%Y-%m-%d %H:%M:%S"))
            if not self._wait_until(due):
                break
            done_until = max(due, _now())
            passed = len(times_between(self._trigger, due, done_until))
            if passed:
                logger.info("%d more times have passed: one run makes up for them all", passed)
            self._run()
        logger.info("stopped")

    def _wait_until(self, due: datetime) -> bool:
        """Whether the time came, rather than stop()."""
        while (left := (due - _now()).total_seconds()) > 0:
            if self._stop.wait(min(left, LOOK_INTERVAL)):
                return False
        return not self._stop.is_set()


class RunCommand:
    """Makes a run of the pipeline in a process of its own, and logs how it went.

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
        notebooks: Sequence[str] = (),
        keep: int | None = None,
    ) -> None:
        options = {"--dir": directory, "--video": video, "--camera": camera, "--seconds": seconds}
        options |= {"--output": output, "--keep": keep}
        self._command = [sys.executable, "-P", "-m", "rededge_nb.cli", "pipeline", "run", "--json"]
        self._command += [f"{name}={value}" for name, value in options.items() if value is not None]
        self._command += [f"--notebook={name}" for name in notebooks]
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def __call__(self) -> None:
        """Make the run."""
        # a session of its own: Ctrl-C reaches the scheduler alone, which passes it on once
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        logger.info("run started, process %d", self._process.pid)
        if self._stopped:
            self._process.terminate()
        output, errors = self._process.communicate()
        code, self._process = self._process.returncode, None
        if code == 0:
            logger.info("run done: %s", _in_short(json.loads(output)))
        elif self._stopped:
            logger.info("run ended early")
        else:
            said = errors.strip().splitlines() or ["it said nothing"]
            logger.error("run failed with exit code %d: %s", code, said[-1].removeprefix("rededge: "))

    def stop(self) -> None:
        """Ask the run to end, and let no other begin to work; the second time, kill it."""
        process = self._process
        if process is not None:
            (process.kill if self._stopped else process.terminate)()
        self._stopped = True


def _in_short(summary: dict[str, Any]) -> str:
    frames, people = summary["frames"], summary["people"]["mean"]
    counted = "nobody" if people is None else f"{people:.2f} people on average"
    return (
        f"{frames['processed']} of {frames['in']} frames, {counted}, in {summary['seconds']} s, see {summary['folder']}"
    )


def _weekdays(field: str) -> str:
    """A crontab's days of the week by their names: APScheduler's numbers begin on Monday."""
    if field == "*":
        return field
    chosen: set[int] = set()
    for part in field.split(","):
        found = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?", part)
        if not found or (found[3] and found[1] and not found[2]):
            raise ValueError(f"{part!r} is no day of the week")
        first = _weekday(found[1]) if found[1] else 0
        last = _weekday(found[2]) if found[2] else first if found[1] else 6
        if last == 0 and found[2]:
            last = 7
        if last < first:
            raise ValueError(f"{part!r} ends before it begins")
        chosen |= {number % 7 for number in range(first, last + 1, int(found[3] or 1))}
    return ",".join(WEEKDAYS[number] for number in sorted(chosen))


def _weekday(text: str) -> int:
    if text in WEEKDAYS:
        return WEEKDAYS.index(text)
    if text in "01234567" and len(text) == 1:
        return int(text)
    raise ValueError(f"{text!r} is no day of the week")


def _not_cron(expression: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{expression!r} is not a cron expression ({reason}): give minute, hour, day of month, month and day of week, "
        "such as '*/15 * * * *' or '0 6 * * mon-fri'"
    )


def _now() -> datetime:
    return datetime.now().astimezone()
