"""CPU time that a live dashboard at 25 frames per second costs its kernel; needs chromium."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.rows import Row
from rededge_nb import settings

SECONDS = 10.0
FPS = 25.0
BAR = 15.0
CELLS = ("from rededge_nb import Workbench\nwb = Workbench()", "dashboard = wb.dashboard('0')\ndashboard")


def measure(seconds: float = SECONDS) -> list[Row]:
    """Percent of a core, with boxes on every frame and samples in every series, but no model: that takes both cores."""
    name = "kernel of a live dashboard at 25 fps"
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return [Row(f"{name} (no chromium: not measured)", None, "% of a core", BAR)]
    from benchmarks import player

    with tempfile.TemporaryDirectory(prefix="rededge-") as folder, settings.state_dir_set_to(Path(folder) / "state"):
        figures = player.measure(Path(folder), seconds, FPS, "quick", chromium, cells=CELLS, player="dashboard.player")
    return [
        Row(name, figures["kernel_cpu_percent"], "% of a core", BAR),
        Row("the same: frames painted", figures["painted_fps"], "frames/s"),
    ]
