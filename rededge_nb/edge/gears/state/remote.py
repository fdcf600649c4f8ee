"""Executions of other workers: each worker publishes what it runs, and can be asked to abort an execution."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import redis

from rededge_nb.edge.client import even_if_full, key_names, pairs
from rededge_nb.edge.client.messages import listen
from rededge_nb.edge.gears.runtime.host import Host

Summary = dict[str, dict[str, Any]]
"""By execution id: `status`, `seconds` since it began, `registration`, `session`, `registered`, `steps`."""


def publish_executions(client: redis.Redis, worker_id: str, summary: Summary) -> None:
    """Publish the executions that run in this worker."""
    key = key_names.live_executions(client)
    if summary:
        client.execute_command(*even_if_full(key, "HSET", key, worker_id, json.dumps(summary)))
    else:
        client.execute_command("HDEL", key, worker_id)


def executions_elsewhere(client: redis.Redis, host: Host) -> Summary:
    """The executions that run in other workers, by id, with the worker's id as `worker`."""
    key = key_names.live_executions(client)
    found: Summary = {}
    flat = client.execute_command("HGETALL", key)
    for name, text in pairs(flat).items():
        worker_id = name.decode()
        if worker_id == host.id:
            continue
        if not host.alive(worker_id):
            client.execute_command("HDEL", key, worker_id)
            continue
        found |= {name: one | {"worker": worker_id} for name, one in json.loads(text).items()}
    return found


def ask_to_abort(client: redis.Redis, execution_id: str) -> None:
    """Ask all workers to abort an execution. The one that runs it does so."""
    client.execute_command("PUBLISH", key_names.abort_channel(client), execution_id)


def listen_for_aborts(url: str, abort: Callable[[str], None], stopping: threading.Event) -> None:
    """Call `abort` with each execution id that a worker asks to abort, until `stopping` is set."""
    listen(url, key_names.abort_channel, abort, stopping, name="rededge-worker-aborts")
