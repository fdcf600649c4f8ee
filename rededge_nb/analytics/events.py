"""How events are written: the commands for the stream `camera:<id>:events` and the hash `camera:<id>:alarms`.

The gear writes events in the transaction of the frame that caused them; so does the worker for what no frame can show.
Both read the id of the newest event first, in the same transaction, since an active alarm contains the id of its event.
Nothing is read or written here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from rededge_nb.analytics.pace import TOO_FEW_FRAMES
from rededge_nb.analytics.scene_series import Command

RAISED: Final = ("alarm_raised", "camera_silent")
"""Kinds of events that begin an alarm."""
CLEARED: Final = ("alarm_cleared", "camera_back")
"""Kinds of events that end one."""
KINDS: Final = (
    "line_crossed", "zone_entered", "zone_left", *RAISED, *CLEARED, "frames_refused", TOO_FEW_FRAMES,
    "gear_paused", "gear_unpaused", "gear_failing", "gear_works", "memory_full", "memory_free", "disk_full",
    "disk_free", "worker_lost", "worker_back", "run_ended", "notifications_dropped",
)  # fmt: skip
"""Kinds of the events that RedisEdge writes; docs/reference/events.md says when."""

EVENTS_KEPT: Final = 10_000
EVENTS_AGE_MS: Final = 30 * 24 * 3600 * 1000

FIELDS: Final = (
    "kind", "severity", "ts", "ref", "rule", "condition", "alarm", "line", "direction", "direction_name", "zone",
    "track", "people", "seconds", "value", "since", "reason", "clip", "class", "plural",
)  # fmt: skip
"""Fields of every event of a camera, empty where they do not belong to its kind: Grafana's data source mixes up the
rows of a stream whose entries have different fields."""
SERVER_FIELDS: Final = ("kind", "severity", "ts", "reason", "value")
"""Fields of every event of the server."""

EventFields = Mapping[str, str | int | float]
"""The fields of an event: `kind`, `severity`, `ts`, and what belongs to the kind."""


def next_event_id(last: str, now_ms: int) -> str:
    """The id of an event that is added now, after the event with the id `last`; "" if there was none.

    The ids of a stream grow, even if the clock was set back.
    """
    milliseconds, _, sequence = last.partition("-")
    if not last or int(milliseconds) < now_ms:
        return f"{now_ms}-0"
    return f"{milliseconds}-{int(sequence) + 1}"


def event_commands(camera_key: str, events: Sequence[EventFields], last: str, now_ms: int) -> list[Command]:
    """The commands that write the events of a camera, and what they say about active alarms.

    Args:
        camera_key: Key of the camera's frames.
        events: The events in their order.
        last: Id of the newest event of the camera; "" if there is none.
        now_ms: The time by the clock, in milliseconds since 1970.
    """
    key, alarms = f"{camera_key}:events", f"{camera_key}:alarms"
    commands: list[Command] = []
    for event in events:
        last = next_event_id(last, now_ms)
        commands.append(("XADD", key, "MAXLEN", "~", EVENTS_KEPT, last, *_words(event, FIELDS)))
        if event["kind"] in RAISED:
            texts = {name: str(value) for name, value in event.items()}
            commands.append(("HSET", alarms, event["alarm"], json.dumps({**texts, "event": last})))
        elif event["kind"] in CLEARED:
            commands.append(("HDEL", alarms, event["alarm"]))
    if commands:
        commands.append(("XTRIM", key, "MINID", "~", max(0, now_ms - EVENTS_AGE_MS)))
    return commands


def server_event_command(key: str, event: EventFields) -> Command:
    """The command that writes an event of the whole server."""
    return ("XADD", key, "MAXLEN", "~", EVENTS_KEPT, "*", *_words(event, SERVER_FIELDS))


def _words(event: EventFields, fields: Sequence[str]) -> list[str | int | float]:
    others = [name for name in event if name not in fields]
    return [word for name in (*fields, *others) for word in (name, event.get(name, ""))]
