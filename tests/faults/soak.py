"""Four cameras for a while: no process and no file grows, and frames do not get slower.

    python -m tests.faults.soak --seconds 1800

The cameras are drawn scenes at a rate that this machine can process: LOAD times what it manages at most, measured
first. One viewer watches the video. Gears and pages come and go, and a client does not read what it asks for
(visitors.py). All that is bounded is filled up to its bound at the start, so that what grows after that grows without
bound. Memory, file descriptors and threads of every process, connections, and the sizes of files are written into time
series beside those of the cameras. After a part for warming up, the first third is compared with the last third. Ends
by itself, and leaves nothing behind; exit code 1 if a promise is broken.
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
from tests.faults.visitors import KINDS, Visitors
from tests.waiting import wait_for

CAMERAS = ("0", "1", "2", "3")
SCENE = "synthetic:people=5,size=640x480,seed={seed},fps={fps}"
LOAD = 0.35
"""Share of the frames per second that the machine manages at most: gears and pages need time, too."""
CALIBRATION_FRAMES = 100
PART = 1 / 6
"""Of the run: the first such part is for warming up; latencies of the first and the last are compared."""
MOST_GROWTH = {"memory": 0.05, "size": 0.25}
"""By figure. Files grow until Redis writes them again, so their greatest sizes are compared, and these vary."""
MOST_SLOWER = 0.20
MOST_NOISE_MB = 2.0
"""Growth that counts as none, whatever its share: small files and processes vary by that."""
START_TIMEOUT = 90.0
DETECTIONS_KEPT = 100_000
"""What the gear keeps of each camera."""
POOLED = 2
"""Connections that pools may open late, when threads first meet there: no leak, which would go on with every frame."""
SHORT_RETENTION_MS = 10_000
"""Of the series that nobody judges here, so that they are full soon."""


@dataclass(frozen=True)
class Growth:
    """One figure of one process in the first and the last third of the run after its first part.

    Attributes:
        name: The process, or what else was measured.
        figure: `memory` and `size` are in MB; all others are numbers.
        first: The median in the first third; for a size, the maximum.
        last: The same in the last third.
    """

    name: str
    figure: str
    first: float
    last: float

    @property
    def ratio(self) -> float:
        """By how much it grew."""
        return self.last / self.first - 1 if self.first else 0.0

    def is_broken(self, spare: int) -> bool:
        """Whether that is more than promised."""
        if self.figure in MOST_GROWTH:
            return self.ratio > MOST_GROWTH[self.figure] and self.last - self.first > MOST_NOISE_MB
        return self.last > self.first + spare


class Soak:
    """A stack under load, watched."""

    def __init__(self, stack: Stack, seconds: float, spare: int) -> None:
        self._stack = stack
        self._seconds = seconds
        self._spare = spare
        self._over = threading.Event()
        self._viewed = 0
        self._figures: list[tuple[str, str]] = []

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
        self._wait_for_frames_after(0)
        viewer = threading.Thread(target=self._view, daemon=True)
        viewer.start()
        began_ms = _now_ms(client)
        processes = self._processes(instance)
        deadline = time.monotonic() + self._seconds
        with Visitors(self._stack, CAMERAS[0]) as visitors:
            while time.monotonic() < deadline:
                self._sample(client, processes)
                self._over.wait(max(1.0, self._seconds / 600))
            self._over.set()
            ended_ms = _now_ms(client)
        self._wait_for_frames_after(ended_ms)
        lines, broken = self._judge(client, list(processes), began_ms, ended_ms, fps)
        lines += ["", "visits: " + ", ".join(f"{count} of a {name}" for name, count in visitors.visits.items())]
        broken += [f"a visit of a {name} failed: {failure}" for name, failure in visitors.failures.items()]
        broken += [f"no visit of a {name}" for name in KINDS if not visitors.visits[name]]
        now = self._processes(instance)
        broken += [f"{name} was started again" for name in processes if processes[name].pid != now[name].pid]
        return lines, broken

    def _rate(self, client: redis.Redis) -> float:
        """Frames per second for each camera."""
        scene = SCENE.format(seed=0, fps=25) + f",frames={CALIBRATION_FRAMES}"
        capture(client, f"{scene}", camera=CAMERAS[0], pace="asap", frames=CALIBRATION_FRAMES // 4)  # loads the model
        most = capture(client, scene, camera=CAMERAS[0], pace="asap").fps
        return max(1.0, math.floor(10 * LOAD * most / len(CAMERAS)) / 10)

    def _wait_for_frames_after(self, ts_ms: int) -> None:
        """Until a frame of each camera has been processed that was captured after this time."""
        wait_for(
            lambda: all(self._newest_ms(camera) > ts_ms for camera in CAMERAS),
            timeout=START_TIMEOUT,
            what=f"detections of all cameras after {ts_ms} ms",
        )

    def _newest_ms(self, camera: str) -> int:
        """Time of the newest frame that was processed, 0 if there is none."""
        sample: list[Any] = self._stack.client().execute_command("TS.GET", schema.series_key(camera, "latency"))
        return int(sample[0]) if sample else 0

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
        found: dict[tuple[str, str], float] = {}
        for name, process in processes.items():
            found[name, "memory"] = process.memory_info().rss / 1e6
            found[name, "files"] = process.num_fds()
            found[name, "threads"] = process.num_threads()
        info: dict[str, Any] = client.info()
        found["data", "memory"] = info["used_memory_dataset"] / 1e6
        found["data", "connections"] = info["connected_clients"]
        found["data", "keys"] = sum(database["keys"] for name, database in info.items() if _is_database(name))
        folders = {"logs": self._stack.state.logs, "append-only file": self._stack.state.data}
        for name, folder in folders.items():
            found[name, "size"] = _size(folder) / 1e6
        words: list[Any] = ["TS.MADD"]
        for (name, figure), value in found.items():
            words += [f"soak:{name}:{figure}", "*", value]
        replies: list[Any] = client.execute_command(*words)
        for key, reply in zip(words[1::3], replies, strict=True):
            if isinstance(reply, redis.ResponseError):  # the first one
                client.execute_command("TS.CREATE", key)
        self._figures = list(found)

    def _judge(
        self, client: redis.Redis, processes: list[str], began_ms: int, ended_ms: int, fps: float
    ) -> tuple[list[str], list[str]]:
        part_ms = round((ended_ms - began_ms) * PART)
        growths = [_growth(client, name, figure, began_ms + part_ms, ended_ms) for name, figure in self._figures]
        first = _latencies(client, began_ms, began_ms + part_ms)
        last = _latencies(client, ended_ms - part_ms, ended_ms)
        slower = np.percentile(last, 99) / np.percentile(first, 99) - 1
        counted = {name: _sum(client, name, began_ms, ended_ms) for name in ("in_fps", "out_fps")}
        seconds = (ended_ms - began_ms) / 1000
        lines = [
            f"{len(CAMERAS)} cameras at {fps:g} fps each for {seconds:.0f} s: {counted['in_fps']} frames came, "
            f"{counted['out_fps']} were processed; {self._viewed / 1e6:.0f} MB of video were watched",
            "",
            f"{'':<18}{'memory':>24}{'growth':>9}{'files':>14}{'threads':>12}",
        ]
        by_name = {(growth.name, growth.figure): growth for growth in growths}
        for process in processes:
            memory, files, threads = (by_name[process, figure] for figure in ("memory", "files", "threads"))
            lines.append(
                f"{process:<18}{memory.first:>9.1f} -> {memory.last:>8.1f} MB{memory.ratio:>9.1%}"
                f"{files.first:>7.0f} ->{files.last:>4.0f}{threads.first:>6.0f} ->{threads.last:>3.0f}"
            )
        lines += ["", f"{'':<30}{'first third':>12}{'last third':>12}{'growth':>9}"]
        lines += [
            f"{f'{growth.name}, {growth.figure}':<30}{growth.first:>12.1f}{growth.last:>12.1f}{growth.ratio:>9.1%}"
            for growth in growths
            if growth.name not in processes
        ]
        lines += [
            "",
            f"{'latency':<12}{'p50':>12}{'p99':>12}{'frames':>9}",
            *(
                f"{name:<12}{np.percentile(values, 50):>9.1f} ms{np.percentile(values, 99):>9.1f} ms{len(values):>9}"
                for name, values in (("first part", first), ("last part", last))
            ),
        ]
        broken = [
            f"{growth.figure} of {growth.name} grew from {growth.first:.1f} to {growth.last:.1f}"
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


def _growth(client: redis.Redis, name: str, figure: str, start_ms: int, end_ms: int) -> Growth:
    samples = client.execute_command("TS.RANGE", f"soak:{name}:{figure}", start_ms, end_ms)
    thirds = np.array_split(np.array([float(value) for _, value in samples]), 3)
    typical = np.max if figure == "size" else np.median
    return Growth(name, figure, float(typical(thirds[0])), float(typical(thirds[-1])))


def _size(folder: Path) -> int:
    """Bytes of all files in a folder; Redis may delete one at the same time."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _is_database(name: str) -> bool:
    return name.startswith("db") and name[2:].isdigit()


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
        spare: Files, threads and the like that may come late: pools open a connection more when threads first meet.
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
