"""A notifier in a thread of the test, and events that it sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.analytics.events import event_commands
from rededge_nb.notify.configuration import parse_config
from rededge_nb.notify.notifier import run_notifier


@contextmanager
def notifier(client: redis.Redis, *targets: Mapping[str, Any]) -> Iterator[None]:
    """Runs until the block ends; begins when it has made the groups of all targets."""
    config = parse_config({"targets": [{"type": "webhook", **target} for target in targets]})
    stop = threading.Event()
    thread = threading.Thread(target=run_notifier, args=(client, config, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def has_begun(client: redis.Redis, *names: str) -> bool:
    """Whether these targets get the events that happen from now on."""
    if not client.exists(schema.SERVER_EVENTS_KEY):
        return False
    groups: Any = client.xinfo_groups(schema.SERVER_EVENTS_KEY)
    return {f"notify:{name}" for name in names} <= {group["name"].decode() for group in groups}


def add_event(
    client: redis.Redis, camera: str, kind: str = "frames_refused", severity: str = "alarm", **more: Any
) -> str:
    """Add an event as the gear does; returns its id for receivers."""
    newest: Any = client.xrevrange(schema.events_key(camera), count=1)
    last = newest[0][0].decode() if newest else ""
    seconds, microseconds = client.time()
    now_ms = seconds * 1000 + microseconds // 1000
    fields = {"kind": kind, "severity": severity, "ts": now_ms, **more}
    for command in event_commands(f"camera:{camera}", [fields], last, now_ms):
        client.execute_command(*command)
    newest = client.xrevrange(schema.events_key(camera), count=1)
    return f"{camera}/{newest[0][0].decode()}"


def pending(client: redis.Redis, camera: str, target: str) -> int:
    """How many events of a camera the target has not confirmed."""
    groups: Any = client.xinfo_groups(schema.events_key(camera))
    (group,) = [one for one in groups if one["name"].decode() == f"notify:{target}"]
    return int(group["pending"]) + int(group["lag"] or 0)
