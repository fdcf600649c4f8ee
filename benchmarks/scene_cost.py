"""What lines, zones, rules and masks cost for each frame.

    python -m benchmarks.scene_cost [--rounds 5]

Counting: CPU time of the thread for ten people, five lines and five zones, without and with the state from and to JSON.
Rules: what ten of them add to that, with their events and their state.
Masking: CPU time for three masks in a frame of 1280x720, one of each style. Without masks: what the capture of a JPEG
takes longer because the camera has a scene, with five lines and five zones, than without a scene.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.bare import sample_jpegs
from benchmarks.rows import Row, as_text
from benchmarks.tracker_cost import FPS, FRAME_WH, _to_and_fro
from rededge_nb.analytics.rules import CrossingsRule, DwellRule, OccupancyRule
from rededge_nb.analytics.scene import Mask, Scene
from rededge_nb.analytics.scene_counting import count_scene
from rededge_nb.analytics.tracking import Tracker
from rededge_nb.capture.masking import masked
from rededge_nb.capture.producer import Producer
from rededge_nb.capture.sources import Captured
from rededge_nb.control.scenes import save_scene
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from tests.analytics.drawn_scene import frames, times

COUNTING_BAR_MS, RULES_BAR_MS, MASKING_BAR_MS, UNMASKED_BAR_MS = 0.1, 0.2, 1.5, 0.05
MASKED_WH = (1280, 720)
_SENT = 500


def measure(rounds: int = 5) -> list[Row]:
    """Time for a frame."""
    scene = _scene()
    counting = [_counting(seed, scene) for seed in range(rounds)]
    with_rules = [_counting(seed, _with_rules(scene)) for seed in range(rounds)]
    rules = [ruled[1] - plain[1] for ruled, plain in zip(with_rules, counting, strict=True)]
    masking = [_masking() for _ in range(rounds)]
    return [
        Row(
            "10 people, 5 lines, 5 zones: counting",
            statistics.median(each[0] for each in counting),
            "ms",
            COUNTING_BAR_MS,
        ),
        Row("the same, with its state from and to JSON", statistics.median(each[1] for each in counting), "ms"),
        Row("10 rules about them, with their state", statistics.median(rules), "ms", RULES_BAR_MS),
        Row("three masks in a frame of 1280x720", statistics.median(masking), "ms", MASKING_BAR_MS),
        Row("a scene without masks: sending a JPEG takes longer", _unmasked(), "ms", UNMASKED_BAR_MS),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    result = measure(parser.parse_args().rounds)
    sys.stdout.write(as_text(result) + "\n")
    return 1 if any(row.met is False for row in result) else 0


def _scene() -> Scene:
    scene = Scene()
    for number in range(5):
        x = 0.1 + 0.16 * number
        scene = scene.with_line(f"line-{number}", (x, 0.1), (x + 0.05, 0.95))
        scene = scene.with_zone(f"zone-{number}", [(x, 0.3), (x + 0.2, 0.3), (x + 0.2, 0.9), (x, 0.8)])
    return scene


def _with_rules(scene: Scene) -> Scene:
    """Two rules for each line and zone, about half of which are near their limit."""
    for number in range(5):
        zone, line = f"zone-{number}", f"line-{number}"
        scene = scene.with_rule(OccupancyRule(name=f"occupancy-{number}", zone=zone, at_least=2, lasting=1))
        if number % 2:
            scene = scene.with_rule(DwellRule(name=f"dwell-{number}", zone=zone, longer_than=3))
        else:
            scene = scene.with_rule(CrossingsRule(name=f"crossings-{number}", line=line, within=10))
    return scene


def _counting(seed: int, scene: Scene) -> tuple[float, float]:
    """Median milliseconds of counting alone, and with the state."""
    text, tracker = scene.to_json(), Tracker()
    saved: str = "null"
    alone, whole = [], []
    drawn = _to_and_fro(10, seed)
    for frame in frames(drawn, times(drawn, FPS), seed):
        result = tracker.step(frame.rows, frame.ts_ms, FRAME_WH)
        ended = [track.id for track in result.finished]
        began = time.thread_time()
        state: Any = json.loads(saved)
        loaded = time.thread_time()
        counted = count_scene("camera:0", text, state, result.people, frame.ts_ms, FRAME_WH, ended)
        done = time.thread_time()
        saved = json.dumps(counted.saved, separators=(",", ":"))
        alone.append((done - loaded) * 1000)
        whole.append((time.thread_time() - began) * 1000)
    return statistics.median(alone), statistics.median(whole)


def _masking() -> float:
    width, height = MASKED_WH
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    masks = tuple(
        Mask(style, ((x, 0.1), (x + 0.2, 0.1), (x + 0.2, 0.4), (x, 0.4)), style)
        for x, style in ((0.05, "black"), (0.4, "blur"), (0.75, "pixelate"))
    )
    masked(image, masks)
    costs = []
    for _ in range(50):
        began = time.thread_time()
        masked(image, masks)
        costs.append((time.thread_time() - began) * 1000)
    return statistics.median(costs)


def _unmasked() -> float:
    """Milliseconds that sending a frame takes longer with a scene; median of frames that alternate with the others."""
    jpeg = sample_jpegs(1)[0]
    with TemporaryDirectory(prefix="rededge-") as name:
        instance = server.start(Path(name) / "state")
        try:
            with client_from_url(instance.url) as client:
                save_scene(client, "with", _scene(), version=None)
                producers = [
                    Producer(client, camera, quality=90, max_age=60, max_bytes=10**7, keep=False)
                    for camera in ("without", "with")
                ]
                costs: tuple[list[float], list[float]] = ([], [])
                for number in range(_SENT):
                    for producer, taken in zip(producers, costs, strict=True):
                        began = time.perf_counter()
                        producer.send(Captured(jpeg, number), not_answered=[])
                        taken.append((time.perf_counter() - began) * 1000)
        finally:
            server.stop(instance.dir)
    without, with_scene = map(statistics.median, costs)
    return with_scene - without


if __name__ == "__main__":
    sys.exit(main())
