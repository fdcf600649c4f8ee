"""How good boxes, tracks and counts are, compared with the truth.

`score_detections` looks at boxes alone, `score_tracks` at their ids as well, `score_counts` at numbers of people only.
`ground_truth` reads what they compare from text.

Sources: average precision is COCO's at one threshold, with every point of recall (Lin et al., "Microsoft COCO", ECCV
2014); MOTA, switches and fragments are the CLEAR metrics (Bernardin and Stiefelhagen, "Evaluating Multiple Object
Tracking Performance", 2008); IDF1 is of Ristani et al., "Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking", 2016; HOTA of Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking",
IJCV 129, 2021. Where these leave a choice it is TrackEval's, so that the figures are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rededge_nb.analytics.ground_truth import FoundBox, TruthBox
from rededge_nb.analytics.scored_frames import TINY, Array, Flag0, best_pairs, iou_matrix, scored_frames
from rededge_nb.analytics.track_metrics import NumberedFrame, clear, hota, identity
from rededge_nb.errors import ConfigurationError

LEAST_IOU = 0.5
"""From this intersection over union on, a box is on a person."""


@dataclass(frozen=True)
class DetectionScores:
    """Scores of boxes.

    Attributes:
        recall: Share of the people that a box of at least the confidence is on.
        precision: Share of these boxes that are on a person.
        ap: Average precision, over the boxes of every confidence.
        people: Boxes of the truth that were scored.
        boxes: Boxes of at least the confidence that were scored.
    """

    recall: float
    precision: float
    ap: float
    people: int
    boxes: int


@dataclass(frozen=True)
class TrackScores:
    """Scores of boxes with ids. Shares are from 0 to 1.

    Attributes:
        recall: Share of the truth's boxes that were found.
        precision: Share of the found boxes that are on a person.
        mota: One minus misses, wrong boxes and switches in relation to the truth's boxes; may be below 0.
        idf1: Share of boxes with the right id, when each person gets one track.
        idp: The same, of the found boxes.
        idr: The same, of the truth's boxes.
        hota: Mean over thresholds of the geometric mean of `deta` and `assa`.
        deta: How well people are found.
        assa: How well the boxes of a person are held together.
        switches: How often a person was found with another id than before.
        fragments: How often a person was found again after frames in which they were not.
        people: Ids of the truth.
        ids: Ids that were found.
    """

    recall: float
    precision: float
    mota: float
    idf1: float
    idp: float
    idr: float
    hota: float
    deta: float
    assa: float
    switches: int
    fragments: int
    people: int
    ids: int


@dataclass(frozen=True)
class CountScores:
    """Scores of numbers of people.

    Attributes:
        mae: Mean absolute error in a frame.
        bias: Mean error in a frame: above 0 where too many were counted.
        frames: How many frames were compared.
    """

    mae: float
    bias: float
    frames: int


def score_detections(
    truth: Mapping[int, Sequence[TruthBox]],
    found: Mapping[int, Sequence[FoundBox]],
    frames: Iterable[int],
    *,
    confidence: float = 0.0,
    flag0: Flag0 = "ignore",
    least_iou: float = LEAST_IOU,
) -> DetectionScores:
    """Compares boxes, without their ids.

    Args:
        truth: People of each frame.
        found: Boxes of each frame; for the average precision those of low confidence, too.
        frames: The frames that were labelled, those without people, too. Others are not used.
        confidence: Boxes below it do not count for recall and precision.
        flag0: What becomes of people with flag 0.
        least_iou: From this intersection over union on, a box is on a person.
    """
    sure = {frame: [box for box in boxes if box.confidence >= confidence] for frame, boxes in found.items()}
    frames = list(frames)
    people = boxes = pairs = 0
    for each in scored_frames(truth, sure, frames, flag0, least_iou):
        people += len(each.truth)
        boxes += len(each.found)
        # the 1 makes two pairs better than one with a larger overlap
        pairs += len(best_pairs(np.where(each.iou >= least_iou - TINY, 1.0 + each.iou, 0.0)))
    ap = _average_precision(truth, found, frames, flag0, least_iou)
    return DetectionScores(pairs / max(1, people), pairs / max(1, boxes), ap, people, boxes)


def score_tracks(
    truth: Mapping[int, Sequence[TruthBox]],
    found: Mapping[int, Sequence[FoundBox]],
    frames: Iterable[int],
    *,
    flag0: Flag0 = "ignore",
    least_iou: float = LEAST_IOU,
) -> TrackScores:
    """Compares boxes with their ids.

    As in TrackEval, every figure is 0 where there is no truth or nothing was found.

    Args:
        truth: People of each frame.
        found: Boxes with ids of each frame.
        frames: The frames that were labelled, those without people, too. Others are not used.
        flag0: What becomes of people with flag 0.
        least_iou: From this intersection over union on, a box is on a person; HOTA is the mean over 19 thresholds.

    Raises:
        ConfigurationError: An id occurs twice in a frame, or a box has none.
    """
    frames = list(frames)
    for name, boxes in (("the truth", truth), ("what was found", found)):
        _check_ids(boxes, frames, name)
    scored = scored_frames(truth, found, frames, flag0, least_iou)
    people, tracks = _numbers(each.truth for each in scored), _numbers(each.found for each in scored)
    if not people or not tracks:
        return TrackScores(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, len(people), len(tracks))
    numbered = [
        NumberedFrame(
            np.array([people[person.id] for person in each.truth], int),
            np.array([tracks[box.id] for box in each.found], int),
            each.iou,
        )
        for each in scored
    ]
    counts = clear(numbered, len(people), least_iou)
    return TrackScores(
        counts.recall,
        counts.precision,
        counts.mota,
        *identity(numbered, len(people), len(tracks), least_iou),
        *hota(numbered, len(people), len(tracks)),
        counts.switches,
        counts.fragments,
        len(people),
        len(tracks),
    )


def score_counts(truth: Mapping[int, int], found: Mapping[int, int]) -> CountScores:
    """Compares numbers of people.

    Args:
        truth: People in each frame that was counted.
        found: The same as a program counted them. Frames that the truth does not have are not used.

    Raises:
        ConfigurationError: There is no truth, or nothing was found for one of its frames.
    """
    missing = sorted(truth.keys() - found.keys())
    if missing:
        raise ConfigurationError(
            f"{len(missing)} of {len(truth)} frames of the truth were not counted, the first is frame {missing[0]}: "
            "leave them out of the truth, or count them"
        )
    if not truth:
        raise ConfigurationError("the truth has no frames: at least one is needed")
    errors = [found[frame] - people for frame, people in truth.items()]
    return CountScores(sum(map(abs, errors)) / len(errors), sum(errors) / len(errors), len(errors))


def count_people(
    boxes: Mapping[int, Sequence[TruthBox | FoundBox]], frames: Iterable[int], *, flag0: Flag0 = "ignore"
) -> dict[int, int]:
    """The number of boxes in each frame, for `score_counts`. People with flag 0 are people, unless they are dropped."""
    return {
        frame: sum(flag0 != "drop" or not isinstance(box, TruthBox) or box.scored for box in boxes.get(frame, ()))
        for frame in frames
    }


def _average_precision(
    truth: Mapping[int, Sequence[TruthBox]],
    found: Mapping[int, Sequence[FoundBox]],
    frames: Iterable[int],
    flag0: Flag0,
    least_iou: float,
) -> float:
    """The area under the precision that is reached at each recall or at a higher one."""
    verdicts: list[tuple[float, bool]] = []
    people = 0
    for frame in sorted(set(frames)):
        present = [person for person in truth.get(frame, ()) if person.scored or flag0 != "drop"]
        scored = np.array([person.scored or flag0 == "keep" for person in present], bool)
        people += int(scored.sum())
        verdicts += _verdicts(present, found.get(frame, ()), scored, least_iou)
    if not people or not verdicts:
        return 0.0
    confidence, right = np.array(verdicts, float).T
    right = right[np.argsort(-confidence, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    reached = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(reached * right) / people)


def _verdicts(
    people: Sequence[TruthBox], boxes: Sequence[FoundBox], scored: Array, least_iou: float
) -> list[tuple[float, bool]]:
    """Confidence of each box, and whether it is on a person on whom no box of higher confidence is.

    Boxes on people who are not scored are left out.
    """
    iou = iou_matrix([person.box for person in people], [box.box for box in boxes])
    iou[iou < least_iou - TINY] = 0.0
    free = np.ones(len(people), bool)
    verdicts = []
    for column in sorted(range(len(boxes)), key=lambda at: -boxes[at].confidence):
        # somebody who is scored comes first, whatever the overlaps
        preference = np.where(free & (iou[:, column] > 0), iou[:, column] + scored, 0.0)
        best = int(np.argmax(preference)) if len(people) else -1
        on_somebody = best >= 0 and bool(preference[best] > 0)
        if on_somebody:
            free[best] = False
        if not on_somebody or scored[best]:
            verdicts.append((boxes[column].confidence, on_somebody))
    return verdicts


def _check_ids(boxes: Mapping[int, Sequence[TruthBox | FoundBox]], frames: Iterable[int], name: str) -> None:
    for frame in frames:
        ids = [box.id for box in boxes.get(frame, ())]
        twice = {number for number in ids if ids.count(number) > 1}
        if None in ids:
            raise ConfigurationError(f"in {name}, frame {frame} has a box without an id: compare it as detections")
        if twice:
            raise ConfigurationError(f"in {name}, frame {frame} has {sorted(map(str, twice))} twice: an id is one box")


def _numbers(frames: Iterable[Sequence[TruthBox | FoundBox]]) -> dict[int | None, int]:
    """A number from 0 for each id."""
    ids = dict.fromkeys(box.id for boxes in frames for box in boxes)
    return {number: index for index, number in enumerate(ids)}
