"""The headless pipeline over the sample video against the bare loop over the same frames."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bare import BareLoop, sample_jpegs
from benchmarks.rows import Row
from rededge_nb import settings

NOTEBOOKS_SECONDS = 25.0
TIMES = 1.5


def measure() -> list[Row]:
    """Seconds; the bare loop takes one half of the frames before the pipeline, the other half after it."""
    jpegs, bare = sample_jpegs(), BareLoop()
    bare.seconds(jpegs[:10])
    half = len(jpegs) // 2
    loop = sum(bare.seconds(jpegs[:half]))
    pipeline, processed = _pipeline()
    loop += sum(bare.seconds(jpegs[half:]))
    if processed != len(jpegs):
        raise RuntimeError(f"the pipeline counted {processed} frames, the video has {len(jpegs)}")
    return [
        Row("headless pipeline, six notebooks", pipeline, "s"),
        Row("the bare loop over the same frames", loop, "s"),
        Row("headless pipeline less 1.5 times the bare loop", pipeline - TIMES * loop, "s", NOTEBOOKS_SECONDS),
    ]


def _pipeline() -> tuple[float, int]:
    """Seconds of `rededge pipeline run`, its start and that of its server included; and the frames it counted."""
    environment = {key: value for key, value in os.environ.items() if key != settings.REDIS_URL}
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "rededge_nb.cli", "pipeline", "run", "--dir", folder / "state"]
        began = time.perf_counter()
        subprocess.run([*command, "-o", folder / "runs"], env=environment, check=True, capture_output=True)
        taken = time.perf_counter() - began
        (summary,) = folder.glob("runs/*/summary.json")
        return taken, json.loads(summary.read_text())["frames"]["processed"]
