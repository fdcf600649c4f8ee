"""The web server: fifty viewers compared with one, a viewer that stops reading, memory, and frames painted by the page.

    python -m benchmarks.web [--seconds 10] [--fps 25] [--viewers 50] [--stall 60] [--chromium /usr/bin/chromium]

Frames and detections are written without a model, so that only the web server is measured. Exits with 1 if a value
misses its bound.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import selectors
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import psutil
from playwright.sync_api import sync_playwright

from rededge_nb import assets, schema, settings
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.images import encode_jpeg
from rededge_nb.web import run
from tests.browser import jupyter

MAX_CPU_RATIO = 2.0
"""CPU of the server with all viewers, by that with one."""
MIN_SEEN_SHARE = 0.95
"""Share of the frames that other viewers get while one does not read, by the share that they got before."""
MAX_GROWTH_MB = 10.0
MIN_PAINTED_SHARE = 23 / 25

HEAD = b"--rededge-frame"
TOKEN = "a-token-of-the-benchmark"
RECORD_PAINTS = """
window.paints = [];
document.addEventListener("rededge-paint", event => window.paints.push(event.detail.latency));
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--stall", type=float, default=60.0)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rededge-") as folder, settings.state_dir_set_to(Path(folder)):
        instance = server.start(Path(folder))
        try:
            with feeding(instance.url, options.fps) as feed, serving(instance.url) as (process, port):
                bench = Bench(feed, process, port)
                figures = measure(bench, options)
        finally:
            server.stop(Path(folder))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    checks = {
        "CPU": figures["cpu_ratio"] <= MAX_CPU_RATIO,
        "a viewer that does not read": figures["seen_while_one_stalls"] >= MIN_SEEN_SHARE * figures["seen_by_many"],
        "memory": figures["memory_growth_mb"] <= MAX_GROWTH_MB,
        "painted": figures["painted_share"] >= MIN_PAINTED_SHARE,
    }
    for name, held in checks.items():
        sys.stdout.write(f"{name}: {'held' if held else 'MISSED'}\n")
    return 0 if all(checks.values()) else 1


def measure(bench: Bench, options: argparse.Namespace) -> dict[str, float]:
    seconds = options.seconds
    with bench.viewers(1) as one:
        bench.rest(2)
        cpu_of_one, seen_by_one = bench.watch(one, seconds)
    with bench.viewers(options.viewers) as many:
        bench.rest(2)
        before = bench.memory_mb()
        cpu_of_many, seen_by_many = bench.watch(many, seconds)
        many.stop_reading(0)
        _, seen_while_stalled = bench.watch(many, options.stall, leave_out=1)
        growth = bench.memory_mb() - before
    return {
        "cpu_percent_one_viewer": round(100 * cpu_of_one, 1),
        f"cpu_percent_{options.viewers}_viewers": round(100 * cpu_of_many, 1),
        "cpu_ratio": round(cpu_of_many / cpu_of_one, 2),
        "seen_by_one": round(seen_by_one, 3),
        "seen_by_many": round(seen_by_many, 3),
        "seen_while_one_stalls": round(seen_while_stalled, 3),
        "memory_mb": round(before, 1),
        "memory_growth_mb": round(growth, 1),
        **painted(bench, options),
    }


