"""How long later questions take: a simulated fortnight with a sample each second, and paths of a long day.

    python -m benchmarks.look_back [--days 14]

Memory is what Python allocated at most during an export, above what it had before.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import redis

from benchmarks.rows import Row, as_text
from rededge_nb.history.by_period import read_history
from rededge_nb.history.export import write_file
from rededge_nb.history.export_rows import sample_rows, track_rows
from rededge_nb.history.places import heatmap_image
from rededge_nb.history.simulation import simulate, write_simulation
from rededge_nb.reading.tracks import read_tracks
from tests.bare import bare_server

ZONE = ZoneInfo("UTC")
START_MS = 1_767_225_600_000
DAY_MS = 86_400_000
ROUNDS = 3


def measure(days: int = 14) -> list[Row]:
    """Each question of notebook 9, and exports."""
    with bare_server() as server, tempfile.TemporaryDirectory() as folder:
        client = server.client()
        visitors = simulate(START_MS, days, seed=1, zone=ZONE)
        began = time.monotonic()
        write_simulation(client, "0", visitors, step_s=1)
        filled = time.monotonic() - began
        end_ms = visitors.end_ms
        result = [Row(f"{days} days are simulated, a sample each second", filled, "s", 60)]
        for name, question in _questions(client, end_ms).items():
            result.append(Row(name, _seconds(question), "s", 1.0))
        for what, rows in {
            "samples of a day": lambda: sample_rows(client, "0", end_ms - DAY_MS, end_ms),
            f"paths of {len(visitors.times_ms)} people": lambda: track_rows(client, "0", START_MS, end_ms),
        }.items():
            for form in ("csv", "parquet"):
                path = Path(folder) / f"rows.{form}"
                taken = _seconds(lambda p=path, r=rows: write_file(p, r(), ZONE))
                result.append(Row(f"export of {what}, {form}", taken, "s", 5.0 if "paths" in what else None))
            tracemalloc.start()
            write_file(Path(folder) / "rows.csv", rows(), ZONE)
            result.append(Row(f"memory for {what}", tracemalloc.get_traced_memory()[1] / 2**20, "MB", 64))
            tracemalloc.stop()
        client.close()
    return result


def _questions(client: redis.Redis, end_ms: int) -> dict[str, Callable[[], object]]:
    def history(days: int, every: str) -> Callable[[], object]:
        return lambda: read_history(client, "0", end_ms - days * DAY_MS, end_ms, every=every, time_zone="Europe/Berlin")

    return {
        "history of 14 days, by the day": history(14, "1d"),
        "history of 14 days, by 15 minutes": history(14, "15min"),
        "history of 90 days, by the hour": history(90, "1h"),
        "paths of a day": lambda: read_tracks(client, "0", start_ms=end_ms - DAY_MS, end_ms=end_ms),
        "heat map of 14 days": lambda: heatmap_image(client, "0", end_ms - 14 * DAY_MS, end_ms),
    }


def _seconds(question: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        question()
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, default=14)
    result = measure(parser.parse_args().days)
    sys.stdout.write(as_text(result) + "\n")
    return 1 if any(row.met is False for row in result) else 0


if __name__ == "__main__":
    sys.exit(main())
