"""Records what TrackEval and pycocotools say about the generated cases, in reference_scores.json.

pip install -c constraints.txt -e .[scoring-reference]      # in an environment of its own
python -m tests.analytics.record_scores
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.scored_frames import Flag0, iou_matrix
from tests.analytics.scored_cases import BOX_CASES, TRACK_CASES, Found, Truth, case

RECORDED = Path(__file__).with_name("reference_scores.json")


def for_trackeval(truth: Truth, found: Found, frames: int, flag0: Flag0) -> dict[str, Any]:
    """What TrackEval's data sets hand to its metrics, with its treatment of people that are not scored."""
    from scipy.optimize import linear_sum_assignment

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


def trackeval_scores(seed: int, flag0: Flag0) -> dict[str, Any]:
    import trackeval

    truth, found, frames = case(seed)
    data = for_trackeval(truth, found, frames, flag0)
    clear = trackeval.metrics.CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
    identity = trackeval.metrics.Identity({"PRINT_CONFIG": False}).eval_sequence(data)
    hota = trackeval.metrics.HOTA().eval_sequence(data)
    scores = {
        "recall": clear["CLR_Re"],
        "precision": clear["CLR_Pr"],
        "mota": clear["MOTA"],
        "idf1": identity["IDF1"],
        "idp": identity["IDP"],
        "idr": identity["IDR"],
        "hota": np.mean(hota["HOTA"]),
        "deta": np.mean(hota["DetA"]),
        "assa": np.mean(hota["AssA"]),
    }
    numbers = {
        "switches": clear["IDSW"],
        "fragments": clear["Frag"],
        "people": data["num_gt_ids"],
        "ids": data["num_tracker_ids"],
    }
    return {name: round(float(value), 9) for name, value in scores.items()} | {
        name: int(value) for name, value in numbers.items()
    }


def pycocotools_ap(seed: int, flag0: Flag0) -> float | None:
    """None for a case with an empty side, which pycocotools does not take."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found, frames = case(seed)
    coco = COCO()
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
        return None
    evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
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

    evaluation._prepare = prepared
    evaluation.evaluate()
    evaluation.accumulate()
    return round(float(evaluation.eval["precision"][0, :, 0, 0, -1].mean()), 9)


def as_xywh(box: Box) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def main() -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # progress messages
        tracks = [{"seed": seed, "flag0": flag0, **trackeval_scores(seed, flag0)} for seed, flag0 in TRACK_CASES]
        boxes = [{"seed": seed, "flag0": flag0, "ap": pycocotools_ap(seed, flag0)} for seed, flag0 in BOX_CASES]
    boxes = [each for each in boxes if each["ap"] is not None]
    parts = [
        f'  "{name}": [\n' + ",\n".join(f"    {json.dumps(each)}" for each in rows) + "\n  ]"
        for name, rows in (("tracks", tracks), ("boxes", boxes))
    ]
    RECORDED.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
