"""What tracking costs for each frame, its state loaded from JSON and saved again as a gear does.

    python -m benchmarks.tracker_cost [--rounds 5]

CPU time of the thread, median over the frames of a drawn scene in which people walk to and fro and hide each other.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time

from benchmarks.rows import Row, as_text
from rededge_nb.analytics.tracking import Tracker
from tests.analytics.drawn_scene import FRAME_WH, Scene, Stop, Walker, frames, times

SECONDS, FPS = 20, 10
BARS_MS = {10: 0.3, 60: 3.0}
STATE_KB = 64


def measure(rounds: int = 5) -> list[Row]:
    """Time for a frame with ten and with sixty people, and the size of the state."""
    result = []
    for people, bar in BARS_MS.items():
        figures = [_round(people, seed) for seed in range(rounds)]
        result += [
            Row(f"tracking {people} people, with state", statistics.median(each[0] for each in figures), "ms", bar),
            Row(f"the slowest frame of {people} people", max(each[1] for each in figures), "ms"),
            Row(f"state of {people} people", max(each[2] for each in figures) / 1024, "kB", STATE_KB),
        ]
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    result = measure(parser.parse_args().rounds)
    sys.stdout.write(as_text(result) + "\n")
    return 1 if any(row.met is False for row in result) else 0


def _round(people: int, seed: int) -> tuple[float, float, int]:
    """Median and largest time in milliseconds, and the largest state in bytes."""
    scene = _to_and_fro(people, seed)
    state, costs, largest = json.dumps(Tracker().to_state()), [], 0
    for frame in frames(scene, times(scene, FPS), seed):
        began = time.thread_time()
        tracker = Tracker.from_state(json.loads(state))
        tracker.step(frame.rows, frame.ts_ms, FRAME_WH)
        state = json.dumps(tracker.to_state(), separators=(",", ":"))
        costs.append((time.thread_time() - began) * 1000)
        largest = max(largest, len(state))
    return statistics.median(costs), max(costs), largest


def _to_and_fro(people: int, seed: int) -> Scene:
    chance = random.Random(seed)
    height = 100 if people <= 10 else 60
    walkers = []
    for _ in range(people):
        seconds, y = 0.0, chance.uniform(120, FRAME_WH[1])
        stops = [Stop(seconds, chance.uniform(30, FRAME_WH[0] - 30), y)]
        while seconds < SECONDS:
            seconds += chance.uniform(1, 4)
            y = min(max(y + chance.gauss(0, 20), 120), FRAME_WH[1])
            stops.append(Stop(seconds, min(max(stops[-1].x + chance.gauss(0, 150), 30), FRAME_WH[0] - 30), y))
        walkers.append(Walker(stops, height))
    return Scene(walkers)


if __name__ == "__main__":
    sys.exit(main())
