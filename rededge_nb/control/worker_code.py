"""Whether the workers have loaded the same code of this package as this process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import redis

from rededge_nb.edge.client import key_names, server_errors
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.package_code import own_code
from rededge_nb.edge.worker.heartbeats import has_ended

STALE = 3.5
"""Seconds after which the heartbeat of a worker that has ended is gone."""
_POLL = 0.1


def other_code(client: redis.Redis, *, patience: float = 0.0) -> str:
    """Return a sentence if a worker has loaded other modules than this process, which the bundled gear uses.

    Args:
        client: Connected to the server.
        patience: Seconds in which the heartbeats of workers that have ended may go away.

    Returns:
        An empty text if all workers have the same, whatever their version is, or if there are none.
    """
    deadline = time.monotonic() + patience
    while (found := _others(client)) and time.monotonic() < deadline:
        time.sleep(_POLL)
    if not found:
        return ""
    here = own_code()["version"]
    there = " and ".join(sorted({f"rededge_nb {each}" if each else "an older rededge_nb" for each in found}))
    differs = f"this is rededge_nb {here}" if {*found} != {here} else "its files have been changed since they started"
    return (
        f"the workers run {there}, and {differs}: restart them with `rededge down` and `rededge up`, then run "
        "`rededge init`; or use the same version here"
    )


def _others(client: redis.Redis) -> list[str]:
    """The version of each worker with other code; empty where the worker does not say it."""
    with server_errors(client):
        code = [each.get("code") or {} for each in _heartbeats(state_client(client))]
    return [str(each.get("version", "")) for each in code if each.get("analytics") != own_code()["analytics"]]


def _heartbeats(client: redis.Redis) -> Iterator[dict[str, Any]]:
    for key in client.scan_iter(key_names.heartbeat(client, "*"), count=1000):
        text: Any = client.get(key)
        if text is None or has_ended(text):
            continue
        try:
            heartbeat = json.loads(text)
        except ValueError:
            heartbeat = None
        yield heartbeat if isinstance(heartbeat, dict) else {}  # another version may write something else
