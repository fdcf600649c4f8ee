"""The figures of tracks: CLEAR, identity and HOTA, as TrackEval calculates them.

TrackEval: J. Luiten and A. Hoffhues, https://github.com/JonathonLuiten/TrackEval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rededge_nb.analytics.scored_frames import TINY, Array, best_pairs

STAY_GAIN = 1000.0
"""Keeping the pair of the frame before is worth more than any overlap."""

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""The thresholds of overlap that HOTA is the mean of."""


class NumberedFrame(NamedTuple):
    """A frame whose people and tracks have numbers from 0.

    Attributes:
        people: Number of each person, shape (n,).
        tracks: Number of each track, shape (m,).
        iou: Intersection over union, shape (n, m).
    """

    people: Array
    tracks: Array
    iou: Array


@dataclass(frozen=True)
class ClearFigures:
    """CLEAR: counts over all frames."""

    matches: int
    misses: int
    false_positives: int
    switches: int
    fragments: int

    @property
    def recall(self) -> float:
        """Share of the truth's boxes that were found."""
        return self.matches / max(1, self.matches + self.misses)

    @property
    def precision(self) -> float:
        """Share of the found boxes that are on a person."""
        return self.matches / max(1, self.matches + self.false_positives)

    @property
    def mota(self) -> float:
        """One minus all errors in relation to the truth's boxes; below 0 where there are more errors than boxes."""
        return (self.matches - self.false_positives - self.switches) / max(1, self.matches + self.misses)


def clear(frames: Sequence[NumberedFrame], people: int, least_iou: float) -> ClearFigures:
    """Matches, misses, false positives, switches of ids, and fragments.

    A switch is counted when a person is found with another track than the last time, however long ago that was; a
    fragment when a person is found again after frames in which they were not.
    """
    matches = misses = false_positives = switches = 0
    last_track = np.full(people, -1)
    track_before = np.full(people, -1)
    times_found_again = np.zeros(people, int)
    for each in frames:
        if not len(each.people) or not len(each.tracks):
            misses += len(each.people)
            false_positives += len(each.tracks)
            continue
        stays = each.tracks[None, :] == track_before[each.people][:, None]
        gains = np.where(each.iou >= least_iou - TINY, STAY_GAIN * stays + each.iou, 0.0)
        pairs = best_pairs(gains)
        found = each.people[[row for row, _ in pairs]]
        tracks = each.tracks[[column for _, column in pairs]]
        switches += int(np.sum((last_track[found] != -1) & (last_track[found] != tracks)))
        last_track[found] = tracks
        times_found_again[found] += track_before[found] == -1
        track_before[:] = -1
        track_before[found] = tracks
        matches += len(pairs)
        misses += len(each.people) - len(pairs)
        false_positives += len(each.tracks) - len(pairs)
    fragments = int(np.sum(times_found_again[times_found_again > 0] - 1))
    return ClearFigures(matches, misses, false_positives, switches, fragments)


class IdentityFigures(NamedTuple):
    """Boxes with the right id, when each person gets the one track that fits best over all frames."""

    idf1: float
    idp: float
    idr: float


def identity(frames: Sequence[NumberedFrame], people: int, tracks: int, least_iou: float) -> IdentityFigures:
    """IDF1, and the precision and recall that it is the harmonic mean of."""
    together = np.zeros((people, tracks))
    truth_boxes = found_boxes = 0
    for each in frames:
        rows, columns = np.nonzero(each.iou >= least_iou)
        together[each.people[rows], each.tracks[columns]] += 1
        truth_boxes += len(each.people)
        found_boxes += len(each.tracks)
    right = sum(together[pair] for pair in best_pairs(together))
    return IdentityFigures(
        float(2 * right / max(1, truth_boxes + found_boxes)),
        float(right / max(1, found_boxes)),
        float(right / max(1, truth_boxes)),
    )


class HotaFigures(NamedTuple):
    """HOTA, and its parts: how well people are found, and how well their boxes are held together."""

    hota: float
    deta: float
    assa: float


def hota(frames: Sequence[NumberedFrame], people: int, tracks: int) -> HotaFigures:
    """Means over all thresholds of overlap."""
    boxes_of_person, boxes_of_track = np.zeros((people, 1)), np.zeros((1, tracks))
    aligned = np.zeros((people, tracks))
    for each in frames:
        boxes_of_person[each.people, 0] += 1
        boxes_of_track[0, each.tracks] += 1
        around = each.iou.sum(0)[None, :] + each.iou.sum(1)[:, None] - each.iou
        shares = np.where(around > TINY, each.iou / np.where(around > TINY, around, 1.0), 0.0)
        aligned[each.people[:, None], each.tracks[None, :]] += shares
    boxes = boxes_of_person + boxes_of_track
    alignment = aligned / np.maximum(boxes - aligned, TINY)
    together = np.zeros((len(ALPHAS), people, tracks))
    for each in frames:
        gains = alignment[each.people[:, None], each.tracks[None, :]] * each.iou
        for row, column in best_pairs(gains):
            reached = each.iou[row, column] >= ALPHAS - TINY
            together[reached, each.people[row], each.tracks[column]] += 1
    matches = together.sum(axis=(1, 2))
    detection = matches / np.maximum(1, boxes_of_person.sum() + boxes_of_track.sum() - matches)
    held = together / np.maximum(1, boxes - together)
    association = (together * held).sum(axis=(1, 2)) / np.maximum(1, matches)
    return HotaFigures(
        float(np.mean(np.sqrt(detection * association))), float(np.mean(detection)), float(np.mean(association))
    )
