"""The same figures as TrackEval and pycocotools, on generated cases. Skipped where these are not installed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.ground_truth import FoundBox, TruthBox
from rededge_nb.analytics.scored_frames import Flag0, iou_matrix
from rededge_nb.analytics.scoring import score_detections, score_tracks

Truth = dict[int, list[TruthBox]]
Found = dict[int, list[FoundBox]]


def shifted(chance: random.Random, box: Box, share: float) -> Box:
    width, height = box[2] - box[0], box[3] - box[1]
    dx, dy = chance.gauss(0, share) * width, chance.gauss(0, share) * height
    return (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)


def case(seed: int) -> tuple[Truth, Found, int]:
    """Walkers, and tracks of them with misses, wrong boxes, exchanged and new ids; some frames are empty."""
    chance = random.Random(seed)
    frames, people = chance.randint(1, 60), chance.randint(1, 9)
    places = [[chance.uniform(0, 400), chance.uniform(0, 300), chance.gauss(0, 4), chance.gauss(0, 2)]
              for _ in range(people)]  # fmt: skip
    ids = [chance.randint(1, 12) * 10 + number for number in range(people)]
    truth: Truth = {}
    found: Found = {}
    for frame in range(1, frames + 1):
        for place in places:
            place[0], place[1] = place[0] + place[2], place[1] + place[3]
        if chance.random() < 0.1:
            chance.shuffle(ids)
        if chance.random() < 0.1:
            ids[chance.randrange(people)] = 1000 + frame
        there = [number for number in range(people) if chance.random() < 0.9]
        boxes = {number: (places[number][0], places[number][1], places[number][0] + 40, places[number][1] + 100)
                 for number in there}  # fmt: skip
        if chance.random() < 0.95:
            truth[frame] = [TruthBox(number, box, chance.random() < 0.85) for number, box in boxes.items()]
        if chance.random() < 0.95:
            detected = [number for number in boxes if chance.random() < 0.85]
            errors = [chance.choice([0.02, 0.1, 0.3]) for _ in detected]
            found[frame] = [
                FoundBox(shifted(chance, boxes[number], error), chance.random(), ids[number])
                for number, error in zip(detected, errors, strict=True)
            ]
            x, y = chance.uniform(0, 400), chance.uniform(0, 300)
            if chance.random() < 0.3:
                found[frame].append(FoundBox((x, y, x + 40, y + 100), chance.random(), 5000 + chance.randint(0, 2)))
    return truth, found, frames


def for_trackeval(truth: Truth, found: Found, frames: int, flag0: Flag0) -> dict[str, Any]:
    """What TrackEval's data sets hand to its metrics, with its treatment of people that are not scored."""
    linear_sum_assignment = pytest.importorskip("scipy.optimize").linear_sum_assignment
    numbers: dict[str, dict[int, int]] = {"gt": {}, "tracker": {}}
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": [], "num_timesteps": frames}
    for frame in range(1, frames + 1):
        people, boxes = truth.get(frame, []), found.get(frame, [])
        iou = iou_matrix([each.box for each in people], [each.box for each in boxes])
        scored = np.array([each.scored for each in people], bool)
        used = np.ones(len(boxes), bool)
        if flag0 == "ignore" and people and boxes:
            gains = np.where(iou < 0.5 - np.finfo("float").eps, 0, iou)
            rows, columns = linear_sum_assignment(-gains)
            pairs = gains[rows, columns] > np.finfo("float").eps
            used[columns[pairs & ~scored[rows]]] = False
        kept = np.ones(len(people), bool) if flag0 == "keep" else scored
        for name, ids in (
            ("gt", [each.id for each, keep in zip(people, kept, strict=True) if keep]),
            ("tracker", [each.id for each, keep in zip(boxes, used, strict=True) if keep]),
        ):
            data[f"{name}_ids"].append(
                np.array([numbers[name].setdefault(i or 0, len(numbers[name])) for i in ids], int)
            )
        data["similarity_scores"].append(iou[kept][:, used])
    for name in ("gt", "tracker"):
        data[f"num_{name}_ids"] = len(numbers[name])
        data[f"num_{name}_dets"] = sum(map(len, data[f"{name}_ids"]))
    return data


