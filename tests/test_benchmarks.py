"""Parts of the benchmarks: the methods that are compared count people, and the results are readable."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from benchmarks import rows
from benchmarks.accuracy import LABELS
from benchmarks.bare import BareLoop, sample_jpegs, write_pictures
from benchmarks.counting import in_turn, ratio
from benchmarks.flask_loop import flask_loop
from benchmarks.rows import Row
from benchmarks.throughput import SEED_CAMERA, captured, register_seed
from benchmarks.viewers import watching
from rededge_nb import schema
from rededge_nb.control.provision import provision
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.series import read_series
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return sample_jpegs(3)


@pytest.fixture
def pictures(jpegs: list[bytes], tmp_path: Path) -> Path:
    return write_pictures(jpegs, tmp_path / "pictures")


def test_the_bare_loop_the_gear_and_the_seeds_recipe_find_the_same_people(
    client: redis.Redis, jpegs: list[bytes], pictures: Path
) -> None:
    bare = BareLoop()
    counted = [len(bare.people(jpeg)) for jpeg in jpegs]
    assert all(3 <= people <= 7 for people in counted)
    assert len(bare.seconds(jpegs)) == 3
    provision(client)
    register_seed(client)
    for camera in ("0", SEED_CAMERA):
        assert captured(client, pictures, 3, camera=camera) > 0
    assert list(read_series(client, "0", schema.DETECTED).values) == counted
    # the letterbox of the seed's method gives the model another image
    assert abs(read_detections(client, SEED_CAMERA)[-1].people - counted[-1]) <= 1


def test_the_loop_with_flask_serves_images(pictures: Path, jpegs: list[bytes]) -> None:
    with flask_loop(pictures) as loop, watching(loop.port, "/video") as watch:
        assert loop.seconds(3) > 0
        wait_for(lambda: watch.pictures, what="a picture")


def test_measurements_take_turns_and_are_compared_round_by_round() -> None:
    order: list[str] = []

    def side(name: str, values: list[float]) -> float:
        order.append(name)
        return values.pop(0)

    one, other = [2.0, 20.0, 3.0], [4.0, 40.0, 4.0]
    found = in_turn({"one": lambda: side("one", one), "other": lambda: side("other", other)}, 3)
    assert order == ["one", "other", "other", "one", "one", "other"]
    assert ratio(found["one"], found["other"]) == 0.5


def test_results_as_json_and_as_a_table(tmp_path: Path) -> None:
    measured = [
        Row("fast", 0.95, "x", 0.9, "more"),
        Row("slow", np.float64(2.5), "ms", 1.5),
        Row("only told", np.float32(6.25), "people"),
        Row("not measured", None, "s", 1.0),
    ]
    rows.write(measured, 90.0, tmp_path / "results")
    found = json.loads((tmp_path / "results.json").read_text())
    assert [set(row) for row in found] == [{"name", "value", "bar", "unit", "met"}] * 4
    assert [row["met"] for row in found] == [True, False, None, False]
    text = (tmp_path / "results.md").read_text()
    assert "| fast | 0.95 x | at least 0.9: met |" in text
    assert "| slow | 2.5 ms | at most 1.5: MISSED |" in text
    assert "2 of 3 bars missed" in text
    assert "1.5 minutes" in text
    assert len(rows.as_text(measured).splitlines()) == 4


def test_the_labelled_frames_are_of_the_video(video: Path) -> None:
    capture = cv2.VideoCapture(str(video))
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    labels = json.loads(LABELS.read_text())["people"]
    assert len(labels) == 12
    assert all(0 <= int(frame) < frames for frame in labels)
    assert np.mean(list(labels.values())) > 3
