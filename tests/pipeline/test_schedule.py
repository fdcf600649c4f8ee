"""Schedules: the meaning of cron expressions, one run at a time, one run for all missed times."""

from __future__ import annotations

import logging
import os
import threading
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzlocal

from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.pipeline.schedule import RunCommand, Scheduler, cron_schedule
from rededge_nb.pipeline.schedule_registry import (
    RegisteredSchedule,
    list_schedules,
    pause_schedule,
    remove_schedule,
    resume_schedule,
)
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
        ("0 6 * * FRI-SAT", ["Fri 6 06:00", "Sat 7 06:00", "Fri 13 06:00"]),
        ("0 6 * * */2", ["Tue 3 06:00", "Thu 5 06:00", "Sat 7 06:00"]),
        ("0 6 * * 1-5/2", ["Wed 4 06:00", "Fri 6 06:00", "Mon 9 06:00"]),
        ("0 6 5 * 2", ["Tue 3 06:00", "Thu 5 06:00", "Tue 10 06:00"]),  # either will do, as in cron
        ("0 6 */2 * 2", ["Tue 3 06:00", "Tue 17 06:00", "Tue 31 06:00"]),  # both, as in cron
        ("7 10 * * *", ["Tue 3 10:07", "Wed 4 10:07", "Thu 5 10:07"]),
    ],
)
def test_cron_expressions_mean_what_crontab_says(expression: str, times: list[str]) -> None:
    next_time = cron_schedule(expression)
    found = [at := next_time(MONDAY), at := next_time(at), next_time(at)]
    assert [f"{at:%a} {at.day} {at:%H:%M}" for at in found] == times


def test_the_hour_stays_when_daylight_saving_time_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    tzlocal.reload_localzone()
    try:
        before = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin"))
        due = cron_schedule("0 6 * * *")(before)
        assert due.isoformat() == "2026-03-29T06:00:00+02:00"
    finally:
        monkeypatch.undo()
        tzlocal.reload_localzone()


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "Wrong number of fields"),
        ("* * * *", "Wrong number of fields"),
        ("0 * * * * *", "Wrong number of fields"),
        ("61 * * * *", "Bad minute"),
        ("x * * * *", "Bad minute"),
        ("* * * * 8", "Bad day-of-week"),
        ("* * * * tue-mon", "Bad day-of-week"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 0 30 2 MON#6", "Bad day-of-week"),
    ],
)
def test_other_texts_are_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        cron_schedule(expression)
    assert f"{expression!r} is not a cron expression (" in str(raised.value)
    assert reason in str(raised.value)
    assert "'*/15 * * * *'" in str(raised.value)


TICK = timedelta(milliseconds=5)


class SlowRun:
    """Takes as long as several due times."""

    def __init__(self) -> None:
        self.times: list[tuple[datetime, datetime]] = []
        self.stopped = threading.Event()

    def __call__(self) -> None:
        began = datetime.now().astimezone()
        wait_for(lambda: datetime.now().astimezone() - began > 4 * TICK)
        self.times.append((began, datetime.now().astimezone()))

    def stop(self) -> None:
        self.stopped.set()


def test_one_run_makes_up_for_the_times_that_pass_during_a_run(caplog: pytest.LogCaptureFixture) -> None:
    run = SlowRun()
    scheduler = Scheduler(lambda after: after + TICK, run)
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


def test_a_failed_run_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    run = RunCommand(seconds=1)
    with caplog.at_level(logging.INFO):
        run()
    started, failed = (record.getMessage() for record in caplog.records)
    assert started.startswith("run started, process ")
    assert failed.startswith("run failed with exit code 3: the server at redis://127.0.0.1:1 cannot be used")


def test_a_run_that_is_stopped_while_it_starts_ends_early(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    run = RunCommand()
    run.stop()
    with caplog.at_level(logging.INFO):
        run()
    assert caplog.records[-1].getMessage() == "run ended early"


def test_a_schedule_is_listed_paused_resumed_and_removed_from_elsewhere(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    runs: list[datetime] = []

    class Quick:
        def __call__(self) -> None:
            runs.append(datetime.now().astimezone())

        def stop(self) -> None:
            pass

    with caplog.at_level(logging.INFO), RegisteredSchedule(tmp_path, "* * * * *", ["--camera=door"]) as control:
        scheduler = Scheduler(lambda after: after + TICK, Quick(), control=control)
        thread = threading.Thread(target=scheduler.run)
        thread.start()
        wait_for(lambda: len(runs) >= 2, what="two runs")
        [info] = list_schedules(tmp_path)
        assert (info.id, info.cron, info.words, info.pid, info.paused) == (
            *("1", "* * * * *", "--camera=door", os.getpid(), False),
        )
        pause_schedule(tmp_path, "1")
        wait_for(lambda: caplog.messages.count("no run is made, because the schedule is paused") >= 3, what="a pause")
        assert [each.paused for each in list_schedules(tmp_path)] == [True]
        before = len(runs)
        resume_schedule(tmp_path, "1")
        wait_for(lambda: len(runs) > before, what="runs after the pause")
        with pytest.raises(NoDataError, match=r"no schedule 7 runs in .*; there are: 1"):
            remove_schedule(tmp_path, "7")
        remove_schedule(tmp_path, "1")
        wait_for(lambda: not thread.is_alive(), what="the end of the schedule")
        assert caplog.messages[-2:] == ["the schedule was removed", "stopped"]
    assert list_schedules(tmp_path) == []
    assert list(tmp_path.iterdir()) == [], "nothing is left"


def test_a_schedule_whose_process_was_killed_is_forgotten_and_its_number_is_free(tmp_path: Path) -> None:
    with RegisteredSchedule(tmp_path, "* * * * *") as first, RegisteredSchedule(tmp_path, "0 * * * *") as second:
        assert [(each.id, each.cron) for each in list_schedules(tmp_path)] == [("1", "* * * * *"), ("2", "0 * * * *")]
        assert (first.id, second.id) == ("1", "2")
    folder = tmp_path / ".schedules"
    folder.mkdir()
    (folder / "1.json").write_text('{"id": "1"}')  # nobody holds its lock
    (folder / "1.paused").touch()
    with RegisteredSchedule(tmp_path, "5 * * * *") as new:
        assert [(each.id, each.paused) for each in list_schedules(tmp_path)] == [(new.id, False)] == [("1", False)]
