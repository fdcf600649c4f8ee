"""How right people are counted and followed: the whole pipeline against labels that were made by eye.

The sample video is compared with our own labels (labels/README.md). Two more labelled videos are used where they are
beside the project; they may be used for measuring only, and are not part of it.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import redis

from benchmarks.bare import BareLoop, sample_jpegs, write_pictures
from benchmarks.counting import own_server
from benchmarks.rows import Row
from benchmarks.throughput import SEED_CAMERA, register_seed
from rededge_nb import assets, schema
from rededge_nb.analytics.ground_truth import TruthBox, read_truth
from rededge_nb.capture.run import capture
from rededge_nb.control.provision import provision
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.scores import Scores, read_numbered, score
from rededge_nb.reading.series import read_series

LABELS = Path(__file__).with_name("labels.json")
"""Numbers of people in 12 frames."""
BOXES = Path(__file__).parent / "labels" / "walking.txt"
"""Boxes and ids of the people in 46 frames."""
OTHER_VIDEOS = Path(__file__).parents[2] / "shared" / "data" / "mot15"

COUNT_ERROR, IDF1 = 0.75, 0.8
"""Bars on the sample video. The labels count everybody of whom a part can be seen, mostly in the frames with the most
people: the count error is larger than in the whole video. IDF1 is that of one run, which chance changes by 0.05."""


def measure() -> list[Row]:
    """People counted and followed in the sample video, and in the other ones."""
    with own_server() as client:
        provision(client)
        return [*_sample(client), *(row for video in _other_videos() for row in _other(client, video))]


def error(found: Sequence[int], expected: Sequence[int]) -> float:
    """Mean absolute difference."""
    return statistics.mean(abs(one - other) for one, other in zip(found, expected, strict=True))


def _sample(client: redis.Redis) -> list[Row]:
    truth = read_truth(BOXES.read_text())
    by_eye = [len(truth[frame]) for frame in sorted(truth)]
    capture(client, assets.sample_video(), pace="asap")
    scores = _scores(client, "0", truth, only_labelled=True)
    frames = sample_jpegs()
    jpegs, bare = [frames[frame - 1] for frame in sorted(truth)], BareLoop()
    boxes = [len(bare.people(jpeg)) for jpeg in jpegs]
    detected = read_series(client, "0", schema.DETECTED).values
    same = [round(detected[frame - 1]) for frame in sorted(truth)]
    return [
        Row("people in a labelled frame, by eye", statistics.mean(by_eye), ""),
        Row("count error of the pipeline", scores.counts.mae, "people", COUNT_ERROR),
        Row("the same of the boxes of single frames", error(boxes, by_eye), "people"),
        Row("the same of the seed's recipe", error(_seeds_counts(client, jpegs), by_eye), "people"),
        Row("boxes of the pipeline against the bare loop", error(same, boxes), "people", 0.0),
        *_rows("sample video", scores, IDF1),
    ]


def _other_videos() -> Iterator[Path]:
    if OTHER_VIDEOS.is_dir():
        yield from sorted(OTHER_VIDEOS.glob("*/*.mp4"))


def _other(client: redis.Redis, video: Path) -> list[Row]:
    provision(client, cameras=[video.stem])
    capture(client, video, camera=video.stem, pace="asap")
    scores = _scores(client, video.stem, read_truth(video.with_name("gt.txt").read_text()), only_labelled=False)
    return [Row(f"{video.stem}: count error", scores.counts.mae, "people"), *_rows(video.stem, scores)]


def _scores(
    client: redis.Redis, camera: str, truth: Mapping[int, Sequence[TruthBox]], *, only_labelled: bool
) -> Scores:
    return score(truth, read_numbered(client, camera), only_labelled=only_labelled)


def _rows(name: str, scores: Scores, least_idf1: float | None = None) -> list[Row]:
    assert scores.detections is not None
    assert scores.tracks is not None
    return [
        Row(f"{name}: average precision of what is counted", scores.detections.ap, ""),
        Row(f"{name}: MOTA", scores.tracks.mota, ""),
        Row(f"{name}: HOTA", scores.tracks.hota, ""),
        Row(f"{name}: IDF1", scores.tracks.idf1, "", least_idf1, "more"),
        Row(f"{name}: identity switches", scores.tracks.switches, ""),
        Row(f"{name}: ids for {scores.tracks.people} people", scores.tracks.ids, ""),
    ]


def _seeds_counts(client: redis.Redis, jpegs: Sequence[bytes]) -> list[int]:
    register_seed(client)
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        capture(client, write_pictures(jpegs, Path(name) / "pictures"), camera=SEED_CAMERA, pace="asap")
    return [found.people for found in read_detections(client, SEED_CAMERA)]
