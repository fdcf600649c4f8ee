"""What is counted when the model does not look at every frame, and what that saves.

    python -m benchmarks.looking

Accuracy: the sample video, ten frames a second, is followed with the model's boxes of every frame, of every second and
every third one, and as a model that is busy for a while leaves frames out (`detect_every` is `auto` then). Counts and
ids are compared with our own labels, crossings of three lines with those of every frame.

How exact these differences are: the same for frames that were encoded once more as JPEG of quality 85 and 95, which
nobody can see.

Cost: CPU time of the thread for an empty scene with noise, with the motion gate and without.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from benchmarks.accuracy import BOXES, error
from benchmarks.bare import BareLoop, sample_jpegs
from benchmarks.rows import Row, as_text
from rededge_nb.analytics.counting import SceneCounter
from rededge_nb.analytics.counting_state import CountingState
from rededge_nb.analytics.decoding import decode_image, decode_small
from rededge_nb.analytics.ground_truth import FoundBox, read_truth
from rededge_nb.analytics.looking import Choice, Looking, Plan
from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.sides import LEAVES_OUT, Tolerance
from rededge_nb.analytics.tracker_results import Person
from rededge_nb.analytics.tracking import TWO_SIZES, Tracker
from rededge_nb.images import encode_jpeg
from rededge_nb.reading.scores import Found, score

WIDTH, HEIGHT, FPS = 768, 576, 10
ERROR_GROWS, IDF1_FALLS = 0.05, 0.05
EMPTY_BAR = 0.08
CAMERA = "camera:0"
QUALITIES = (85, 95)
BUSY_S = 0.15
"""The model of a busy machine: it is free again in the second frame after this one."""


def measure() -> list[Row]:
    """Accuracy and cost."""
    loop, jpegs = BareLoop(), sample_jpegs()
    boxes = _boxes(loop, jpegs)
    return [*_accuracy(jpegs, boxes), *_exactness(loop, jpegs, boxes), *_cost(loop, jpegs[0])]


def main() -> int:
    result = measure()
    sys.stdout.write(as_text(result) + "\n")
    return 1 if any(row.met is False for row in result) else 0


def _boxes(loop: BareLoop, jpegs: Sequence[bytes]) -> list[np.ndarray]:
    return [loop.people(jpeg, TWO_SIZES.low_confidence) for jpeg in jpegs]


def _exactness(loop: BareLoop, jpegs: Sequence[bytes], boxes: Sequence[np.ndarray]) -> list[Row]:
    """Crossings that differ where nothing differs but the noise of the encoding."""
    plan = Plan("off", "1")
    first, rows = _crossings(_watched(jpegs, boxes, plan)[0], plan), []
    for quality in QUALITIES:
        again = [encode_jpeg(decode_image(jpeg), quality=quality) for jpeg in jpegs]
        crossed = _crossings(_watched(again, _boxes(loop, again), plan)[0], plan)
        label = f"every frame, encoded again with quality {quality}: crossings of three lines that differ"
        rows.append(Row(label, _differences(crossed, first), ""))
    return rows


def _accuracy(jpegs: Sequence[bytes], boxes: Sequence[np.ndarray]) -> list[Row]:
    truth = read_truth(BOXES.read_text())
    every = _watched(jpegs, boxes, Plan("off", "1"))
    rows = []
    for name, plan, busy in (
        ("every frame", Plan("off", "1"), 0.0),
        ("auto, the model is free", Plan(), 0.0),
        ("auto, the model is busy for 0.15 s", Plan(), BUSY_S),
        ("every 2nd frame", Plan("off", "2"), 0.0),
        ("every 3rd frame", Plan("off", "3"), 0.0),
    ):
        people, looks = _watched(jpegs, boxes, plan, busy)
        found = {number + 1: [_found(person) for person in each] for number, each in enumerate(people)}
        counts = error([len(people[frame - 1]) for frame in sorted(truth)], [len(truth[at]) for at in sorted(truth)])
        scores = score(truth, Found(boxes=found), only_labelled=True).tracks
        assert scores is not None
        if not rows:
            first_error, first_idf1 = counts, scores.idf1
        bar = "auto" in name
        rows += [
            Row(f"{name}: frames that the model saw", 100 * looks / len(people), "%"),
            Row(f"{name}: count error", counts, "people", first_error + ERROR_GROWS if bar else None),
            Row(f"{name}: IDF1", scores.idf1, "", first_idf1 - IDF1_FALLS if bar else None, "more"),
            Row(
                f"{name}: crossings of three lines that differ",
                _differences(_crossings(people, plan), _crossings(every[0], Plan("off", "1"))),
                "",
                0.0 if name == "auto, the model is free" else None,
            ),
        ]
    return rows


def _watched(
    jpegs: Sequence[bytes], boxes: Sequence[np.ndarray], plan: Plan, busy: float = 0.0
) -> tuple[list[tuple[Person, ...]], int]:
    """People of each frame, and how often the model ran."""
    # as the gear does
    settings = TWO_SIZES if plan.sees_all(recorded=False) else replace(TWO_SIZES, confirm_s=0.2, coast_s=0.6)
    looking, tracker, people, looks, free_s = Looking(), Tracker(settings), [], 0, 0.0
    for number, (jpeg, found) in enumerate(zip(jpegs, boxes, strict=True)):
        ts_ms = 1000 + number * 1000 // FPS
        now_s = ts_ms / 1000
        small = decode_small(jpeg, (WIDTH, HEIGHT)) if plan.uses_motion(recorded=False) else None
        choice = looking.choose(
            CAMERA, ts_ms, now_s, plan, recorded=False, number=number, newer_waits=now_s < free_s, small=small
        )
        if choice == Choice.LOOK:
            looks, free_s = looks + 1, now_s + busy
            looking.looked(CAMERA, ts_ms, now_s, (WIDTH, HEIGHT), small, len(found))
            result = tracker.step(found, ts_ms, (WIDTH, HEIGHT))
            looking.followed(CAMERA, len(result.people), unsettled=tracker.unsettled)
        elif choice != Choice.DROP:
            result = tracker.still(ts_ms) if choice == Choice.STILL else tracker.expected(ts_ms)
        looking.stored(CAMERA, f"{ts_ms}-0", ts_ms)
        people.append(result.people)
    return people, looks


def _found(person: Person) -> FoundBox:
    return FoundBox(person.box, person.confidence, person.id)


def _crossings(people: Sequence[Sequence[Person]], plan: Plan) -> Counter[tuple[str, str]]:
    x1, x2, y = 346 / WIDTH, 560 / WIDTH, 250 / HEIGHT
    scene = Scene().with_line("left", (x1, 0), (x1, 1)).with_line("right", (x2, 0), (x2, 1))
    tolerance = Tolerance() if plan.sees_all(recorded=False) else LEAVES_OUT
    counter, state = SceneCounter(scene.with_line("across", (0, y), (1, y)), tolerance), CountingState()
    crossed: Counter[tuple[str, str]] = Counter()
    for number, each in enumerate(people):
        counts, state = counter.count(state, each, 1000 + number * 1000 // FPS, (WIDTH, HEIGHT), [])
        crossed.update((crossing.line, crossing.direction) for crossing in counts.crossings)
    return crossed


def _differences(one: Counter[tuple[str, str]], other: Counter[tuple[str, str]]) -> float:
    return float(sum(abs(one[key] - other[key]) for key in one.keys() | other.keys()))


def empty_room(jpeg: bytes, count: int) -> list[bytes]:
    """So many frames of a scene without people, with noise: an image that is too blurred to show anybody."""
    random, room, frames = np.random.default_rng(0), cv2.GaussianBlur(decode_image(jpeg), (0, 0), 15), []
    for _ in range(count):
        noisy = np.clip(room + random.normal(0, 4, room.shape), 0, 255).astype(np.uint8)
        frames.append(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return frames


def _cost(loop: BareLoop, jpeg: bytes) -> list[Row]:
    """An empty scene of half a minute, with noise."""
    frames = empty_room(jpeg, 30 * FPS)
    began = time.thread_time()
    for frame in frames[:50]:
        loop.people(frame)
    with_model = (time.thread_time() - began) / 50
    looking, plan, looks, costs = Looking(), Plan(), 0, []
    for number, frame in enumerate(frames):
        ts_ms, began = 1000 + number * 1000 // FPS, time.thread_time()
        small = decode_small(frame, (WIDTH, HEIGHT))
        choice = looking.choose(CAMERA, ts_ms, ts_ms / 1000, plan, recorded=False, small=small)
        if choice == Choice.LOOK:
            looks += 1
            looking.looked(CAMERA, ts_ms, ts_ms / 1000, (WIDTH, HEIGHT), small, 0)
            looking.followed(CAMERA, 0, unsettled=False)
        looking.stored(CAMERA, f"{ts_ms}-0", ts_ms)
        costs.append(time.thread_time() - began)
    gate = statistics.mean(costs)
    share = (gate + looks / len(frames) * with_model) / with_model
    return [
        Row("empty scene at 10 fps: frames that the model saw", 100 * looks / len(frames), "%"),
        Row("empty scene: the motion gate, for a frame", gate * 1000, "ms"),
        Row("empty scene: CPU time against the model in every frame", share, "", EMPTY_BAR),
    ]


if __name__ == "__main__":
    sys.exit(main())
