"""Writes the events of a server whose memory or disk is full."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import redis

from rededge_nb import schema
from rededge_nb.analytics.events import server_event_command
from rededge_nb.analytics.scene_events import Fields
from rededge_nb.edge.client import even_if_full, key_names
from rededge_nb.edge.client.shard import key_here
from rededge_nb.edge.client.state_database import state_client

logger = logging.getLogger(__name__)

FULL, ENOUGH = 0.99, 0.95
"""Shares of `maxmemory`: above the first the memory is full, below the second it no longer is."""
_PARTS: Final = ("memory", "disk")


class ServerWatch:
    """Looks at what INFO says. What was reported is in the workers' state, so that each event is written once."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def look(self, now_ms: int) -> None:
        """Write an event for what has changed."""
        state = state_client(self._client)
        key = key_names.watch(state)
        known: Any = state.hmget(key, *_PARTS)
        before = {part: value == b"full" for part, value in zip(_PARTS, known, strict=True)}
        memory: Any = self._client.info("memory")
        persistence: Any = self._client.info("persistence")
        now = {
            "memory": _memory_is_full(memory, before["memory"]),
            "disk": persistence.get("aof_last_write_status", "ok") != "ok",
        }
        for part in _PARTS:
            if now[part] != before[part]:
                self._report(part, full=now[part], now_ms=now_ms)
                state.execute_command(*even_if_full(key, "HSET", key, part, "full" if now[part] else ""))

    def _report(self, part: str, *, full: bool, now_ms: int) -> None:
        reason = {
            "memory": "Redis has reached its maxmemory and refuses writes until memory is free",
            "disk": "Redis cannot save its data: check whether the disk is full",
        }[part]
        event: Fields = {
            "kind": f"{part}_{'full' if full else 'free'}",
            "severity": "alarm" if full else "info",
            "ts": now_ms,
            "reason": reason if full else "",
        }
        key = key_here(self._client, schema.SERVER_EVENTS_KEY)
        self._client.execute_command(*even_if_full(key, *server_event_command(key, event)))
        logger.warning("%s", reason if full else f"the {part} is no longer full")


def _memory_is_full(memory: Mapping[str, Any], before: bool) -> bool:
    limit = int(memory.get("maxmemory", 0))
    used = int(memory["used_memory"]) - int(memory.get("mem_not_counted_for_evict", 0))
    return bool(limit) and used > (ENOUGH if before else FULL) * limit
