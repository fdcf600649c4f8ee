"""What each setting of the gear saves: CPU time of worker and Redis for a frame.

    python -m benchmarks.setting_cost [--frames 60] [--rounds 3]
    taskset -c 0 python -m benchmarks.setting_cost    # with one core

All frames are captured as a recording (`asap`): none is dropped, and for the sample video, which has times of its own,
the number of runs of the model does not depend on what else the machine does. CPU time is that of the processes; the
sides are measured in turn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psutil
import redis

from benchmarks.bare import sample_jpegs, write_pictures
from benchmarks.camera_cost import cpu
from benchmarks.counting import counting_server, in_turn
from benchmarks.looking import FPS, empty_room
from benchmarks.rows import Row, as_text
from rededge_nb import assets, schema
from rededge_nb.capture.run import capture
from rededge_nb.control.provision import use_model

FRAMES, ROUNDS = 60, 3
_APPLIES_S = 1.1
"""The gear reads its settings once a second."""


def measure(frames: int = FRAMES, rounds: int = ROUNDS) -> list[Row]:
    """Milliseconds of CPU time for a frame, medians of the rounds, and their share of that without any setting."""
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        people = assets.sample_video()
        empty = write_pictures(empty_room(sample_jpegs(1)[0], frames), Path(name) / "empty")
        with counting_server(people) as client:
            server = psutil.Process(client.info("server")["process_id"])
            parent = server.parent()
            assert parent is not None
            processes = parent.children()  # Redis and its worker
            side = partial(_cost, client, processes, frames)
            sides: dict[str, Callable[[], float]] = {
                "people: every frame": partial(side, people, assets.DEFAULT_MODEL, "off", "1"),
                "people: every 2nd frame": partial(side, people, assets.DEFAULT_MODEL, "off", "2"),
                "people: every 3rd frame": partial(side, people, assets.DEFAULT_MODEL, "off", "3"),
                "people: every frame, fast": partial(side, people, "fast", "off", "1"),
                "people: every 2nd frame, fast": partial(side, people, "fast", "off", "2"),
                "nobody, with noise: every frame": partial(side, empty, assets.DEFAULT_MODEL, "off", "1"),
                "nobody, with noise: motion gate": partial(side, empty, assets.DEFAULT_MODEL, "on", "auto"),
            }
            found = in_turn(sides, rounds)
    first, rows = found["people: every frame"], []
    for label, costs in found.items():
        share = statistics.median(cost / whole for cost, whole in zip(costs, first, strict=True))
        rows.append(Row(label, statistics.median(costs), "ms"))
        rows.append(Row(f"{label}: part of the first", share, ""))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    sys.stdout.write(as_text(measure(options.frames, options.rounds)) + "\n")
    return 0


def _cost(
    client: redis.Redis,
    processes: Sequence[psutil.Process],
    frames: int,
    pictures: Path,
    model: str,
    gate: str,
    every: str,
) -> float:
    use_model(client, model)
    client.hset(schema.GEAR_SETTINGS_KEY, items=["motion_gate", gate, "detect_every", every])
    time.sleep(_APPLIES_S)
    # the model is loaded, and the gate knows the scene
    capture(client, pictures, pace="asap", fps=FPS, frames=5)
    before = cpu(list(processes))
    capture(client, pictures, pace="asap", fps=FPS, frames=frames)
    return 1000 * (cpu(list(processes)) - before) / frames


if __name__ == "__main__":
    sys.exit(main())
