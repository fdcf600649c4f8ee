"""`python -m tests.faults.fuzz --inputs 100000`: every kind of input against a RedisEdge of its own, and a table."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rededge_nb.edge import server
from tests.faults.fuzz.kinds import KINDS, run
from tests.faults.fuzz.world import MISHAPS_SHOWN


def main() -> int:
    """Run all kinds, or those named; the exit code is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs of all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only this one; may be given again")
    options = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    kinds = {name: share for name, (share, _) in KINDS.items() if not options.kind or name in options.kind}
    folder = Path(tempfile.mkdtemp(prefix="rededge-"))
    print(f"seed {options.seed}\n{'input':<14}{'number':>8}{'refused':>9}{'mishaps':>9}{'seconds':>9}", flush=True)
    mishaps = 0
    try:
        instance = server.start(folder / "state")
        for name, share in kinds.items():
            began = time.monotonic()
            count = round(options.inputs * share / sum(kinds.values()))
            tally = run(name, instance, folder, count, seed=options.seed)
            mishaps += len(tally.mishaps)
            seconds = time.monotonic() - began
            print(f"{name:<14}{tally.inputs:>8}{tally.refused:>9}{len(tally.mishaps):>9}{seconds:>9.1f}", flush=True)
            for text in tally.mishaps[:MISHAPS_SHOWN]:
                print(f"  {text}", flush=True)
    finally:
        server.stop(folder / "state")
        if not mishaps:
            shutil.rmtree(folder)
    return 1 if mishaps else 0


if __name__ == "__main__":
    sys.exit(main())
