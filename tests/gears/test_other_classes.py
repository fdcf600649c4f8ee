"""A model that counts cars: its series, tracks, crossings and zones, and what becomes of the counts of people."""

from __future__ import annotations

import json
import re
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.scene import Scene
from rededge_nb.capture.run import capture
from rededge_nb.control.model_import import ImportOptions, import_model
from rededge_nb.control.provision import provision, use_model
from rededge_nb.display.plots import plot_people
from rededge_nb.display.scene_plots import plot_zones
from rededge_nb.history.by_period import busiest_periods, read_history
from rededge_nb.images import Image, encode_jpeg
from rededge_nb.live.chart_data import ChartData
from rededge_nb.live.follow import FrameWithDetections
from rededge_nb.live.tiles import TileReader
from rededge_nb.monitoring.top import as_table, snapshot
from rededge_nb.pipeline.findings import read_findings
from rededge_nb.pipeline.report import write_index
from rededge_nb.reading.captures import find_captures
from rededge_nb.reading.detections import latest_detected_frame
from rededge_nb.reading.event_text import describe
from rededge_nb.reading.events import read_events
from rededge_nb.reading.scenes import read_zones
from rededge_nb.reading.series import read_series
from rededge_nb.reading.summary import summarize
from rededge_nb.web.metrics import exposition, read_metrics
from tests.control.model_import import toys
from tests.gears.test_tracks import START_MS, add_frames, samples, total
from tests.video_files import write_video
from tests.waiting import wait_for

FRAMES = 40
SCENE = Scene(version=1).with_line("gate", (0.5, 0), (0.5, 1)).with_zone("lot", [(0.5, 0), (1, 0), (1, 1), (0.5, 1)])


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The cards of the same toy, which finds a red rectangle, by what it is said to be."""
    folder = tmp_path_factory.mktemp("cards")
    onnx.save(toys.toy_model(toys.yolov8, side=160), folder / "toy.onnx")
    found = {}
    for name in ("person", "traffic light", "car"):
        # the toy finds objects of its first class
        classes = (name, *(f"class {number}" for number in range(1, 80)))
        options = ImportOptions(name=name.replace(" ", "-"), classes=classes, count=(name,))
        found[name] = import_model(folder / "toy.onnx", options).card_file
    return found


def images() -> list[Image]:
    """Frames in which a red rectangle goes from the left to the right."""
    frames = []
    for at in range(FRAMES):
        frame = np.full((240, 320, 3), 90, np.uint8)
        left = 20 + 6 * at
        frame[80:160, left : left + 50] = (0, 0, 255)
        frames.append(frame)
    return frames


def rectangles() -> list[bytes]:
    return [encode_jpeg(frame, quality=95) for frame in images()]


def newest(client: redis.Redis) -> dict[bytes, bytes]:
    ((_, fields),) = client.xrevrange(schema.detections_key("0"), count=1)
    return fields


def labels(client: redis.Redis, series: str) -> dict[bytes, bytes]:
    info = client.execute_command("TS.INFO", f"camera:0:{series}")
    return dict(info[info.index(b"labels") + 1])


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames as a video of ten frames a second."""
    path = tmp_path_factory.mktemp("video") / "cars.mp4"
    write_video(path, images())
    return path


