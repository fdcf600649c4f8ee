"""The tracker against the prototype that its figures were measured with, on the two labelled videos.

Both get the same boxes, six times slightly disturbed: one run alone is luck. Skipped where ../shared is not there; the
videos must not be copied into the project.
"""

from __future__ import annotations

import importlib.util
import random
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rededge_nb.analytics.ground_truth import FoundBox, TruthBox, read_truth
from rededge_nb.analytics.scoring import TrackScores, score_tracks
from rededge_nb.analytics.tracking import ONE_SIZE, TWO_SIZES, Tracker, TrackerSettings
from tests.analytics.drawn_scene import Row

SHARED = Path(__file__).parents[2].parent / "shared"
VIDEOS = ("TUD-Campus", "TUD-Stadtmitte")
FPS = 25
FRAME_WH = (640, 480)
SEEDS = range(6)
NMS_IOU = 0.55
CONFIDENCE_LEAST = 0.05

pytestmark = pytest.mark.skipif(not (SHARED / "data" / "mot15").is_dir(), reason="needs the labelled videos")

# the prototype's names: the same thresholds as `TWO_SIZES` and `ONE_SIZE`
PROTOTYPE = {
    "grow": (0.2, 0.5),
    "match": (0.2, 0.2),
    "hits": 3,
    "keep": 3.0,
    "coast": 0.3,
    "wp": 0.025,
    "rim": FRAME_WH,
}
PROTOTYPE_TWO_SIZES = PROTOTYPE | {"high": 0.55, "new": 0.65, "low": 0.35, "low_match": 0.4}
PROTOTYPE_ONE_SIZE = PROTOTYPE | {"high": 0.45, "new": 0.55, "low": 0.25, "low_match": 0.5}


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SHARED / "prototypes"))
    spec = importlib.util.spec_from_file_location(f"prototype_{name}", SHARED / "prototypes" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def detections(model: Path, input_wh: tuple[int, int], video: str) -> list[list[Row]]:
    session = pytest.importorskip("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])
    return [found_in(session, image, input_wh) for image in images(SHARED / "data" / "mot15" / video / f"{video}.mp4")]


def images(path: Path) -> Iterator[Any]:
    video = cv2.VideoCapture(str(path))
    while True:
        there, image = video.read()
        if not there:
            return
        yield image


def found_in(session: Any, image: Any, input_wh: tuple[int, int]) -> list[Row]:
    boxes, scores = session.run(["boxes", "scores"], {"image": cv2.resize(image, input_wh)[None]})
    boxes, scores = boxes[0], scores[0][:, 0]
    boxes = boxes * np.array([image.shape[1] / input_wh[0], image.shape[0] / input_wh[1]] * 2)
    as_xywh = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    kept = np.ravel(cv2.dnn.NMSBoxes(as_xywh.tolist(), scores.tolist(), CONFIDENCE_LEAST, NMS_IOU)).astype(int)
    return [(*map(float, boxes[at]), float(scores[at])) for at in kept]  # type: ignore[misc]


def disturbed(frames: Sequence[Sequence[Row]], seed: int) -> list[list[Row]]:
    """Corners by 1.5 % of the size, confidences by 0.015."""
    chance = random.Random(seed)

    def row(x1: float, y1: float, x2: float, y2: float, confidence: float) -> Row:
        sizes = (x2 - x1, y2 - y1) * 2
        sides = (side + chance.gauss(0, 0.015) * size for side, size in zip((x1, y1, x2, y2), sizes, strict=True))
        return (*sides, min(max(confidence + chance.gauss(0, 0.015), 0.0), 1.0))  # type: ignore[return-value]

    return [[row(*each) for each in rows] for rows in frames]


def tracked(frames: Sequence[Sequence[Row]], settings: TrackerSettings) -> dict[int, list[FoundBox]]:
    tracker = Tracker(settings)
    found = {}
    for index, rows in enumerate(frames):
        result = tracker.step(rows, index * 1000 // FPS, FRAME_WH)
        found[index + 1] = [FoundBox(person.box, person.confidence, person.id) for person in result.people]
    return found


def tracked_by_prototype(
    prototype: Any, frames: Sequence[Sequence[Row]], settings: dict[str, Any]
) -> dict[int, list[FoundBox]]:
    tracker = prototype.Tracker(fps=FPS, **settings)
    return {
        index + 1: [FoundBox(each.box, each.confidence, each.id) for each in tracker.step(rows)]
        for index, rows in enumerate(frames)
    }


def mean_scores(scores: Sequence[TrackScores]) -> dict[str, float]:
    return {
        name: statistics.mean(getattr(each, name) for each in scores)
        for name in ("idf1", "hota", "mota", "recall", "precision")
    }


@pytest.mark.parametrize("sizes", ["one", "two"])
def test_figures_are_not_below_the_prototypes(sizes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, input_wh = SHARED / "models" / "nanodet-g-416.onnx", (416, 416)
    settings, prototype_settings = ONE_SIZE, PROTOTYPE_ONE_SIZE
    if sizes == "two":
        pytest.importorskip("onnx")
        two_sizes, input_wh = tmp_path / "two.onnx", (512, 384)
        module("two_scales", monkeypatch).build(str(model), str(two_sizes), *input_wh, 320, 256)
        model, settings, prototype_settings = two_sizes, TWO_SIZES, PROTOTYPE_TWO_SIZES
    prototype = module("tracker", monkeypatch)
    ours: list[TrackScores] = []
    theirs: list[TrackScores] = []
    for video in VIDEOS:
        frames = detections(model, input_wh, video)
        truth: dict[int, list[TruthBox]] = read_truth((SHARED / "data" / "mot15" / video / "gt.txt").read_text())
        numbers = range(1, len(frames) + 1)
        for seed in SEEDS:
            boxes = disturbed(frames, seed)
            ours.append(score_tracks(truth, tracked(boxes, settings), numbers))
            theirs.append(score_tracks(truth, tracked_by_prototype(prototype, boxes, prototype_settings), numbers))
    expected = mean_scores(theirs)
    assert {name: value for name, value in mean_scores(ours).items() if value < expected[name] - 0.02} == {}
    switches = [statistics.mean(each.switches for each in scores) for scores in (ours, theirs)]
    assert switches[0] <= switches[1] + 1
