"""Child processes that die and hang, with real processes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from rededge_nb.edge.server import children
from rededge_nb.edge.server.children import Child, describe_exit
from tests.waiting import wait_for

REPORTS = "import os, sys, time\nfd = int(sys.argv[1])\n"
WELL = REPORTS + "while True: os.write(fd, b'.'); time.sleep(0.02)"
SILENT_AFTER_A_WHILE = REPORTS + "os.write(fd, b'.')\nwhile True: time.sleep(60)"
IGNORES_SIGTERM = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SILENT_AFTER_A_WHILE
UNAVAILABLE = REPORTS + "while True: os.write(fd, b'u'); time.sleep(0.02)"
LOADS = REPORTS + "os.write(fd, b'l')\nwhile True: time.sleep(60)"


@contextmanager
def child(
    *sources: str, hang_timeout: float = 0.0, server_answers: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Child, list[int]]]:
    """A child whose starts run these programs in turn, and the process ids of all starts."""
    started: list[int] = []
    programs = itertools.cycle(sources)

    def start(reports: int, after_death: bool) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-S", "-c", next(programs), str(reports)]
        process = subprocess.Popen(command, pass_fds=(reports,), stderr=subprocess.DEVNULL)
        started.append(process.pid)
        return process

    one = Child("worker 1", start, hang_timeout=hang_timeout, server_answers=server_answers)
    try:
        yield one, started
    finally:
        one.end(5.0)


def died(one: Child) -> str:
    """Check the child until it has died; returns what it says."""
    return wait_for(one.check, what="its death")


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "MAX_DELAY", 0.2)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "exit code -11, SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit code -9, SIGKILL"),
    ],
)
def test_a_child_that_dies_is_started_again_without_end(source: str, reason: str) -> None:
    with child(source) as (one, started):
        for number in range(1, 9):
            news = died(one)
            assert news.startswith("worker 1 (process ")
            assert f", {reason}) died" in news
            assert one.trouble is not None
            assert one.trouble.deaths == number
        assert len(set(started)) == 8


def test_delays_increase_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "MAX_DELAY", 30.0)
    monkeypatch.setattr(children, "monotonic", lambda: clock[0])
    clock, delays = [1000.0], []
    with child("pass") as (one, _):
        for _ in range(12):
            clock[0] = one._next_start
            one.check()
            assert one.process is not None
            one.process.wait()
            one.check()
            delays.append(one._next_start - clock[0])
    assert delays[:3] == pytest.approx([0.05, 0.1, 0.2])
    assert delays == sorted(delays)
    assert delays[-2:] == [30.0, 30.0]


def test_a_child_that_cannot_be_started_is_tried_again() -> None:
    outcomes: list[subprocess.Popen[bytes] | None] = [None, None, subprocess.Popen([sys.executable, "-c", WELL, "1"])]

    def start(reports: int, after_death: bool) -> subprocess.Popen[bytes]:
        process = outcomes.pop(0)
        if process is None:
            raise OSError(12, "Cannot allocate memory")
        return process

    one = Child("worker 1", start, hang_timeout=0.0)
    assert died(one) == "worker 1 could not be started: [Errno 12] Cannot allocate memory"
    died(one)
    wait_for(lambda: one.check() or one.process, what="a process")
    one.end(5.0)


def test_a_child_that_runs_for_a_while_is_no_longer_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "STABLE_AFTER", 0.1)
    with child("raise SystemExit(1)", WELL) as (one, _):
        died(one)
        assert wait_for(one.check, what="its recovery") == "worker 1 has been running for 0 s"
        assert one.trouble is None


@pytest.mark.parametrize("source", [LOADS, REPORTS + "time.sleep(60)"])
def test_a_child_that_is_stopped_while_it_loads_or_starts_is_killed(source: str) -> None:
    with child(source, hang_timeout=0.3) as (one, started):
        wait_for(lambda: one.check() or one.process, what="its start")
        os.kill(started[0], signal.SIGSTOP)
        assert ", killed: it was stopped for 0 s) died" in died(one)


def test_a_child_that_continues_in_time_is_not_killed() -> None:
    with child(LOADS, hang_timeout=0.5) as (one, started):
        wait_for(lambda: one.check() or one.process, what="its start")
        for _ in range(3):
            os.kill(started[0], signal.SIGSTOP)
            wait_for(lambda: psutil.Process(started[0]).status() == psutil.STATUS_STOPPED, what="the stop")
            assert one.check() is None
            os.kill(started[0], signal.SIGCONT)
            wait_for(lambda: psutil.Process(started[0]).status() != psutil.STATUS_STOPPED, what="its continuation")
            assert one.check() is None
            assert one._stopped_since == 0.0
        assert one._killed_because == ""


@pytest.mark.parametrize("source", [SILENT_AFTER_A_WHILE, IGNORES_SIGTERM])
def test_a_child_that_stops_reporting_is_killed(source: str) -> None:
    with child(source, hang_timeout=0.3) as (one, started):
        assert ", killed: it hung for 0 s) died" in died(one)
        wait_for(lambda: one.check() or len(started) == 2, what="the next start")
        assert not psutil.pid_exists(started[0])


def test_a_stopped_child_is_killed() -> None:
    with child(WELL, hang_timeout=0.3) as (one, started):
        wait_for(lambda: one.check() or one._timeout == 0.3, what="its first report")
        os.kill(started[0], signal.SIGSTOP)
        assert "killed: it hung" in died(one)


@pytest.mark.parametrize(("answers", "killed"), [(True, True), (False, False)])
def test_a_child_that_cannot_reach_a_server_that_answers_is_killed(answers: bool, killed: bool) -> None:
    with child(UNAVAILABLE, hang_timeout=0.3, server_answers=lambda: answers) as (one, started):
        if killed:
            assert "killed: it did not reach the server" in died(one)
            return
        wait_for(lambda: one.check() or one._timeout == 0.3, what="its first report")
        deadline = time.monotonic() + 0.6
        wait_for(lambda: one.check() or time.monotonic() > deadline, what="twice the timeout")
        assert one.process is not None
        assert len(started) == 1


@pytest.mark.parametrize("source", [LOADS, "import time; time.sleep(60)", WELL])
def test_a_child_that_loads_a_model_or_starts_or_works_is_not_killed(source: str) -> None:
    with child(source, hang_timeout=0.2) as (one, started):
        deadline = time.monotonic() + 0.8
        wait_for(lambda: one.check() or time.monotonic() > deadline, what="four times the timeout")
        assert one.process is not None
        assert len(started) == 1


def test_silence_does_not_count_while_this_process_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(children, "monotonic", lambda: now[0])
    with child(SILENT_AFTER_A_WHILE, hang_timeout=15.0) as (one, _):
        wait_for(lambda: one.check() or one._timeout == 15.0, what="its first report")
        now[0] += 600.0
        assert one.check() is None
        assert one.process is not None
        for _ in range(16):
            now[0] += 1.0
            one.check()
        assert "killed: it hung for 15 s" in died(one)


def test_exit_codes_are_described() -> None:
    assert [describe_exit(code) for code in (0, 3, -11, -99)] == ["0", "3", "-11, SIGSEGV", "-99"]
