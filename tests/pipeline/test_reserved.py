"""One run of the pipeline at a time for each camera: others wait, and no other capture changes its figures."""

from __future__ import annotations

import logging
import math
import os
import threading
from functools import partial
from pathlib import Path

import pytest
import redis

from rededge_nb import settings
from rededge_nb.capture.feeding import end_capture
from rededge_nb.capture.run import Capture, capture, start_capture
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import CameraInUseError, WaitTimeoutError
from rededge_nb.pipeline.reserved import WAITS, Reserved, reserved
from rededge_nb.pipeline.schedule import RunCommand
from tests.pipeline.notebooks import notebook
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

SCENE = "synthetic:people=1,size=128x64,fps=25"


def test_a_camera_that_belongs_to_a_run_takes_only_its_captures(bare_client: redis.Redis) -> None:
    with reserved(bare_client, "0", timeout=None) as mine:
        for replace in (False, True):
            with pytest.raises(
                CameraInUseError, match=rf"used by a run of the pipeline, process {os.getpid()} on .*wait"
            ):
                capture(bare_client, SCENE, frames=1, replace=replace)
        with settings.run_set_to("another-run"), pytest.raises(CameraInUseError):
            capture(bare_client, SCENE, frames=1)
        assert capture(bare_client, SCENE, camera="other", frames=1).frames == 1
        with settings.run_set_to(f"20260101-000000Z-{mine.token}"):
            assert capture(bare_client, SCENE, frames=1).frames == 1
    assert capture(bare_client, SCENE, frames=1).frames == 1


def test_a_second_run_waits_says_so_once_and_gives_up_after_its_timeout(
    bare_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    got = threading.Event()

    def second() -> None:
        with reserved(bare_client, "0", timeout=None):
            got.set()

    thread = threading.Thread(target=second)
    with reserved(bare_client, "0", timeout=None):
        with pytest.raises(
            WaitTimeoutError, match=r"camera 0 is used by another run, .*waited for 0\.1 s \(--timeout\)"
        ):
            reserved(bare_client, "0", timeout=0.1).__enter__()
        with reserved(bare_client, "other", timeout=0):
            pass
        caplog.clear()
        thread.start()
        wait_for(lambda: caplog.messages, what="the message")
        assert not got.is_set()
    assert got.wait(30)
    thread.join()
    [message] = caplog.messages
    assert message.startswith(f"{WAITS}: camera 0 is used by another run, process {os.getpid()} on ")


def test_a_run_whose_capture_was_ended_by_somebody_else_has_no_reliable_figures(bare_client: redis.Redis) -> None:
    mine = Reserved(bare_client, "0", "token")
    for run, yields, problem in (
        ("1-token", False, "a capture of camera 0 was not finished: a test has ended it"),
        ("2-token", True, ""),
    ):
        with settings.run_set_to(run):
            running = start_capture(bare_client, SCENE, yields=yields)
        wait_for(partial(_has_frames, running), what="frames")
        assert mine.problem(run) == ""
        end_capture(bare_client, "0", "a test has ended it")
        running.close()
        assert mine.problem(run) == problem
    mine.note_loss("process 7 on x has taken its place")
    assert mine.problem("3-token") == (
        "camera 0 was not reserved for this run to its end: process 7 on x has taken its place"
    )


def _has_frames(running: Capture) -> bool:
    return running.report.frames > 0


def test_a_schedule_says_at_once_that_its_run_waits_for_another_schedule(
    client: redis.Redis,
    edge: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(settings.REDIS_URL, edge.url)
    mine = notebook(tmp_path / "mine.ipynb", "camera = ''", "pass")
    run = RunCommand(notebooks=[mine], output=tmp_path / "runs", camera="door")
    thread = threading.Thread(target=run)
    with caplog.at_level(logging.INFO):
        with reserved(client, "door", timeout=math.inf):
            thread.start()
            wait_for(lambda: len(caplog.messages) > 1, what="the message")
            started, waits = caplog.messages
            assert started.startswith("run started, process ")
            assert waits.startswith(f"{WAITS}: camera door is used by another run, process {os.getpid()} on ")
            assert not (tmp_path / "runs").exists(), "it is no run yet"
        thread.join(120)
    assert caplog.messages[-1].startswith("run done: nothing was captured")