@pytest.fixture(scope="module")
def trackeval() -> Any:
    pytest.importorskip("scipy")
    return pytest.importorskip("trackeval")


@pytest.mark.parametrize("flag0", ["ignore", "keep", "drop"])
@pytest.mark.parametrize("seed", range(40))
def test_tracks_score_as_with_trackeval(trackeval: Any, seed: int, flag0: Flag0) -> None:
    truth, found, frames = case(seed)
    data = for_trackeval(truth, found, frames, flag0)
    clear = trackeval.metrics.CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
    identity = trackeval.metrics.Identity({"PRINT_CONFIG": False}).eval_sequence(data)
    hota = trackeval.metrics.HOTA().eval_sequence(data)
    scores = score_tracks(truth, found, range(1, frames + 1), flag0=flag0)
    assert (scores.people, scores.ids) == (data["num_gt_ids"], data["num_tracker_ids"])
    expected = {
        "recall": clear["CLR_Re"],
        "precision": clear["CLR_Pr"],
        "mota": clear["MOTA"],
        "switches": clear["IDSW"],
        "fragments": clear["Frag"],
        "idf1": identity["IDF1"],
        "idp": identity["IDP"],
        "idr": identity["IDR"],
        "hota": np.mean(hota["HOTA"]),
        "deta": np.mean(hota["DetA"]),
        "assa": np.mean(hota["AssA"]),
    }
    assert {name: getattr(scores, name) for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("flag0", ["ignore", "keep"])
@pytest.mark.parametrize("seed", range(10))
def test_boxes_score_as_with_pycocotools(seed: int, flag0: Flag0, monkeypatch: pytest.MonkeyPatch) -> None:
    coco_module, evaluation_module = (pytest.importorskip(f"pycocotools.{name}") for name in ("coco", "cocoeval"))
    # its own progress messages
    monkeypatch.setattr("builtins.print", lambda *args, **options: None)
    truth, found, frames = case(seed)
    coco = coco_module.COCO()
    coco.dataset = {
        "images": [{"id": frame} for frame in range(1, frames + 1)],
        "categories": [{"id": 1}],
        "annotations": [
            {"id": 1 + index, "image_id": frame, "category_id": 1, "bbox": as_xywh(each.box), "area": 4000,
             "iscrowd": 0, "flag": each.scored}
            for index, (frame, each) in enumerate((frame, each) for frame, people in truth.items() for each in people)
        ],
    }  # fmt: skip
    coco.createIndex()
    results = [
        {"image_id": frame, "category_id": 1, "bbox": as_xywh(each.box), "score": each.confidence}
        for frame, boxes in found.items()
        for each in boxes
    ]
    if not results or not coco.dataset["annotations"]:
        pytest.skip("pycocotools does not take an empty side")
    evaluation = evaluation_module.COCOeval(coco, coco.loadRes(results), "bbox")
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.params.recThrs = np.linspace(0, 1, 100_001)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    prepare = evaluation._prepare

    def prepared() -> None:
        prepare()
        # it sets `ignore` from `iscrowd`, whatever the truth says
        for people in evaluation._gts.values():
            for each in people:
                each["ignore"] = int(not each["flag"] and flag0 == "ignore")

    monkeypatch.setattr(evaluation, "_prepare", prepared)
    evaluation.evaluate()
    evaluation.accumulate()
    scores = score_detections(truth, found, range(1, frames + 1), flag0=flag0)
    # the mean over so many points of recall is the area to 1e-5 or so
    assert scores.ap == pytest.approx(float(evaluation.eval["precision"][0, :, 0, 0, -1].mean()), abs=1e-4)


def as_xywh(box: Box) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]