def test_cars_are_counted_and_followed_over_lines_and_through_zones(
    client: redis.Redis, cards: dict[str, Path], video: Path, tmp_path: Path
) -> None:
    provision(client, model=str(cards["car"]))
    client.set(schema.scene_key("0"), SCENE.to_json())
    report = capture(client, video, pace="asap")
    entry = newest(client)
    assert (entry[b"count"], entry[b"class"], entry[b"plural"]) == (b"1", b"car", b"cars")
    assert b"people" not in entry
    assert sorted(json.loads(entry[b"lines"])["gate"]) == [0, 1]
    assert json.loads(entry[b"zones"])["lot"][0] == 1
    assert [value for _, value in samples(client, "count")] == [1.0] * FRAMES
    assert samples(client, "people") == []
    assert labels(client, "count") == {b"camera": b"0", b"__name__": b"count", b"class": b"car", b"plural": b"cars"}
    assert client.execute_command("TS.QUERYINDEX", "__name__=count_max_1m", "class=car") == [b"camera:0:count:max:1m"]
    assert total(client, "line:gate:forward") + total(client, "line:gate:backward") == 1
    assert labels(client, "zone:lot:people")[b"class"] == b"car"
    (event,) = [each for each in read_events(client, "0") if each.kind == "zone_entered"]
    assert describe(event) == "a car entered the zone lot"

    # every display has the word and the numbers
    found = latest_detected_frame(client, "0")
    assert "camera 0: 1 car, latency" in repr(found[1])
    message = FrameWithDetections(*found, live=True).as_message()
    assert message["amount"] == "1 car"
    shown = {tile.key: tile for tile in TileReader("0").read(client)}["people"]
    assert (shown.label.partition(" at ")[0], shown.value) == ("cars", "1"), "with its position in the recording"
    (row,) = snapshot(client, window=60)
    assert (row.people, as_table([row]).splitlines()[0].split()[6]) == (1.0, "cars")
    metrics = exposition(read_metrics(client))
    assert 'rededge_count{camera="0",class="car"} 1.0' in metrics
    assert 'rededge_zone_people{camera="0",zone="lot",class="car"} 1.0' in metrics
    chart = ChartData("0", 5).history(client)
    assert (chart.content["things"], chart.content["missing"]) == ("cars", [])
    axes = plot_people(read_series(client, "0", "count"))
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("Cars in view", "cars")
    assert plot_zones(read_zones(client, "0")).get_title(loc="left") == "Cars in zones"
    history = read_history(client, "0", every="1min")
    assert np.nansum(history["seen"]) == 1
    assert np.nanmax(busiest_periods(history)["count_mean"]) == 1

    summary = summarize(client, "0", [report.capture])
    assert (summary.people_mean, summary.people_seen) == (1.0, 1)
    figures = summary.as_dict()
    assert (figures["class"], figures["count"]["seen"]) == ("car", 1)
    findings = read_findings(client, "0", find_captures(client, "0", ids=[report.capture]), video)
    assert findings is not None
    about: dict[str, Any] = {"source": "video", "error": "", "started": "now", "time_zone": "UTC", "outcome": "done"}
    about |= {"notebooks": [], "versions": {}, "seconds": 1} | figures | findings.as_dict()
    page = write_index(tmp_path, about, findings).read_text()
    assert "1 car was seen" in page
    assert "Cars in view over the time" in page
    assert not re.search(r"\b(people|person|somebody)\b", re.sub(r"<style>.*?</style>", "", page, flags=re.S), re.I)

    # whose recording is counted again has the same counts
    capture(client, video, pace="asap")
    assert total(client, "seen") == 1
    assert total(client, "line:gate:forward") + total(client, "line:gate:backward") == 1


def test_counts_of_another_class_are_kept_apart(client: redis.Redis, cards: dict[str, Path]) -> None:
    provision(client, model=str(cards["person"]))
    client.set(schema.scene_key("0"), SCENE.to_json())
    frames = rectangles()
    add_frames(client, frames)
    assert newest(client)[b"people"] == b"1"
    crossed = crossings(client)
    assert len(crossed) == 1

    use_until_counted(client, cards["traffic light"], "traffic light", frames[0], 60)
    entry = newest(client)
    assert (entry[b"count"], entry[b"plural"]) == (b"1", b"traffic lights")
    assert json.loads(entry[b"lines"]) == {"gate": [0, 0]}
    assert crossings(client) == []
    assert crossings(client, "was:person:") == crossed
    assert labels(client, "was:person:seen:sum:1m")[b"__name__"] == b"was_seen_sum_1m"
    assert client.execute_command("TS.QUERYINDEX", "__name__=seen", "camera=0") == [b"camera:0:seen"]
    assert total(client, "was:person:seen") == len(ids(client, "person"))
    assert len(samples(client, "people")) == frames_of(client, "person")

    # back to people: they have what was counted of them before
    use_until_counted(client, cards["person"], "person", frames[0], 120)
    assert labels(client, "seen") == {b"camera": b"0", b"__name__": b"seen"}
    assert total(client, "seen") == len(ids(client, "person"))
    assert crossings(client) == crossed
    assert total(client, "was:traffic_light:seen") == len(ids(client, "traffic light"))
    assert len(samples(client, "was:traffic_light:count")) == frames_of(client, "traffic light")
    assert labels(client, "was:traffic_light:count")[b"class"] == b"traffic light"
    assert not client.exists("camera:0:was:person:seen", "camera:0:count")
    assert client.xlen(schema.errors_key("0")) == 0
    assert provision(client) == [], "nothing is set back that the gear has written"


def use_until_counted(client: redis.Redis, card: Path, name: str, frame: bytes, after_s: int) -> None:
    """Use a model, and add frames until the gear has noticed and counts the other class."""
    use_model(client, str(card))
    times = count(START_MS + 1000 * after_s, 50)

    def noticed() -> bool:
        add_frames(client, [frame], start_ms=next(times))
        return newest(client).get(b"class", b"person").decode() == name

    wait_for(noticed, timeout=30, what=f"a frame in which the {name} is counted")
    for _ in range(3):
        assert noticed()


def entries_of(client: redis.Redis, name: str) -> list[dict[bytes, bytes]]:
    found = client.xrange(schema.detections_key("0"))
    return [fields for _, fields in found if fields.get(b"class", b"person").decode() == name]


def frames_of(client: redis.Redis, name: str) -> int:
    return len(entries_of(client, name))


def ids(client: redis.Redis, name: str) -> set[int]:
    return {each for fields in entries_of(client, name) for each in json.loads(fields[b"tracks"])}


def crossings(client: redis.Redis, before: str = "") -> list[tuple[int, float]]:
    names = [f"{before}line:gate:{direction}" for direction in ("forward", "backward")]
    return [sample for name in names if client.exists(f"camera:0:{name}") for sample in samples(client, name)]
