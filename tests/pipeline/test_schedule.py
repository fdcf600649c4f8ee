"""Schedules: what cron expressions mean, one run at a time, missed times made up for by one run."""

from __future__ import annotations

import logging
import os
import threading
from datetime import datetime, timedelta

import pytest

from rededge_nb.errors import ConfigurationError
from rededge_nb.pipeline.schedule import RunCommand, Scheduler, cron_trigger, next_time, times_between
from tests.waiting import wait_for

MONDAY = datetime(2026, 3, 2, 10, 7).astimezone()


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("*/15 * * * *", ["Mon 2 10:15", "Mon 2 10:30", "Mon 2 10:45"]),
        ("0 6 * * mon-fri", ["Tue 3 06:00", "Wed 4 06:00", "Thu 5 06:00"]),
        ("0 6 * * 1-5", ["Tue 3 06:00", "Wed 4 06:00", "Thu 5 06:00"]),
        ("0 6 * * 0", ["Sun 8 06:00", "Sun 15 06:00", "Sun 22 06:00"]),
        ("0 6 * * 7", ["Sun 8 06:00", "Sun 15 06:00", "Sun 22 06:00"]),
        ("0 6 * * 6-7", ["Sat 7 06:00", "Sun 8 06:00", "Sat 14 06:00"]),
        ("0 6 * * FRI-SUN", ["Fri 6 06:00", "Sat 7 06:00", "Sun 8 06:00"]),
        ("0 6 * * */2", ["Tue 3 06:00", "Thu 5 06:00", "Sat 7 06:00"]),
        ("0 6 * * 1-5/2", ["Wed 4 06:00", "Fri 6 06:00", "Mon 9 06:00"]),
        ("0 6 5 * 2", ["Tue 3 06:00", "Thu 5 06:00", "Tue 10 06:00"]),  # either will do, as in cron
        ("0 6 */2 * 2", ["Tue 3 06:00", "Tue 17 06:00", "Tue 31 06:00"]),  # both, as in cron
        ("7 10 * * *", ["Tue 3 10:07", "Wed 4 10:07", "Thu 5 10:07"]),
    ],
)
def test_cron_expressions_mean_what_crontab_says(expression: str, times: list[str]) -> None:
    trigger = cron_trigger(expression)
    found = times_between(trigger, MONDAY, MONDAY + timedelta(days=30))[:3]
    assert [f"{at:%a} {at.day} {at:%H:%M}" for at in found] == times
    assert next_time(trigger, MONDAY) == found[0]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "it has 0 fields, not 5"),
        ("* * * *", "it has 4 fields, not 5"),
        ("61 * * * *", "higher than the maximum value"),
        ("x * * * *", "Unrecognized expression"),
        ("* * * * 8", "'8' is no day of the week"),
        ("* * * * tue-mon", "'tue-mon' ends before it begins"),
        ("* * * * 1/2", "'1/2' is no day of the week"),
        ("0 0 30 2 *", "no such day ever comes"),
    ],
)
def test_what_is_no_cron_expression(expression: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        cron_trigger(expression)
    assert f"{expression!r} is not a cron expression (" in str(raised.value)
    assert reason in str(raised.value)
    assert "'*/15 * * * *'" in str(raised.value)


class EveryTick:
    """Due every few milliseconds."""

    step = timedelta(milliseconds=5)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now + self.step


class SlowRun:
    """Takes as long as several due times."""

    def __init__(self) -> None:
        self.times: list[tuple[datetime, datetime]] = []
        self.stopped = threading.Event()

    def __call__(self) -> None:
        began = datetime.now().astimezone()
        wait_for(lambda: datetime.now().astimezone() - began > 4 * EveryTick.step)
        self.times.append((began, datetime.now().astimezone()))

    def stop(self) -> None:
        self.stopped.set()


def test_times_that_pass_during_a_run_are_made_up_for_by_one(caplog: pytest.LogCaptureFixture) -> None:
    run = SlowRun()
    scheduler = Scheduler(EveryTick(), run)
    with caplog.at_level(logging.INFO):
        thread = threading.Thread(target=scheduler.run)
        thread.start()
        wait_for(lambda: len(run.times) >= 3, what="three runs")
        scheduler.stop()
        thread.join(10)
    assert not thread.is_alive()
    assert run.stopped.is_set()
    for (_, end), (begin, _) in zip(run.times, run.times[1:], strict=False):
        assert begin >= end
    lines = [record.getMessage() for record in caplog.records]
    made_up = [line for line in lines if line.endswith("more times have passed: one run makes up for them all")]
    assert len(made_up) >= 2
    assert lines[-1] == "stopped"


def test_a_run_that_fails_is_logged_and_the_next_one_made(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    run = RunCommand(seconds=1)
    with caplog.at_level(logging.INFO):
        run()
    started, failed = (record.getMessage() for record in caplog.records)
    assert started.startswith("run started, process ")
    assert failed.startswith("run failed with exit code 3: the server at redis://127.0.0.1:1 cannot be used")


def test_a_run_that_is_stopped_as_it_begins_ends_early(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    run = RunCommand()
    run.stop()
    with caplog.at_level(logging.INFO):
        run()
    assert caplog.records[-1].getMessage() == "run ended early"
