"""`make bench`: measures everything and compares it with its bars, in less than ten minutes on two cores.

    python -m benchmarks [--only NAME ...] [--no-write]

Prints the table, and writes results.md and results.json into this folder. Exits with 1 if a bar was missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import (
    accuracy,
    ai,
    dashboard,
    headless,
    import_cost,
    latency,
    look_back,
    many_cameras,
    rows,
    starting,
    throughput,
    tracker_cost,
)
from benchmarks.counting import own_server
from benchmarks.rows import Row

AI_RUNS = 100


def modelexecute() -> list[Row]:
    """AI.MODELEXECUTE beside the same run in process."""
    with own_server() as client:
        figures = ai.measure(client, AI_RUNS)
    return [
        Row("AI.MODELEXECUTE: cost by moving its tensors", figures["cost_ms"] / figures["moved_ms"], "x", ai.MAX_COST),
        Row("the run in process", figures["in_process_ms"], "ms"),
        Row("AI.MODELEXECUTE, above the run in process", figures["cost_ms"], "ms"),
        Row("its tensors moved over a bare connection", figures["moved_ms"], "ms"),
    ]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "cameras": many_cameras.measure,
    "ai": modelexecute,
    "starting": starting.measure,
    "headless": headless.measure,
    "dashboard": dashboard.measure,
    "accuracy": accuracy.measure,
    "tracking": tracker_cost.measure,
    "import": import_cost.measure,
    "look_back": look_back.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts alone")
    parser.add_argument("--no-write", action="store_true", help="leave the results as they are")
    options = parser.parse_args()
    began = time.monotonic()
    measured: list[Row] = []
    for name in options.only:
        sys.stderr.write(f"{name} ...\n")
        measured += PARTS[name]()
    sys.stdout.write(rows.as_text(measured))
    if not options.no_write:
        rows.write(measured, time.monotonic() - began)
    return 0 if all(row.met is not False for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
