"""People in the frames of the sample video that somebody counted by eye (labels.json), as found by the gear, the bare
loop, and the method of the original showcase."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import redis

from benchmarks.bare import BareLoop, sample_jpegs, write_pictures
from benchmarks.counting import own_server
from benchmarks.rows import Row
from benchmarks.throughput import SEED_CAMERA, register_seed
from rededge_nb.capture.run import capture
from rededge_nb.control.provision import provision
from rededge_nb.reading.detections import read_detections

LABELS = Path(__file__).with_name("labels.json")


def measure() -> list[Row]:
    """Mean count, and mean absolute error, over the labelled frames."""
    labels = {int(frame): people for frame, people in json.loads(LABELS.read_text())["people"].items()}
    frames = sample_jpegs(max(labels) + 1)
    jpegs, bare = [frames[frame] for frame in labels], BareLoop()
    counted = [len(bare.people(jpeg)) for jpeg in jpegs]
    with tempfile.TemporaryDirectory(prefix="rededge-") as name, own_server() as client:
        pictures = write_pictures(jpegs, Path(name) / "pictures")
        provision(client)
        gear = _counted(client, pictures, "0")
        register_seed(client)
        seed = _counted(client, pictures, SEED_CAMERA)
    seen = list(labels.values())
    return [
        Row("people in a frame, by eye", statistics.mean(seen), ""),
        Row("people found by the pipeline", statistics.mean(gear), ""),
        Row("mean absolute error of the pipeline", error(gear, seen), "people"),
        Row("the same of the bare loop", error(counted, seen), "people"),
        Row("the same of the seed's recipe", error(seed, seen), "people"),
        Row("pipeline against bare loop, mean difference", error(gear, counted), "people", 0.0),
    ]


def error(found: Sequence[int], expected: Sequence[int]) -> float:
    """Mean absolute difference."""
    return statistics.mean(abs(one - other) for one, other in zip(found, expected, strict=True))


def _counted(client: redis.Redis, pictures: Path, camera: str) -> list[int]:
    capture(client, pictures, camera=camera, pace="asap")
    return [found.people for found in read_detections(client, camera)]
