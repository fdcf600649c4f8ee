"""Events that only the supervisor can write: workers that are lost, and back.

Of a worker that dies again and again only the first death is an event, until it has been running for a while.
"""

from __future__ import annotations

import logging
import threading
import time

import redis

from rededge_nb import schema
from rededge_nb.analytics.events import server_event_command
from rededge_nb.edge.client import client_from_url

logger = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds to wait for the server."""


def note_event(url: str, kind: str, severity: str, reason: str) -> None:
    """Add an event to the stream of the server, in a thread: the supervisor must not wait for a server that hangs."""
    event: dict[str, str | int | float] = {
        "kind": kind,
        "severity": severity,
        "ts": int(time.time() * 1000),
        "reason": reason,
    }

    def add() -> None:
        client = client_from_url(url, timeout=TIMEOUT, name="rededge-events")
        try:
            client.execute_command(*server_event_command(schema.SERVER_EVENTS_KEY, event))
        except redis.RedisError as error:
            logger.warning("the event %s could not be written (%s): %s", kind, error, reason)
        finally:
            client.close()

    threading.Thread(target=add, name="event", daemon=True).start()
