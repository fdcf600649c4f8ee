"""The player at 25 frames per second in JupyterLab: painted frames, time from capture to screen, CPU of the kernel.

    python -m benchmarks.player [--seconds 10] [--fps 25] [--gear quick|people]

The page counts what it paints. Exits with 1 if a value misses its bound; the bounds are for a machine with two cores.
The quick gear writes boxes and samples for every frame without a model, so that only the player is measured. The people
counter drops frames if the machine, which also runs browser and camera, is too slow. The bounds do not apply to it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

from rededge_nb import Workbench, assets, settings
from rededge_nb.capture.run import Capture
from rededge_nb.edge import server
from rededge_nb.reading.series import create_series
from tests.browser import jupyter
from tests.waiting import wait_for

MIN_PAINTED_SHARE = 23 / 25
MAX_LATENCY_MS = 150
MIN_SHARE_IN_TIME = 0.95
MAX_KERNEL_CPU = 10.0
"""Percent of a core."""

QUICK_GEAR = """
import json

def store(record):
    left = record["value"]["count"]
    left = 10 * (int(left) % 60)
    boxes = [[left + 12 * step, 100 + 40 * step, left + 12 * step + 40, 190 + 40 * step] for step in range(8)]
    execute(
        "XADD", record["key"] + ":yolo", "MAXLEN", "~", 1000, "*", "ref", record["id"], "ts", record["value"]["ts"],
        "boxes", json.dumps(sum(boxes, [])), "people", 8, "confidence", json.dumps([0.8] * 8),
    )
    ts, steps = int(record["value"]["ts"]), ("read", "resize", "model", "script", "boxes", "store", "total")
    samples = {"people": 8, "in_fps": 1, "out_fps": 1, "latency": 1, **{"prf_" + step: 1 for step in steps}}
    words = ["TS.MADD"]
    for name, value in samples.items():
        words += [record["key"] + ":" + name, ts // 1000 * 1000 if name.endswith("_fps") else ts, value]
    execute(*words)

GearsBuilder("StreamReader").foreach(store).register(
    "camera:0", convertToStr=False, collect=False, mode="async_local", trimStream=False
)
"""

CELLS = ["from rededge_nb import Workbench\nwb = Workbench()\nplayer = wb.player('0')", "player"]
RECORD_PAINTS = """
window.paints = [];
document.addEventListener("rededge-paint", event => {
    const { ref, latency, detected } = event.detail;
    window.paints.push({ ref, latency, detected, at: performance.now() });
});
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--gear", choices=("people", "quick"), default="quick")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rededge-") as folder, settings.state_dir_set_to(Path(folder) / "state"):
        figures = measure(Path(folder), options.seconds, options.fps, options.gear, options.chromium)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    checks = {
        "painted": figures["painted_fps"] >= MIN_PAINTED_SHARE * options.fps,
        "in time": figures["share_within_150_ms"] >= MIN_SHARE_IN_TIME,
        "kernel CPU": figures["kernel_cpu_percent"] < MAX_KERNEL_CPU,
    }
    for name, held in checks.items():
        sys.stdout.write(f"{name}: {'held' if held else 'MISSED'}\n")
    return 0 if all(checks.values()) else 1


def measure(
    folder: Path,
    seconds: float,
    fps: float,
    gear: str,
    chromium: str,
    *,
    cells: Sequence[str] = CELLS,
    player: str = "player",
) -> dict[str, float]:
    """Play for so long, after a while to warm up; returns the figures.

    `cells` are those of the notebook, `player` is what they call the player.
    """
    with playing(folder, fps, gear, chromium, cells) as play:
        page, capture = play.page, play.capture
        page.evaluate("window.paints = []")
        before, before_browser, frames = _cpu([play.kernel]), _cpu(browsers()), capture.report.frames
        page.wait_for_timeout(seconds * 1000)
        paints = page.evaluate("window.paints")
        after, after_browser, frames = _cpu([play.kernel]), _cpu(browsers()), capture.report.frames - frames
        stats = jupyter.execute(page, f"print({player}.stats())").strip()
    sys.stdout.write(f"{stats}\n")
    latencies = sorted(each["latency"] for each in paints)
    return {
        "captured_fps": round(frames / seconds, 1),
        "painted_fps": round(len(paints) / seconds, 1),
        "painted_with_detections": sum(each["detected"] for each in paints),
        "latency_ms_median": latencies[len(latencies) // 2],
        "latency_ms_p95": latencies[int(len(latencies) * 0.95)],
        "latency_ms_worst": latencies[-1],
        "share_within_150_ms": round(sum(each <= MAX_LATENCY_MS for each in latencies) / len(latencies), 3),
        "kernel_cpu_percent": round(100 * (after - before) / seconds, 1),
        "browser_cpu_percent": round(100 * (after_browser - before_browser) / seconds, 1),
    }


@dataclass(frozen=True)
class Play:
    """A player in a JupyterLab in a browser, and the capture that it shows.

    Attributes:
        let_go: Ends what steers the page, and leaves it playing: an attached debugger costs the page memory.
    """

    workbench: Workbench
    page: Page
    kernel: psutil.Process
    capture: Capture
    let_go: Callable[[], None]


@contextmanager
def playing(folder: Path, fps: float, gear: str, chromium: str, cells: Sequence[str] = CELLS) -> Iterator[Play]:
    """Begin to play the sample video, again and again; entered when pictures are seen."""
    with (
        Workbench() as wb,
        jupyter.running_lab(folder / "lab", jupyter.environment()) as lab,
        _running_browser(chromium, folder / "profile") as address,
        sync_playwright() as playwright,
    ):
        if gear == "people":
            wb.provision("0")
        else:
            create_series(wb.client, "0")
            wb.gears.register(QUICK_GEAR, session="quick")
        browser = playwright.chromium.connect_over_cdp(address)
        page = browser.contexts[0].new_page()
        page.set_viewport_size({"width": 1280, "height": 800})
        page.add_init_script(RECORD_PAINTS)
        jupyter.open_notebook(page, lab, jupyter.write_notebook(lab, "player", cells).name)
        jupyter.run_all_cells(page)
        capture = wb.camera("0").start_capture(assets.sample_video(), fps=fps, loop=True)
        page.wait_for_function("window.paints.length > 50", timeout=jupyter.TIMEOUT * 1000)
        kernel = psutil.Process(int(jupyter.execute(page, "import os; print(os.getpid())")))
        yield Play(wb, page, kernel, capture, let_go=browser.close)
    server.stop(settings.state_dir())


@contextmanager
def _running_browser(chromium: str, profile: Path) -> Iterator[str]:
    """A browser of its own, steered from outside; gives the address to connect to."""
    command = [chromium, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    process = subprocess.Popen([*command, *jupyter.CHROMIUM_FLAGS, "about:blank"], stderr=subprocess.DEVNULL)
    told = profile / "DevToolsActivePort"
    try:
        port = wait_for(lambda: told.exists() and told.read_text().split(), timeout=60, what="the browser")[0]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def browsers() -> list[psutil.Process]:
    """The processes of the browser."""
    return [each for each in psutil.Process().children(recursive=True) if "chrom" in each.name()]


def _cpu(processes: list[psutil.Process]) -> float:
    """Seconds of CPU that they have used."""
    return sum(sum(each.cpu_times()[:2]) for each in processes)


if __name__ == "__main__":
    sys.exit(main())
