"""The cost of a camera: CPU time, memory and bytes of each component, for a number of cameras.

    python -m benchmarks.camera_cost [--cameras 1] [--fps 10] [--seconds 20] [--model fast] [--set detect_every=2]
        [--source synthetic:people=0,size=768x576]

`rededge capture cameras.yaml` plays the sample video, or another source, for all cameras in a separate process, so that
each component is a process. An entry is what the gear writes for a frame, whether the model saw it or not. CPU time for
an entry depends little on what else the machine does, but on how often the model had time: see
`seen_by_the_model_per_second`. `taskset -c 0 python -m …` measures with one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import psutil
import redis

from rededge_nb import Workbench, assets, schema, settings
from rededge_nb.edge import server
from rededge_nb.reading.series import read_many
from tests.waiting import wait_for

TIMEOUT = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--source", default=str(assets.sample_video()), help="What each camera shows.")
    parser.add_argument("--model", help="Name of a bundled model, or path of a card.")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="A setting of the gear.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rededge-") as folder, settings.state_dir_set_to(Path(folder) / "state"):
        figures = measure(
            options.cameras,
            options.fps,
            options.seconds,
            source=options.source,
            model=options.model,
            gear=dict(setting.split("=", 1) for setting in options.set),
        )
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0


def measure(
    cameras: int,
    fps: float,
    seconds: float,
    *,
    source: str = str(assets.sample_video()),
    model: str | None = None,
    gear: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Play for so long once all cameras are counted, and return the figures."""
    ids = [str(number) for number in range(cameras)]
    with Workbench() as wb:
        wb.provision(*ids, model=model)
        if gear:
            wb.client.hset(schema.GEAR_SETTINGS_KEY, items=[word for pair in gear.items() for word in pair])
        file = settings.state_dir().with_name("cameras.yaml")
        file.write_text("".join(f'- {{id: {each}, source: "{source}", fps: {fps}, loop: true}}\n' for each in ids))
        captures = [
            psutil.Popen(
                [sys.executable, "-m", "rededge_nb.cli", "capture", str(file), "--json"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        ]
        try:
            wait_for(lambda: all(counted(wb.client, each) for each in ids), timeout=TIMEOUT, what="all cameras")
            redis_server = psutil.Process(wb.client.info("server")["process_id"])
            workers = [each for each in redis_server.parent().children() if each != redis_server]
            components = {"capture": captures, "redis": [redis_server], "worker": workers}
            before = {name: cpu(processes) for name, processes in components.items()}
            frames = sum(by_camera(wb.client, ids, schema.frames_key).values())
            sent = wb.client.info("stats")["total_net_input_bytes"]
            found = by_camera(wb.client, ids, schema.detections_key)
            began_ms = int(time.time() * 1000)
            time.sleep(seconds)
            figures = {
                name: {
                    "cpu_percent": round(100 * (cpu(processes) - before[name]) / seconds, 1),
                    "cpu_ms_per_entry": 0.0,
                    "memory_mb": round(sum(each.memory_full_info().pss for each in processes) / 1e6),
                }
                for name, processes in components.items()
            }
            frames = sum(by_camera(wb.client, ids, schema.frames_key).values()) - frames
            after = by_camera(wb.client, ids, schema.detections_key)
            entries = [count - found[each] for each, count in after.items()]
            for figure in figures.values():
                figure["cpu_ms_per_entry"] = round(10 * figure["cpu_percent"] * seconds / sum(entries), 2)
            series = [
                read_many(wb.client, each, (schema.LATENCY, schema.LOOKED_FPS), start_ms=began_ms) for each in ids
            ]
            latency = np.concatenate([each[schema.LATENCY].values for each in series])
            looked = sum(float(each[schema.LOOKED_FPS].values.sum()) for each in series)
            sent = wb.client.info("stats")["total_net_input_bytes"] - sent
        finally:
            for each in captures:
                each.terminate()
                each.wait(TIMEOUT)
    server.stop(settings.state_dir())
    return {
        "cameras": cameras,
        "frames_per_second": round(frames / seconds, 1),
        "entries_per_second": round(sum(entries) / seconds, 1),
        "seen_by_the_model_per_second": round(looked / seconds, 1),
        "fewest_by_most_entries": round(min(entries) / max(entries), 3),
        "latency_ms_p50_p99": [round(float(each)) for each in np.percentile(latency, [50, 99])],
        "megabytes_per_second_into_redis": round(sent / seconds / 1e6, 2),
        **figures,
    }


def counted(client: redis.Redis, camera: str) -> bool:
    return bool(client.exists(schema.detections_key(camera)))


def by_camera(client: redis.Redis, cameras: list[str], key: Callable[[object], str]) -> dict[str, int]:
    """Entries ever added to a stream of each camera."""
    return {camera: int(client.xinfo_stream(key(camera))["entries-added"]) for camera in cameras}


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds of CPU used."""
    return sum(sum(each.cpu_times()[:2]) for each in processes)


if __name__ == "__main__":
    sys.exit(main())
