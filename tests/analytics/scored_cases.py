"""Generated cases for the scores. Whoever changes them records the reference again (`record_scores`)."""

from __future__ import annotations

import random

from rededge_nb.analytics.boxes import Box
from rededge_nb.analytics.ground_truth import FoundBox, TruthBox
from rededge_nb.analytics.scored_frames import Flag0

Truth = dict[int, list[TruthBox]]
Found = dict[int, list[FoundBox]]

TRACK_CASES: list[tuple[int, Flag0]] = [(seed, flag0) for flag0 in ("ignore", "keep", "drop") for seed in range(40)]
BOX_CASES: list[tuple[int, Flag0]] = [(seed, flag0) for flag0 in ("ignore", "keep") for seed in range(20)]


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