def painted(bench: Bench, options: argparse.Namespace) -> dict[str, float]:
    """Frames that the page paints in chromium, by frames that came, and how old they are then."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=list(jupyter.CHROMIUM_FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.add_init_script(RECORD_PAINTS)
        page.goto(f"http://127.0.0.1:{bench.port}/?token={TOKEN}")
        # the page's policy lets nobody evaluate text in it, which waiting for a function does
        while page.evaluate("window.paints.length") < 25:
            page.wait_for_timeout(100)
        page.evaluate("window.paints = []")
        frames = bench.feed.frames
        page.wait_for_timeout(options.seconds * 1000)
        latencies = sorted(page.evaluate("window.paints"))
        frames = bench.feed.frames - frames
        browser.close()
    return {
        "captured_fps": round(frames / options.seconds, 1),
        "painted_fps": round(len(latencies) / options.seconds, 1),
        "painted_share": round(len(latencies) / frames, 3),
        "latency_ms_median": latencies[len(latencies) // 2],
        "latency_ms_p95": latencies[int(len(latencies) * 0.95)],
    }


@dataclass
class Feed:
    """Frames with detections, written for ever.

    Attributes:
        frames: How many so far.
    """

    frames: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, url: str, fps: float) -> None:
        client = client_from_url(url)
        client.sadd(schema.CAMERAS_KEY, "0")
        pictures = _pictures(60)
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            due += 1 / fps
            left = 10 * (self.frames % 60)
            corners = [(left + 12 * step, 100 + 40 * step) for step in range(8)]
            boxes = [edge for x, y in corners for edge in (x, y, x + 40, y + 90)]
            now = time.time_ns() // 1_000_000
            fields: Any = {"count": self.frames + 1, "ts": now, "image": pictures[self.frames % len(pictures)]}
            ref = client.xadd("camera:0", fields, maxlen=100)
            found: Any = {"ref": ref, "ts": now, "boxes": json.dumps(boxes), "people": 8}
            client.xadd("camera:0:yolo", {**found, "confidence": json.dumps([0.8] * 8)}, maxlen=100)
            self.frames += 1


@contextmanager
def feeding(url: str, fps: float) -> Iterator[Feed]:
    feed = Feed()
    thread = threading.Thread(target=feed.run, args=(url, fps))
    thread.start()
    try:
        yield feed
    finally:
        feed.stop.set()
        thread.join()


@contextmanager
def serving(url: str) -> Iterator[tuple[psutil.Process, int]]:
    """The web server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ports: Any = context.Queue()
    process = context.Process(target=_serve, args=(url, ports), daemon=True)
    process.start()
    try:
        yield psutil.Process(process.pid), ports.get(timeout=60)
    finally:
        process.terminate()
        process.join()


def _serve(url: str, ports: Any) -> None:
    run(url, port=0, token=TOKEN, on_ready=lambda ready: ports.put(int(ready.url.rsplit(":", 1)[1].strip("/"))))


class Viewers:
    """MJPEG viewers, in one process; each notes how many frames it got."""

    def __init__(self, port: int, count: int) -> None:
        self._counts = multiprocessing.get_context("spawn").Array("q", count, lock=False)
        self._stopped = multiprocessing.get_context("spawn").Value("i", -1)
        arguments = (port, count, self._counts, self._stopped)
        self._process = multiprocessing.get_context("spawn").Process(target=_view, args=arguments, daemon=True)
        self._process.start()

    def frames(self) -> list[int]:
        return list(self._counts)

    def stop_reading(self, viewer: int) -> None:
        self._stopped.value = viewer

    def close(self) -> None:
        self._process.terminate()
        self._process.join()


def _view(port: int, count: int, counts: Any, stopped: Any) -> None:
    with selectors.DefaultSelector() as selector:
        for number in range(count):
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(f"GET /video?camera=0&token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            one.setblocking(False)
            selector.register(one, selectors.EVENT_READ, number)
        while True:
            for key, _ in selector.select():
                if key.data == stopped.value:
                    selector.unregister(key.fileobj)
                    continue
                data = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
                counts[key.data] += data.count(HEAD)


@dataclass
class Bench:
    feed: Feed
    process: psutil.Process
    port: int

    @contextmanager
    def viewers(self, count: int) -> Iterator[Viewers]:
        viewers = Viewers(self.port, count)
        try:
            while not all(viewers.frames()):
                time.sleep(0.05)
            yield viewers
        finally:
            viewers.close()

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)

    def watch(self, viewers: Viewers, seconds: float, leave_out: int = 0) -> tuple[float, float]:
        """Cores that the server used, and the least share of the frames that a viewer got."""
        cpu, began, frames, seen = self._cpu(), time.monotonic(), self.feed.frames, viewers.frames()
        time.sleep(seconds)
        came = self.feed.frames - frames
        got = [after - before for before, after in zip(seen, viewers.frames(), strict=True)][leave_out:]
        return (self._cpu() - cpu) / (time.monotonic() - began), min(got) / came

    def memory_mb(self) -> float:
        return float(self.process.memory_info().rss / 1e6)

    def _cpu(self) -> float:
        return float(sum(self.process.cpu_times()[:2]))


def _pictures(count: int) -> list[bytes]:
    video = cv2.VideoCapture(str(assets.sample_video()))
    pictures = [encode_jpeg(video.read()[1], quality=90) for _ in range(count)]
    video.release()
    return pictures


if __name__ == "__main__":
    sys.exit(main())
