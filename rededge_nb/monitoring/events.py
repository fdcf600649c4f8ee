"""What `rededge events` shows: the events of cameras and of the server in the order in which they came."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

import redis

from rededge_nb import streams
from rededge_nb.analytics.rules import SEVERITIES
from rededge_nb.control.provision import known_cameras
from rededge_nb.reading.event_text import describe
from rededge_nb.reading.events import Event, active_alarms, read_events, read_server_events
from rededge_nb.reading.recordings import with_positions
from rededge_nb.time_zones import local_time, position_text

UPDATE_INTERVAL = 1.0
"""Seconds between two looks for new events."""


def newest_events(
    client: redis.Redis,
    cameras: Collection[str] = (),
    *,
    kinds: Collection[str] = (),
    severity: str = "info",
    limit: int | None = None,
    follow: bool = False,
) -> Iterator[Event]:
    """Yield the newest events, the oldest of them first.

    Args:
        client: One from `connect`.
        cameras: Ids of the cameras; none: all that the people counter knows, and the events of the whole server.
        kinds: Only events of these kinds; none: all.
        severity: Only events of this severity or a higher one.
        limit: So many at most, before those that arrive later.
        follow: Go on with each event that arrives, without end.
    """
    newest: dict[str, str] = {}
    most, whole = limit, not kinds and severity == SEVERITIES[0]  # then the newest are those that are wanted
    while True:
        found = [
            event
            for camera in cameras or (*known_cameras(client), "")
            for event in _read_new(client, camera, newest, most if whole else None)
            if (not kinds or event.kind in kinds) and event.is_at_least(severity)
        ]
        found.sort(key=_arrival)
        yield from with_positions(client, found[-most:] if most else found)
        if not follow:
            return
        most = None
        time.sleep(UPDATE_INTERVAL)


def alarms_now(client: redis.Redis, cameras: Collection[str] = (), *, severity: str = "info") -> list[Event]:
    """The alarms that were raised and are not over, the oldest first; see `newest_events` for the arguments."""
    found = [alarm for camera in cameras or known_cameras(client) for alarm in active_alarms(client, camera)]
    chosen = sorted((alarm for alarm in found if alarm.is_at_least(severity)), key=_arrival)
    return with_positions(client, chosen)


def as_line(event: Event, zone: ZoneInfo) -> str:
    """An event as a line of text: time, camera, severity, what happened, and the id for `rededge clip`."""
    seen = " (acknowledged)" if event.acknowledged_ms is not None else ""
    camera = f"camera {event.camera}" if event.camera else "server"
    if event.position_s is not None:
        when = f"at {position_text(event.position_s)}"
    else:
        when = f"{local_time(event.ts_ms, zone):%Y-%m-%d %H:%M:%S}"
    return f"{when:<19}  {event.severity:<7}  {camera}: {describe(event)}{seen}  [{event.full_id}]"


def as_dict(event: Event) -> dict[str, Any]:
    """An event as JSON can hold it."""
    return asdict(event) | {"id": event.full_id, "fields": dict(event.fields), "text": describe(event)}


def _read_new(client: redis.Redis, camera: str, newest: dict[str, str], limit: int | None) -> list[Event]:
    start = f"({newest[camera]}" if camera in newest else "-"
    found: list[Event] = []
    if camera:
        found = read_events(client, camera, start=start, limit=limit)
    else:
        with contextlib.suppress(redis.exceptions.NoPermissionError):  # this user may read cameras only
            found = read_server_events(client, start=start, limit=limit)
    if found:
        newest[camera] = found[0].id
    return found


def _arrival(event: Event) -> tuple[int, int]:
    return streams.id_order(event.id)
