"""One, two, four and eight cameras on the same cores: their frames per second in total, and the share of each."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import redis

from benchmarks.bare import sample_jpegs, write_pictures
from benchmarks.counting import counting_server
from benchmarks.rows import Row
from rededge_nb import schema
from rededge_nb.capture.run import Capture, start_capture

COUNTS = (1, 2, 4, 8)
SECONDS = 5.0
ROUNDS = 4
FRAMES = 60
LEAST_TOTAL = 0.90
LEAST_SHARE = 0.80


def measure(counts: Sequence[int] = COUNTS, seconds: float = SECONDS, rounds: int = ROUNDS) -> list[Row]:
    """Frames per second of all cameras against those of one, and of the slowest against the fastest."""
    cameras = [str(number) for number in range(max(counts))]
    processed: dict[int, list[list[int]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        pictures = write_pictures(sample_jpegs(FRAMES), Path(name) / "pictures")
        with counting_server(pictures, cameras) as client:
            for number in range(rounds):
                for count in counts[:: -1 if number % 2 else 1]:
                    processed[count].append(_processed(client, pictures, cameras[:count], seconds))
    total = {count: statistics.mean(map(sum, found)) for count, found in processed.items()}
    rows = [Row("one camera, asap", total[1] / seconds, "frames/s")]
    for count in counts:
        if count == 1:
            continue
        shares = [sum(camera) for camera in zip(*processed[count], strict=True)]
        rows += [
            Row(f"{count} cameras together, by one", total[count] / total[1], "x", LEAST_TOTAL, "more"),
            Row(f"{count} cameras: slowest by fastest", min(shares) / max(shares), "x", LEAST_SHARE, "more"),
        ]
    return rows


def _processed(client: redis.Redis, pictures: Path, cameras: Sequence[str], seconds: float) -> list[int]:
    """Frames of each camera that were counted in so many seconds, all captured as fast as they are answered."""
    with ExitStack() as stack:
        for camera in cameras:
            stack.enter_context(_playing(client, pictures, camera))
        time.sleep(1.0)
        before = _counted(client, cameras)
        time.sleep(seconds)
        return [after - now for after, now in zip(_counted(client, cameras), before, strict=True)]


def _playing(client: redis.Redis, pictures: Path, camera: str) -> Capture:
    return start_capture(client, pictures, camera=camera, pace="asap", loop=True)


def _counted(client: redis.Redis, cameras: Sequence[str]) -> list[int]:
    pipeline = client.pipeline(transaction=True)
    for camera in cameras:
        pipeline.xinfo_stream(schema.detections_key(camera))
    return [int(found["entries-added"]) for found in pipeline.execute()]
