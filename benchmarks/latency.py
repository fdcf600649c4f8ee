"""Age of a frame when its detections are in Redis, at a low rate and at a rate that the model cannot follow."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import redis

from benchmarks.bare import BareLoop, sample_jpegs, write_pictures
from benchmarks.counting import counting_server
from benchmarks.rows import Row
from rededge_nb import schema
from rededge_nb.capture.run import start_capture
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.series import read_series
from rededge_nb.reading.summary import pending_frames, summarize
from rededge_nb.streams import last_id
from tests.waiting import wait_for

FRAMES = 60
ROUNDS = 5
SLOW_FPS = 10.0
OVERLOAD_FPS = 60.0
OVERLOAD_SECONDS = 24.0
STREAM_BYTES = 8_000_000
"""Bound of the stream under overload, which is full long before the first look at the memory."""
SAMPLES = 12
TIMEOUT = 60.0


def measure(frames: int = FRAMES, rounds: int = ROUNDS, overload_seconds: float = OVERLOAD_SECONDS) -> list[Row]:
    """Latencies as ratios to the bare loop's time per frame, and what overload does."""
    jpegs, bare = sample_jpegs(frames), BareLoop()
    bare.seconds(jpegs[:10])
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        pictures = write_pictures(jpegs, Path(name) / "pictures")
        with counting_server(pictures) as client:
            times: list[float] = []
            latencies: list[float] = []
            for _ in range(rounds):
                times += (1000 * seconds for seconds in bare.seconds(jpegs))
                latencies += latencies_at(client, pictures, SLOW_FPS, frames / SLOW_FPS)
            overload = _overload(client, pictures, overload_seconds)
    median = statistics.median(times)
    return [
        # capture time and entry id are whole milliseconds, which are shared out among the frames that have them
        Row("latency at 10 fps, median, by the bare loop's", statistics.median_grouped(latencies) / median, "x", 1.25),
        Row("latency at 10 fps, p99, by the bare loop's median", percentile(latencies, 99) / median, "x", 2.0),
        Row("for comparison: the bare loop's own p99 by its median", percentile(times, 99) / median, "x"),
        *overload,
    ]


def latencies_at(client: redis.Redis, pictures: Path, fps: float, seconds: float) -> list[float]:
    """Milliseconds for each frame of a capture at that rate that was processed."""
    start = last_id(client, schema.detections_key("0"))
    with start_capture(client, pictures, fps=fps, seconds=seconds, loop=True) as running:
        running.wait(seconds + TIMEOUT)
    _settle(client)
    return [float(found.latency_ms) for found in read_detections(client, "0", start=f"({start}")]


def percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent))


def _overload(client: redis.Redis, pictures: Path, seconds: float) -> list[Row]:
    """Play too fast for so long; the memory is looked at from when a third of the time has passed."""
    server = psutil.Process(client.info("server")["process_id"])
    processes = [server, *(each for each in server.parent().children() if each != server)]
    start = last_id(client, schema.detections_key("0"))
    counted_before = _frames_counted(client)
    memory: list[float] = []
    options = {"fps": OVERLOAD_FPS, "seconds": seconds, "loop": True, "max_bytes": STREAM_BYTES}
    with start_capture(client, pictures, **options) as running:
        while running.running:
            time.sleep(seconds / SAMPLES)
            memory.append(sum(process.memory_full_info().pss for process in processes))
        report = running.wait()
    _settle(client)
    latencies = [float(found.latency_ms) for found in read_detections(client, "0", start=f"({start}")]
    counted = _frames_counted(client) - counted_before
    summary = summarize(client, "0", [report.capture])
    model = summary.steps_ms["model"].median
    third = len(memory) // 3
    return [
        Row("overload, 60 fps in: frames processed", summary.fps, "frames/s"),
        Row("overload: latency p99 by the model's time", percentile(latencies, 99) / model, "x", 3.0),
        Row("overload: frames that the series count, of all", counted / summary.frames_in, "", 1.0, "more"),
        Row("overload: frames dropped, of all", summary.dropped / summary.frames_in, ""),
        Row(
            "overload: memory at the end by that after a third",
            statistics.median(memory[-third:]) / statistics.median(memory[third : 2 * third]),
            "x",
            1.05,
        ),
    ]


def _frames_counted(client: redis.Redis) -> float:
    """Frames that the gear has taken note of, processed or dropped."""
    return float(sum(read_series(client, "0", "in_fps").values))


def _settle(client: redis.Redis) -> None:
    wait_for(lambda: pending_frames(client, "0") == 0, timeout=TIMEOUT, what="the gear to be done")
