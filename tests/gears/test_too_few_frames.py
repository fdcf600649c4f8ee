"""A camera whose frames are too rare to follow people: the gear says so, and everything that shows such figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from benchmarks.bare import sample_jpegs
from rededge_nb import schema
from rededge_nb.analytics.pace import LEAST_FPS
from rededge_nb.capture.run import capture
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.control.provision import provision
from rededge_nb.display.plots import plot_tracks
from rededge_nb.display.scene_plots import plot_crossings, plot_dwell, plot_zones
from rededge_nb.edge.server.state import Instance
from rededge_nb.history.by_period import read_history
from rededge_nb.live.chart_data import ChartData
from rededge_nb.live.tiles import TileReader
from rededge_nb.monitoring.cameras import list_cameras
from rededge_nb.monitoring.status import server_status, status_lines
from rededge_nb.monitoring.top import as_table, snapshot
from rededge_nb.pipeline.findings import read_findings
from rededge_nb.pipeline.report import as_table as as_text
from rededge_nb.pipeline.report import write_index
from rededge_nb.pipeline.runs import figures_of
from rededge_nb.reading.captures import find_captures
from rededge_nb.reading.events import Event, read_events
from rededge_nb.reading.scenes import read_crossings, read_zones
from rededge_nb.reading.summary import summarize
from rededge_nb.reading.tracks import read_tracks
from tests.gears.test_tracks import START_MS, samples, wait_until_acknowledged
from tests.paths import WALKING


@pytest.fixture
def counting(client: redis.Redis) -> redis.Redis:
    provision(client)
    return client


def told(client: redis.Redis) -> list[Event]:
    return read_events(client, "0", kinds=["too_few_frames"])


def test_a_recording_with_a_frame_a_second_is_not_reliable_and_everything_says_so(
    edge: Instance, counting: redis.Redis, tmp_path: Path
) -> None:
    CameraScene(counting, "0").line("middle", (0.5, 0.0), (0.5, 1.0))
    CameraScene(counting, "0").zone("all", [(0, 0), (1, 0), (1, 1), (0, 1)])
    report = capture(counting, WALKING, pace="asap", fps=1, seconds=20)
    (said,) = report.problems
    assert said.startswith("the rate is 1 fps, and people can be followed from 3.5 fps on: people seen, crossings and")
    (event,) = told(counting)
    assert (event.severity, event.value) == ("warning", pytest.approx(1, abs=0.1))
    assert "saw 1.0 frames a second while people moved, and 3.5 are needed to follow them" in event.reason
    assert "1.0 frames a second came: let the camera send 5 or more" in event.reason
    found = samples(counting, schema.TOO_FEW_FRAMES)
    assert 10 <= len(found) < 20
    assert all(value < LEAST_FPS for _, value in found)
    # the people in each frame do not depend on it
    people, detected = (np.array([value for _, value in samples(counting, name)]) for name in ("people", "detected"))
    assert abs(people.mean() - detected.mean()) < 1
    assert [value for _, value in samples(counting, "zone:all:people")] == people.tolist()

    reason = event.reason.partition(". ")[0]
    summary = summarize(counting, "0", [report.capture])
    assert summary.too_few_frames is not None
    assert summary.too_few_frames.first_ms <= found[0][0] < found[-1][0] <= summary.too_few_frames.last_ms
    figures = summary.as_dict()
    assert figures["too_few_frames"]["reason"] == reason
    assert figures["too_few_frames"]["frames_per_second"] == pytest.approx(1, abs=0.1)
    findings = read_findings(counting, "0", find_captures(counting, "0", ids=[report.capture]), WALKING)
    about: dict[str, Any] = {"source": "video", "error": "", "started": "now", "time_zone": "UTC", "outcome": "done"}
    about |= {"notebooks": [], "versions": {}, "seconds": 1} | figures | findings.as_dict()
    page = write_index(tmp_path, about, findings).read_text()
    assert f"Not reliable: {reason}. This was so between 0:0" in page
    assert "People in view are not affected." in page
    assert "<small>not reliable</small>" in page
    assert "the brightest is the longest (not reliable: too few frames)</figcaption>" in page
    assert "NOT RELIABLE" in as_text(about)

    history = read_history(counting, "0", every="10s")
    assert np.nanmin(history[schema.TOO_FEW_FRAMES]) == pytest.approx(1, abs=0.1)
    crossings, zones = read_crossings(counting, "0"), read_zones(counting, "0")
    assert repr(crossings[0]).endswith("; not reliable: the model saw 1.0 frames a second, too few>")
    assert repr(zones[0]).endswith("; not reliable: the model saw 1.0 frames a second, too few>")
    assert plot_crossings(crossings).get_title(loc="left") == "People who crossed (not reliable: too few frames)"
    assert plot_dwell(zones).get_title(loc="left") == "How long they stayed (not reliable: too few frames)"
    tracks = read_tracks(counting, "0")
    assert all(each.too_few_frames for each in tracks)
    assert repr(tracks[0]).endswith("; not reliable: the model saw 1.0 frames a second, too few>")
    paths = plot_tracks(tracks).get_title(loc="left")
    assert paths == f"Where people walked: {len(tracks)} people (not reliable: too few frames)"
    assert plot_zones(zones).get_title(loc="left") == "People in zones"
    assert ChartData("0", 5).history(counting).content["reliable"] is False
    assert figures_of(figures)["too_few_frames.frames_per_second"] == pytest.approx(1, abs=0.1)
    assert f"see the column too_few_frames: {reason}" in repr(history.take(np.array([0])))
    (row,) = snapshot(counting)
    assert "too few frames to follow people in the recording: 1.0/s" in as_table([row])
    assert list_cameras(counting)[0].problem == "too few frames to follow people in the recording: 1.0/s"
    facts = server_status(edge.url, edge)
    assert facts["state"] == "ok", "the server works"
    assert "camera 0 (1.0 a second); 3.5 a second are needed" in facts["warnings"][0]
    assert "too few frames" in "\n".join(status_lines(facts))
    tiles = {tile.key: tile for tile in TileReader("0").read(counting)}
    for key in ("seen", "stay", "line-middle", "zone-all"):
        assert (tiles[key].level, tiles[key].note) == ("warning", f"not reliable: {reason}"), key
        assert tiles[key].detail.startswith("not reliable")
    assert tiles["people"].note == ""


def test_a_still_recording_is_reliable_however_slow_it_is(counting: redis.Redis) -> None:
    jpeg = sample_jpegs(1)[0]
    for number in range(15):
        fields = {"image": jpeg, "ts": START_MS + 1000 * number, "keep": 1}
        last = counting.xadd(schema.frames_key("0"), fields)
    wait_until_acknowledged(counting, last)
    assert len(samples(counting, "looked_fps")) == 15
    assert told(counting) == []
    assert not counting.exists(schema.series_key("0", schema.TOO_FEW_FRAMES))


def test_a_live_camera_whose_model_is_too_busy_is_not_reliable(counting: redis.Redis) -> None:
    """Frames come together, so that a newer one waits during nearly all of them."""
    jpegs = sample_jpegs(200)
    for first in range(0, 1000, 10):
        with counting.pipeline() as together:
            for number in range(first, first + 10):
                fields = {"image": jpegs[number % 200], "ts": START_MS + 100 * number}
                together.xadd(schema.frames_key("0"), fields)
            last = together.execute()[-1]
        wait_until_acknowledged(counting, last)
        if told(counting):
            break
    (event,) = told(counting)
    assert "frames a second came, but the model has no time for them" in event.reason
