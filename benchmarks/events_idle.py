"""What events cost while nothing happens: twenty cameras with two rules each, watched by a worker, and a notifier.

    python -m benchmarks.events_idle [--seconds 20]

The watch of the cameras and a notifier with a webhook and a broker that is away run in this process; the figure is the
CPU time of this process and of Redis, in percent of a core. A second figure is that of cameras that send frames.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Any

import redis

from benchmarks.rows import Row, as_text
from rededge_nb import schema
from rededge_nb.analytics.rules import OccupancyRule, SilenceRule
from rededge_nb.analytics.scene import Scene
from rededge_nb.edge.client import worker_client
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.gears.state.leases import Leases
from rededge_nb.edge.worker.camera_watch import INTERVAL, CameraWatch
from tests.edge.bare_redis import bare_redis
from tests.notify.running import notifier

CAMERAS, BAR_PERCENT = 20, 3.0
SCENE = (
    Scene()
    .with_zone("desk", [(0, 0), (1, 0), (1, 1)])
    .with_rule(OccupancyRule(name="queue", zone="desk", at_least=6))
    .with_rule(SilenceRule(name="silence", after=3))
)


def measure(seconds: float = 20.0) -> list[Row]:
    """Percent of a core, without and with frames."""
    with bare_redis() as bare:
        url = f"unix://{bare.socket_path}"
        client = worker_client(url, name="benchmark")
        cameras = [str(number) for number in range(CAMERAS)]
        client.sadd(schema.CAMERAS_KEY, *cameras)
        for camera in cameras:
            client.set(schema.scene_key(camera), SCENE.to_json())
            client.xadd(schema.frames_key(camera), {"image": b"x" * 50_000})
        with notifier(
            client, {"name": "office", "url": "http://127.0.0.1:9/"}, {"name": "other", "url": "http://[::1]:9/"}
        ):
            idle = _percent(client, url, seconds, lambda: None)

            def add_frames() -> None:
                for camera in cameras:
                    client.xadd(schema.frames_key(camera), {"image": b"x" * 50_000}, maxlen=10)

            alone = _percent(client, "", seconds, add_frames)
            fed = _percent(client, url, seconds, add_frames)
    return [
        Row(f"{CAMERAS} cameras, 40 rules, no frames", idle, "% of a core", BAR_PERCENT),
        Row("the same with frames: what the watch adds", max(0.0, fed - alone), "% of a core", BAR_PERCENT),
    ]


def _percent(client: redis.Redis, url: str, seconds: float, each_second: Any) -> float:
    """CPU time of this process and of Redis while the cameras are watched; without an address nobody watches."""
    raw = worker_client(url, name="benchmark") if url else None
    watch = None
    if raw is not None:
        raw.response_callbacks.clear()
        leases = Leases(state_client(client), "benchmark")
        watch = CameraWatch(url, leases, raw)
        watch.look()
    pause, spent = threading.Event(), 0.0
    began, before = time.monotonic(), time.process_time() + _of_redis(client)
    while time.monotonic() - began < seconds:
        each_second()
        if watch is not None:
            leases.renew()
            watch.look()
        pause.wait(INTERVAL)
    spent = time.process_time() + _of_redis(client) - before
    return 100 * spent / (time.monotonic() - began)


def _of_redis(client: redis.Redis) -> float:
    used: Any = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    result = measure(parser.parse_args().seconds)
    sys.stdout.write(as_text(result) + "\n")
    return 1 if any(row.met is False for row in result) else 0


if __name__ == "__main__":
    sys.exit(main())
