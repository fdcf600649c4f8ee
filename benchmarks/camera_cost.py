"""The cost of a camera: CPU time, memory and bytes of each component, for a number of cameras.

    python -m benchmarks.camera_cost [--cameras 1] [--fps 10] [--seconds 20]

`rededge capture` plays the sample video in a separate process, so that each component is a process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil
import redis

from rededge_nb import Workbench, assets, schema, settings
from rededge_nb.edge import server
from tests.waiting import wait_for

TIMEOUT = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rededge-") as folder, settings.state_dir_set_to(Path(folder) / "state"):
        figures = measure(options.cameras, options.fps, options.seconds)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0


def measure(cameras: int, fps: float, seconds: float) -> dict[str, object]:
    """Play for so long once all cameras are counted, and return the figures."""
    ids = [str(number) for number in range(cameras)]
    with Workbench() as wb:
        wb.provision(*ids)
        command = [sys.executable, "-m", "rededge_nb.cli", "capture", str(assets.sample_video()), "--loop"]
        captures = [psutil.Popen([*command, "--camera", each, "--fps", str(fps), "--json"]) for each in ids]
        try:
            wait_for(lambda: all(counted(wb.client, each) for each in ids), timeout=TIMEOUT, what="all cameras")
            redis_server = psutil.Process(wb.client.info("server")["process_id"])
            workers = [each for each in redis_server.parent().children() if each != redis_server]
            components = {"capture": captures, "redis": [redis_server], "worker": workers}
            before = {name: cpu(processes) for name, processes in components.items()}
            frames, sent = total(wb.client, ids, schema.frames_key), wb.client.info("stats")["total_net_input_bytes"]
            found = total(wb.client, ids, schema.detections_key)
            time.sleep(seconds)
            figures = {
                name: {
                    "cpu_percent": round(100 * (cpu(processes) - before[name]) / seconds, 1),
                    "memory_mb": round(sum(each.memory_full_info().pss for each in processes) / 1e6),
                }
                for name, processes in components.items()
            }
            frames = total(wb.client, ids, schema.frames_key) - frames
            found = total(wb.client, ids, schema.detections_key) - found
            sent = wb.client.info("stats")["total_net_input_bytes"] - sent
        finally:
            for each in captures:
                each.terminate()
                each.wait(TIMEOUT)
    server.stop(settings.state_dir())
    return {
        "cameras": cameras,
        "frames_per_second": round(frames / seconds, 1),
        "processed_per_second": round(found / seconds, 1),
        "megabytes_per_second_into_redis": round(sent / seconds / 1e6, 2),
        **figures,
    }


def counted(client: redis.Redis, camera: str) -> bool:
    return bool(client.exists(schema.detections_key(camera)))


def total(client: redis.Redis, cameras: list[str], key: object) -> int:
    """Entries ever added to a stream of each camera."""
    return sum(int(client.xinfo_stream(key(camera))["entries-added"]) for camera in cameras)  # type: ignore[operator]


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds of CPU used."""
    return sum(sum(each.cpu_times()[:2]) for each in processes)


if __name__ == "__main__":
    sys.exit(main())
