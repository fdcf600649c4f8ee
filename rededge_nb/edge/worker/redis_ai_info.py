"""Shows RedisAI's sections in INFO: `INFO MODULES`, `INFO ai`, `INFO ai_versions` and so on.

The switchboard shows what a worker reports, until its connection closes (EDGE.REPORT). If there are several workers,
each shows its own values in turn.
"""

from __future__ import annotations

import resource
import sys
import time

import redis

from rededge_nb import settings
from rededge_nb.edge import processors
from rededge_nb.edge.ai.execution.queues import Queues
from rededge_nb.edge.client import worker_client

INTERVAL = 1.0
"""Seconds between two reports."""
MODULE = "ai"
VERSIONS = {"RedisAI_version": "1.2.7", "low_level_API_Version": "1", "rdb_version": "4"}
"""Those of the RedisAI whose commands we have."""
LIBRARIES = {"onnxruntime": "onnxruntime", "torch": "torch", "tensorflow": "TensorFlow", "ai_edge_litert": "TFLite"}
"""By Python package: how RedisAI calls the backend."""


class RedisAiInfo:
    """Reports the values of one worker."""

    def __init__(self, url: str, queues: Queues) -> None:
        self._client = worker_client(url, name="rededge-worker-info")
        self._queues = queues
        self._reported_at = float("-inf")
        self._refused = False

    def report(self) -> None:
        """Report the values of now, if the last report is older than INTERVAL.

        Raises:
            redis.RedisError: The server is not available.
        """
        if self._refused or time.monotonic() - self._reported_at < INTERVAL:
            return
        self._reported_at = time.monotonic()
        try:
            self._client.execute_command("EDGE.REPORT", MODULE, *words_of(sections(self._queues)))
        except redis.ResponseError as error:
            # the configuration of the server is from an earlier version, or is somebody's own
            self._refused = str(error).startswith(("no such report", "unknown command"))
            if not self._refused:
                raise


def sections(queues: Queues) -> dict[str, dict[str, str]]:
    """The fields of each section."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "versions": VERSIONS,
        "git": {"git_sha": "unknown"},
        "load_time_configs": {
            "threads_per_queue": "1",
            "inter_op_parallelism": "0",
            "intra_op_parallelism": str(processors.default_threads()),
            "model_execution_timeout": f"{settings.model_execution_timeout() * 1000:.0f}",
            "backend_memory_limit": "0",
        },
        "backends_info": {f"{LIBRARIES[name]}_version": version for name, version in loaded_libraries().items()},
        "cpu": {
            "self_used_cpu_sys": f"{own.ru_stime:.6f}",
            "self_used_cpu_user": f"{own.ru_utime:.6f}",
            "children_used_cpu_sys": f"{children.ru_stime:.6f}",
            "children_used_cpu_user": f"{children.ru_utime:.6f}",
            **{
                f"queue_{device}_bthread_n1_used_cpu_total": f"{seconds:.6f}"
                for device, seconds in queues.processor_seconds().items()
            },
        },
    }


def loaded_libraries() -> dict[str, str]:
    """The versions of the libraries that backends have loaded, by package."""
    loaded = {name: sys.modules.get(name) for name in LIBRARIES}
    return {name: str(getattr(module, "__version__", "unknown")) for name, module in loaded.items() if module}


def words_of(values: dict[str, dict[str, str]]) -> list[str]:
    """Sections as the arguments of EDGE.REPORT."""
    words = []
    for section, fields in values.items():
        words += ["SECTION", section]
        for name, value in fields.items():
            words += ["FIELD", name, value]
    return words
