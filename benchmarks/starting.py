"""Time to start, and CPU time without work: cold start, import, a provisioned server without frames."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import redis

from benchmarks.counting import own_server
from benchmarks.rows import Row
from rededge_nb import settings
from rededge_nb.control.provision import provision
from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url

STARTS = 3
IMPORTS = 5
IDLE_SECONDS = 20.0
SETTLING_SECONDS = 5.0
IMPORT = "import time; began = time.perf_counter(); import rededge_nb; print(time.perf_counter() - began)"


def measure(starts: int = STARTS, idle_seconds: float = IDLE_SECONDS) -> list[Row]:
    """Medians in seconds, and percent of a core."""
    return [
        Row(
            "cold start: `rededge up --detach` to AI.INFO",
            statistics.median(_start() for _ in range(starts)),
            "s",
            2.0,
        ),
        Row("import rededge_nb", statistics.median(_import() for _ in range(IMPORTS)), "s", 0.5),
        Row("idle, all processes", _idle(idle_seconds), "% of a core", 2.0),
    ]


def _start() -> float:
    """Seconds until a worker of a new instance has answered, the interpreter's own start included."""
    with tempfile.TemporaryDirectory(prefix="rededge-") as name:
        began = time.perf_counter()
        environment = {key: value for key, value in os.environ.items() if key != settings.REDIS_URL}
        command = [sys.executable, "-m", "rededge_nb.cli", "up", "--detach", "--dir", name]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        instance = server.find(Path(name))
        assert instance is not None
        try:
            client = client_from_url(instance.url)
            try:
                client.execute_command("AI.INFO", "a key that is not there")
            except redis.ResponseError as answer:
                if "cannot find run info" not in str(answer):
                    raise
            taken = time.perf_counter() - began
            client.close()
        finally:
            server.stop(Path(name))
    return taken


def _import() -> float:
    return float(subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True).stdout)


def _idle(seconds: float) -> float:
    """Percent of a core that supervisor, Redis and worker take, with a gear that waits for frames."""
    with own_server() as client:
        provision(client)
        supervisor = psutil.Process(client.info("server")["process_id"]).parent()
        processes = [supervisor, *supervisor.children(recursive=True)]
        time.sleep(SETTLING_SECONDS)
        before = cpu_seconds(processes)
        time.sleep(seconds)
        return 100 * (cpu_seconds(processes) - before) / seconds


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Processor time that they have used."""
    return sum(sum(each.cpu_times()[:2]) for each in processes)
