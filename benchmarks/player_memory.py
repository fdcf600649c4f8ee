"""Growth of kernel, server and browser during ten minutes of live video in JupyterLab.

    python -m benchmarks.player_memory [--minutes 10] [--fps 25] [--gear people|quick]

Measures the proportional set size every five seconds. The median of the last minute is compared with that of the second
minute, so that things which are loaded once do not count. Nothing is attached to the page meanwhile. Exits with 1 if
one of them grew by more than 10 %.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from benchmarks.player import Play, browsers, playing
from rededge_nb import settings

MAX_GROWTH = 1.1
INTERVAL = 5.0
"""Seconds between samples."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--gear", choices=("people", "quick"), default="people")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="rededge-") as folder,
        settings.state_dir_set_to(Path(folder) / "state"),
        playing(Path(folder), options.fps, options.gear, options.chromium) as play,
    ):
        samples = watch(play, options.minutes)
    figures = {name: growth(values) for name, values in samples.items()}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0 if all(figure["growth"] <= MAX_GROWTH for figure in figures.values()) else 1


def watch(play: Play, minutes: float) -> dict[str, list[float]]:
    """Megabytes of kernel, server and browser, sampled for so long."""
    server = psutil.Process(play.workbench.client.info("server")["process_id"])
    owners: dict[str, Callable[[], Iterable[psutil.Process]]] = {
        "kernel": lambda: [play.kernel],
        "redis": lambda: [server],
        "workers": lambda: [each for each in server.parent().children(recursive=True) if each != server],
        "browser": browsers,
    }
    samples: dict[str, list[float]] = defaultdict(list)
    play.let_go()
    for _ in range(round(minutes * 60 / INTERVAL)):
        time.sleep(INTERVAL)
        for name, processes in owners.items():
            samples[name].append(sum(_megabytes(process) for process in processes()))
    return samples


def growth(samples: list[float]) -> dict[str, float]:
    """Medians of the second and of the last minute, and their ratio."""
    minute = round(60 / INTERVAL)
    first, last = statistics.median(samples[minute : 2 * minute]), statistics.median(samples[-minute:])
    return {"second_minute_mb": round(first, 1), "last_minute_mb": round(last, 1), "growth": round(last / first, 3)}


def _megabytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
