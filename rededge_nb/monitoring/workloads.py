"""What keeps the workers busy: gears that do not return from a batch, and queues of which all threads are working.

A gear that waits for another machine is not dead, and its worker is not either: only its camera stands still. So it is
not killed, but reported. The workers publish what they run with each heartbeat (edge/worker/worker.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client

BLOCKED_AFTER = 15.0
"""Seconds after which a batch of a gear, or a queue that is busy, is reported."""
_COMMANDS = {"executions": "RG.PYEXECUTE and RG.TRIGGER", "gears": "RG.*", "ai": "AI.*"}


def blocked(client: redis.Redis, gears: list[dict[str, str]]) -> list[str]:
    """Return one sentence for each gear that does not return from a batch, and for each queue that is busy.

    Args:
        client: A client of the server.
        gears: The registrations, each with `id`, `session` and `stream`.
    """
    client = state_client(client)
    heartbeats = {key_names.worker_of(client, key): _json(client.get(key)) for key in _heartbeat_keys(client)}
    names = {gear["id"]: f"{gear['session']} on {gear['stream']}" for gear in gears}
    found = []
    published: Any = client.hgetall(key_names.live_executions(client))
    for worker, text in published.items():
        if worker.decode() not in heartbeats:
            continue  # left by a worker that has died
        for execution in _json(text).values():
            seconds, registration = float(execution.get("seconds") or 0.0), execution.get("registration")
            if registration is not None and seconds > BLOCKED_AFTER:
                name = names.get(registration, f"registration {registration}")
                found.append(f"{name} has been working on one batch for {seconds:.0f} s: it waits, or takes that long")
    for heartbeat in heartbeats.values():
        for queue, seconds in heartbeat.get("busy", {}).items():
            if seconds > BLOCKED_AFTER:
                since = time.strftime("%H:%M:%S", time.localtime(time.time() - seconds))
                found.append(f"all threads of a worker for {_COMMANDS.get(queue, queue)} have been busy since {since}")
    return sorted(set(found))


def _heartbeat_keys(client: redis.Redis) -> Iterator[Any]:
    return client.scan_iter(key_names.heartbeat(client, "*"), count=1000)


def _json(text: Any) -> dict[str, Any]:
    """A JSON object that a worker wrote; empty if it was written by another version, or is gone."""
    try:
        found = json.loads(text or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
