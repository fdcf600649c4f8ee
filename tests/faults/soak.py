"""Four cameras for a while: no process grows, and frames do not get slower.

    python -m tests.faults.soak --seconds 1800

The cameras are drawn scenes at the rate that this machine can hold: half of what it manages at most, measured first.
One viewer watches the video. All that is bounded is filled up to its bound at the start, so that what grows after that
grows without bound. Memory, file descriptors and threads of every process are written into time series beside those of
the cameras, and judged from there. Ends by itself, and leaves nothing behind; exit code 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import redis
from numpy.typing import NDArray

from rededge_nb import schema
from rededge_nb.capture.run import capture
from rededge_nb.control.provision import provision
from rededge_nb.edge.server.state import Instance
from tests.faults.stack import WEB_TOKEN, Stack
from tests.waiting import wait_for

CAMERAS = ("0", "1", "2", "3")
SCENE = "synthetic:people=5,size=640x480,seed={seed},fps={fps}"
LOAD = 0.5
"""Share of the frames per second that the machine manages at most."""
CALIBRATION_FRAMES = 100
PART = 1 / 6
"""Of the run: the first such part is for warming up; latencies of the first and the last are compared."""
SLICES = 30
"""Parts of the run whose medians are compared."""
MOST_GROWTH = 0.05
MOST_SLOWER = 0.20
START_TIMEOUT = 90.0
DETECTIONS_KEPT = 100_000
"""What the gear keeps of each camera."""
POOLED = 2
"""Connections that pools may open late, when threads first meet there: no leak, which would go on with every frame."""
SHORT_RETENTION_MS = 10_000
"""Of the series that nobody judges here, so that they are full soon."""


@dataclass(frozen=True)
class Growth:
    """One figure of one process, in medians over slices of the run after the first part.

    Attributes:
        first: The first of them.
        worst: The greatest of them.
    """

    process: str
    figure: str
    first: float
    worst: float

    @property
    def ratio(self) -> float:
        """By how much it grew."""
        return self.worst / self.first - 1 if self.first else 0.0

    def is_broken(self, spare: int) -> bool:
        """Whether that is more than promised."""
        return self.ratio > MOST_GROWTH if self.figure == "memory" else self.worst > self.first + spare


class Soak:
    """A stack under load, watched."""

    def __init__(self, stack: Stack, seconds: float, spare: int) -> None:
        self._stack = stack
        self._seconds = seconds
        self._spare = spare
        self._over = threading.Event()
        self._viewed = 0

    def run(self) -> tuple[list[str], list[str]]:
        """Let it run; gives the lines of a table and what is broken."""
        instance = wait_for(self._stack.instance, timeout=START_TIMEOUT, what="the server")
        client = self._stack.client()
        provision(client, cameras=CAMERAS)
        fps = self._rate(client)
        _fill(client)
        _write_cameras(self._stack.folder / "cameras.yaml", fps)
        self._stack.services["capture"].start()
        wait_for(lambda: self._stack.healthy(), timeout=START_TIMEOUT, what="the web server")
        wait_for(lambda: all(map(self._running, CAMERAS)), timeout=START_TIMEOUT, what="detections of all cameras")
        viewer = threading.Thread(target=self._view, daemon=True)
        viewer.start()
        began_ms = _now_ms(client)
        processes = self._processes(instance)
        deadline = time.monotonic() + self._seconds
        while time.monotonic() < deadline:
            self._sample(client, processes)
            self._over.wait(max(1.0, self._seconds / 600))
        self._over.set()
        return self._judge(client, list(processes), began_ms, _now_ms(client), fps)

    def _rate(self, client: redis.Redis) -> float:
        """Frames per second for each camera."""
        scene = SCENE.format(seed=0, fps=25) + f",frames={CALIBRATION_FRAMES}"
        capture(client, f"{scene}", camera=CAMERAS[0], pace="asap", frames=CALIBRATION_FRAMES // 4)  # loads the model
        most = capture(client, scene, camera=CAMERAS[0], pace="asap").fps
        return max(1.0, math.floor(10 * LOAD * most / len(CAMERAS)) / 10)

    def _running(self, camera: str) -> bool:
        samples = self._stack.client().execute_command("TS.GET", schema.series_key(camera, "latency"))
        return bool(samples)

    def _view(self) -> None:
        request = f"GET /video?camera={CAMERAS[0]}&token={WEB_TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._stack.web_port), timeout=10) as viewer,
        ):
            viewer.sendall(request.encode())
            while not self._over.is_set():
                self._viewed += len(viewer.recv(1 << 20))

    def _processes(self, instance: Instance) -> dict[str, psutil.Process]:
        pids = {name: self._stack.pids(name)[0] for name in ("supervisor", "worker", "capture", "web")}
        return {name: psutil.Process(pid) for name, pid in {**pids, "redis": instance.redis_pid}.items()}

    def _sample(self, client: redis.Redis, processes: dict[str, psutil.Process]) -> None:
        words: list[Any] = ["TS.MADD"]
        for name, process in processes.items():
            figures = {
                "memory": process.memory_info().rss / 1e6,
                "files": process.num_fds(),
                "threads": process.num_threads(),
            }
            for figure, value in figures.items():
                words += [f"soak:{name}:{figure}", "*", value]
        replies: list[Any] = client.execute_command(*words)
        for key, reply in zip(words[1::3], replies, strict=True):
            if isinstance(reply, redis.ResponseError):  # the first one
                client.execute_command("TS.CREATE", key)

    def _judge(
        self, client: redis.Redis, processes: list[str], began_ms: int, ended_ms: int, fps: float
    ) -> tuple[list[str], list[str]]:
        part_ms = round((ended_ms - began_ms) * PART)
        growths = [
            _growth(client, process, figure, began_ms + part_ms, ended_ms)
            for process in processes
            for figure in ("memory", "files", "threads")
        ]
        first = _latencies(client, began_ms, began_ms + part_ms)
        last = _latencies(client, ended_ms - part_ms, ended_ms)
        slower = np.percentile(last, 99) / np.percentile(first, 99) - 1
        counted = {name: _sum(client, name, began_ms, ended_ms) for name in ("in_fps", "out_fps")}
        seconds = (ended_ms - began_ms) / 1000
        lines = [
            f"{len(CAMERAS)} cameras at {fps:g} fps each for {seconds:.0f} s: {counted['in_fps']} frames came, "
            f"{counted['out_fps']} were processed; {self._viewed / 1e6:.0f} MB of video were watched",
            "",
            f"{'':<12}{'memory':>12}{'at most':>12}{'growth':>9}{'files':>14}{'threads':>12}",
        ]
        for process in processes:
            memory, files, threads = (growth for growth in growths if growth.process == process)
            lines.append(
                f"{process:<12}{memory.first:>9.1f} MB{memory.worst:>9.1f} MB{memory.ratio:>9.1%}"
                f"{files.first:>7.0f} ->{files.worst:>4.0f}{threads.first:>6.0f} ->{threads.worst:>3.0f}"
            )
        lines += [
            "",
            f"{'latency':<12}{'p50':>12}{'p99':>12}{'frames':>9}",
            *(
                f"{name:<12}{np.percentile(values, 50):>9.1f} ms{np.percentile(values, 99):>9.1f} ms{len(values):>9}"
                for name, values in (("first part", first), ("last part", last))
            ),
        ]
        broken = [
            f"{growth.figure} of {growth.process} grew from {growth.first:.1f} to {growth.worst:.1f}"
            for growth in growths
            if growth.is_broken(self._spare)
        ]
        if slower > MOST_SLOWER:
            broken.append(f"latency p99 grew by {slower:.0%}")
        return lines, broken


def _now_ms(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def _fill(client: redis.Redis) -> None:
    """Bring what is bounded near its bound: detections by number, series by age."""
    # as large as those that take their place, or that would look like a leak
    ((_, fields),) = client.xrevrange(schema.detections_key(CAMERAS[0]), count=1)  # type: ignore[misc]
    for camera in CAMERAS:
        for name in schema.raw_series_names():
            if name not in ("latency", "in_fps", "out_fps"):
                client.execute_command("TS.ALTER", schema.series_key(camera, name), "RETENTION", SHORT_RETENTION_MS)
        for _ in range(DETECTIONS_KEPT // 1000):
            pipeline = client.pipeline(transaction=False)
            for _ in range(1000):
                pipeline.xadd(schema.detections_key(camera), fields)
            pipeline.execute()


def _write_cameras(file: Path, fps: float) -> None:
    lines = [f'  - {{id: "{camera}", source: "{SCENE.format(seed=camera, fps=fps)}"}}' for camera in CAMERAS]
    file.write_text("\n".join(["cameras:", *lines]) + "\n")


def _growth(client: redis.Redis, process: str, figure: str, start_ms: int, end_ms: int) -> Growth:
    samples = client.execute_command("TS.RANGE", f"soak:{process}:{figure}", start_ms, end_ms)
    slices = np.array_split(np.array([float(value) for _, value in samples]), min(SLICES, max(1, len(samples) // 4)))
    medians = [float(np.median(part)) for part in slices]
    return Growth(process, figure, medians[0], max(medians))


def _latencies(client: redis.Redis, start_ms: int, end_ms: int) -> NDArray[np.float64]:
    values = [
        float(value)
        for camera in CAMERAS
        for _, value in client.execute_command("TS.RANGE", schema.series_key(camera, "latency"), start_ms, end_ms)
    ]
    assert values, "no frame was processed"
    return np.array(values)


def _sum(client: redis.Redis, name: str, start_ms: int, end_ms: int) -> int:
    return sum(
        int(float(value))
        for camera in CAMERAS
        for _, value in client.execute_command("TS.RANGE", schema.series_key(camera, name), start_ms, end_ms)
    )


def run(seconds: float, *, spare: int = POOLED) -> tuple[list[str], list[str]]:
    """Soak for so long; gives the lines of a table and what is broken.

    Args:
        seconds: How long.
        spare: Files and threads that may come late: pools open a connection more when threads first meet.
    """
    folder = Path(tempfile.mkdtemp(prefix="rededge-"))
    try:
        with Stack(folder, capture=[str(folder / "cameras.yaml")]) as stack:
            return Soak(stack, seconds, spare).run()
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    options = parser.parse_args()
    lines, broken = run(options.seconds)
    print("\n".join(lines))
    print("\n".join(f"FAILED: {what}" for what in broken) or "every promise was kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
