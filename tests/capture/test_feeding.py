"""One capture per camera: it says who it is, refuses a second one, is replaced or stopped, and leaves a record."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb.capture.feeding import end_capture
from rededge_nb.capture.run import Capture, capture, start_capture
from rededge_nb.errors import CameraInUseError, NoDataError, SourceError
from rededge_nb.reading.captures import current_capture, ended_captures, find_captures
from tests.paths import WALKING
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

SCENE = "synthetic:people=1,size=128x64,fps=25"


@pytest.fixture
def feeding(bare_client: redis.Redis) -> Iterator[Capture]:
    running = start_capture(bare_client, SCENE)
    wait_for(lambda: running.report.frames, what="frames")
    yield running
    running.close()


def test_a_capture_tells_what_it_does(bare_client: redis.Redis, feeding: Capture) -> None:
    def shown() -> bool:
        current = current_capture(bare_client, "0")
        return current is not None and current.frames > 0 and current.fps > 0

    wait_for(shown, what="a rate")
    current = current_capture(bare_client, "0")
    assert current is not None
    assert (current.source, current.pace, current.host, current.pid) == (
        SCENE,
        "realtime",
        socket.gethostname(),
        os.getpid(),
    )
    assert current.capture == feeding.report.capture
    assert current.running
    assert f"process {os.getpid()} on {socket.gethostname()}, since 2" in str(current)


def test_a_second_capture_is_refused_with_who_feeds_the_camera(bare_client: redis.Redis, feeding: Capture) -> None:
    with pytest.raises(CameraInUseError) as refused:
        capture(bare_client, WALKING)
    for words in ("camera 0 is fed by", SCENE, f"process {os.getpid()} on", "--replace", "rededge capture --stop 0"):
        assert words in str(refused.value)
    assert feeding.running
    frames = {fields[b"capture"].decode() for _, fields in bare_client.xrange("camera:0")}
    assert frames == {feeding.report.capture}


def test_other_cameras_are_free(bare_client: redis.Redis, feeding: Capture) -> None:
    assert capture(bare_client, SCENE, camera="other", frames=2).frames == 2


def test_a_capture_takes_over_if_told(bare_client: redis.Redis, feeding: Capture) -> None:
    report = capture(bare_client, SCENE, frames=2, replace=True)
    assert report.frames == 2
    wait_for(lambda: not feeding.running, what="the end of the first")
    assert feeding.error is None
    (problem,) = feeding.report.problems
    assert f"ended, because the capture of {SCENE} by process {os.getpid()} on" in problem
    order = [fields[b"capture"].decode() for _, fields in bare_client.xrange("camera:0")]
    assert order == sorted(order, key=lambda each: each == report.capture)


def test_a_wrong_source_does_not_end_the_running_capture(bare_client: redis.Redis, feeding: Capture) -> None:
    with pytest.raises(SourceError):
        start_capture(bare_client, "no-such.mp4", replace=True)
    before = feeding.report.frames
    wait_for(lambda: feeding.report.frames > before + 3, what="more frames")


def test_a_capture_that_yields_is_replaced_by_any_other(bare_client: redis.Redis) -> None:
    with start_capture(bare_client, SCENE, yields=True) as demonstration:
        wait_for(lambda: demonstration.report.frames, what="frames")
        assert capture(bare_client, SCENE, frames=2).frames == 2
        wait_for(lambda: not demonstration.running, what="its end")


def test_a_capture_can_be_stopped_from_elsewhere(bare_client: redis.Redis, feeding: Capture) -> None:
    ended = end_capture(bare_client, "0", "ended by a test")
    assert ended.capture == feeding.report.capture
    wait_for(lambda: not feeding.running, what="the end")
    assert feeding.error is None
    assert feeding.report.problems == ("ended by a test",)
    assert current_capture(bare_client, "0") is None
    with pytest.raises(NoDataError, match="no capture feeds camera 0"):
        end_capture(bare_client, "0", "again")


def test_an_event_of_the_callers_is_left_alone(bare_client: redis.Redis) -> None:
    stop = threading.Event()
    reports = []
    thread = threading.Thread(target=lambda: reports.append(capture(bare_client, SCENE, stop=stop)))
    thread.start()
    wait_for(lambda: bare_client.xlen("camera:0"), what="frames")
    end_capture(bare_client, "0", "ended by a test")
    thread.join(20)
    assert reports[0].frames > 0
    assert not stop.is_set()


def test_what_has_ended_is_remembered(bare_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    first = capture(bare_client, SCENE, frames=3)
    monkeypatch.setenv("REDEDGE_RUN", "run-1")
    second = capture(bare_client, SCENE, frames=2)
    monkeypatch.setenv("REDEDGE_RUN", "run-2")
    third = capture(bare_client, SCENE, frames=1)
    records = ended_captures(bare_client, "0")
    assert [record.capture for record in records] == [third.capture, second.capture, first.capture]
    assert [(record.frames, record.run, record.running) for record in records] == [
        (1, "run-2", False),
        (2, "run-1", False),
        (3, "", False),
    ]
    assert (records[2].first_id, records[2].last_id) == (first.first_id, first.last_id)
    assert [record.capture for record in find_captures(bare_client, "0", run="run-1")] == [second.capture]
    both = find_captures(bare_client, "0", ids=[first.capture, third.capture])
    assert [record.capture for record in both] == [first.capture, third.capture]


def test_a_capture_that_fails_frees_its_camera(bare_client: redis.Redis, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        capture(bare_client, tmp_path / "none.mp4")
    assert current_capture(bare_client, "0") is None
    assert capture(bare_client, SCENE, frames=1).frames == 1


def test_a_capture_goes_on_after_all_keys_were_deleted(bare_client: redis.Redis, feeding: Capture) -> None:
    bare_client.flushall()
    wait_for(lambda: current_capture(bare_client, "0"), what="the lease")
    before = feeding.report.frames
    wait_for(lambda: feeding.report.frames > before + 3, what="more frames")
