"""The workbench: the object that notebooks hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from rededge_nb import Workbench, schema
from rededge_nb.edge import server
from rededge_nb.edge.server.state import Instance, StateFolder
from rededge_nb.errors import ConfigurationError, GearError
from rededge_nb.reading.captures import ended_captures
from tests.waiting import wait_for


def test_a_workbench_counts_people(edge: Instance, client: redis.Redis, video: Path) -> None:
    with Workbench() as wb:
        assert repr(wb) == f"<Workbench on unix://{edge.socket}: cameras none yet>"
        assert wb.provision("0")
        assert wb.cameras() == ["0"]
        camera = wb.camera("0")
        assert "10 frames" in camera.ensure_detections(video, seconds=1)
        assert "has detections already" in camera.ensure_detections(video, seconds=1)
        frame, detections = camera.latest()
        assert frame.entry_id == detections.ref
        assert len(camera.detections()) == 10
        following = camera.follow(frames=2)
        camera.capture(video, frames=2, pace="asap")
        assert [each.ref for each in following] == [each.ref for each in camera.recent()[10:]]
        pairs = [(frame.entry_id, each.ref) for frame, each in camera.recent_frames(3)]
        assert pairs == [(each.ref, each.ref) for each in camera.recent()[9:]]
        assert camera.errors() == []
        # the first two frames were counted again
        assert len(camera.series("people")) == 10
        assert set(camera.many_series(["people", "prf_model"])) == {"people", "prf_model"}
        assert list(camera.step_series()) == [f"prf_{step}" for step in (*schema.STEPS, "total")]
        assert [model.key for model in wb.models.list()] == ["model:nanodet-g-two-sizes"]
        assert wb.models.store(wb.models.card()) is False
        assert wb.settings()["confidence"] == "0.5"
        (registration,) = wb.gears.list()
        assert wb.gears.list("people_counter") == wb.gears.list(registration.id) == [registration]
        wb.gears.pause("people_counter")
        assert [each.status for each in wb.gears.list()] == ["PAUSED"]
        wb.gears.unpause(registration.id)
        wb.gears.unregister("people_counter")
        assert wb.gears.list() == []
        with pytest.raises(GearError, match="no gear 'people_counter' is registered"):
            wb.gears.pause("people_counter")
        assert "GearsBuilder" in wb.gears.script()


def test_a_source_is_played_only_if_no_capture_feeds_the_camera(
    edge: Instance, client: redis.Redis, video: Path
) -> None:
    with Workbench() as wb:
        camera = wb.camera("0")
        assert camera.play(video, minutes=0) is None
        playing = camera.play(video, minutes=1)
        assert playing is not None
        wait_for(lambda: client.xlen(schema.frames_key("0")), what="a frame")
        assert camera.play(video, minutes=1) is None
        playing.stop()
        again = camera.play(video, minutes=1, only_if_silent=False)
        assert again is not None
        assert again.running
        third = camera.play(video, minutes=1, only_if_silent=False)
        assert third is not None
        wait_for(lambda: not again.running, what="the end of the capture that was replaced")


def test_a_camera_that_is_fed_is_never_fed_for_its_detections(edge: Instance, client: redis.Redis, video: Path) -> None:
    with Workbench() as wb:
        wb.provision("0")
        camera = wb.camera("0")
        with camera.start_capture("synthetic:people=1,size=128x64,fps=20") as running:
            assert "has detections already" in camera.ensure_detections(video, seconds=1)
            fed_by = camera.fed_by()
            assert fed_by is not None
            assert fed_by.capture == running.report.capture
        assert camera.fed_by() is None
        assert [each.capture for each in ended_captures(client, "0")] == [running.report.capture]
        summary = camera.summary(running)
        assert summary.frames_in == running.report.frames
        assert camera.summary(running.report, running.report.capture).frames_in == summary.frames_in


def test_what_is_played_makes_way_for_a_capture(edge: Instance, client: redis.Redis, video: Path) -> None:
    with Workbench() as wb:
        wb.provision("0")
        camera = wb.camera("0")
        playing = camera.play(video, minutes=1)
        assert playing is not None
        assert camera.capture(video, frames=2).frames == 2
        wait_for(lambda: not playing.running, what="the end of what was played")


def test_executions_are_started_and_read(edge: Instance, client: redis.Redis) -> None:
    with Workbench() as wb:
        execution = wb.executions.start("GB('ShardsIDReader').run()")
        assert wb.executions.results(execution).values == ("1",)
        assert wb.executions.get(execution).status == "done"
        assert [each.id for each in wb.executions.list()] == [execution]
        wb.executions.abort(execution)
        wb.executions.drop(execution)
        assert wb.executions.list() == []


def test_close_stops_captures_and_may_come_twice(edge: Instance, client: redis.Redis, video: Path) -> None:
    wb = Workbench()
    wb.provision("0")
    capture = wb.camera("0").start_capture(video, loop=True)
    wait_for(lambda: client.xlen(schema.frames_key("0")), what="a frame")
    wb.close()
    assert not capture.running
    wb.close()
    assert server.find() == edge, "an instance that somebody started stays"


def test_a_workbench_starts_a_server_that_ends_with_it(folder: Path) -> None:
    with Workbench(directory=folder / "state") as first:
        instance = server.find(folder / "state")
        assert instance is not None
        with Workbench(directory=folder / "state") as second:
            assert server.find(folder / "state") == instance
            second.client.set("x", 1)
        assert first.client.get("x") == b"1"
    wait_for(lambda: not StateFolder(folder / "state").held(), what="the server to end by itself", timeout=40)


def test_a_camera_id_that_no_key_can_hold_is_refused(edge: Instance, client: redis.Redis) -> None:
    with Workbench() as wb, pytest.raises(ConfigurationError, match="camera id 'a b' cannot be used"):
        wb.camera("a b")
