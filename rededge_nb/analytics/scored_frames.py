"""The truth and what was found, frame by frame, as arrays that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rededge_nb.analytics.assignment import Edge, assign
from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.ground_truth import FoundBox, TruthBox
from rededge_nb.errors import ConfigurationError

Array = NDArray[Any]

Flag0 = Literal["ignore", "keep", "drop"]
"""What becomes of people who are not to be scored: `ignore` scores neither them nor a box that was found on them;
`keep` scores them like everybody; `drop` takes them out of the truth, so that a box on them is wrong (TrackEval does so
with MOT 2015)."""

TINY = float(np.finfo("float").eps)
"""Two numbers that differ by so little are equal: TrackEval's tolerance where a threshold is reached."""


@dataclass(frozen=True)
class ScoredFrame:
    """A frame.

    Attributes:
        truth: The people of the truth who are scored.
        found: The boxes that are scored.
        iou: Intersection over union, shape (people, boxes).
    """

    truth: Sequence[TruthBox]
    found: Sequence[FoundBox]
    iou: Array


def scored_frames(
    truth: Mapping[int, Sequence[TruthBox]],
    found: Mapping[int, Sequence[FoundBox]],
    frames: Iterable[int],
    flag0: Flag0,
    least_iou: float,
) -> list[ScoredFrame]:
    """The frames in ascending order, after people with flag 0 were handled.

    Args:
        truth: People of each frame.
        found: Boxes of each frame.
        frames: The frames that were labelled, those without people, too.
        flag0: What becomes of people who are not to be scored.
        least_iou: From this overlap on a box is on a person.
    """
    if flag0 not in ("ignore", "keep", "drop"):
        raise ConfigurationError(f"flag0 is {flag0!r}: ignore, keep or drop is needed")
    if not 0 < least_iou <= 1:
        raise ConfigurationError(f"least_iou is {least_iou}: more than 0 and at most 1 is needed")
    return [
        _scored_frame(truth.get(frame, ()), found.get(frame, ()), flag0, least_iou) for frame in sorted(set(frames))
    ]


def iou_matrix(first: Sequence[Box], second: Sequence[Box]) -> Array:
    """Intersection over union of each box with each other, shape (len(first), len(second))."""
    one, other = np.array(first, float).reshape(-1, 1, 4), np.array(second, float).reshape(1, -1, 4)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    union = (one[..., 2:] - one[..., :2]).prod(axis=-1) + (other[..., 2:] - other[..., :2]).prod(axis=-1) - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0.0)


def best_pairs(gains: Array) -> list[tuple[int, int]]:
    """The pairs of a row and a column with the largest sum of gains; a gain of 0 is no pair."""
    rows, columns = np.nonzero(gains)
    edges: list[Edge] = list(zip(rows.tolist(), columns.tolist(), gains[rows, columns].tolist(), strict=True))
    return assign(edges)


def _scored_frame(truth: Sequence[TruthBox], found: Sequence[FoundBox], flag0: Flag0, least_iou: float) -> ScoredFrame:
    iou = iou_matrix([person.box for person in truth], [box.box for box in found])
    kept = np.array([person.scored or flag0 == "keep" for person in truth], bool)
    if kept.all():
        return ScoredFrame(truth, found, iou)
    scored = np.ones(len(found), bool)
    if flag0 == "ignore":
        for row, column in best_pairs(np.where(iou >= least_iou - TINY, iou, 0.0)):
            scored[column] = kept[row]
    return ScoredFrame(
        [person for person, keep in zip(truth, kept, strict=True) if keep],
        [box for box, keep in zip(found, scored, strict=True) if keep],
        iou[kept][:, scored],
    )
