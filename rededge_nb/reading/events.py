"""Read the events of cameras and of the server, and the alarms that are active.

Events are in the stream `camera:<id>:events`, those of the whole server in `rededge:events`. An alarm is raised by one
event and cleared by another; meanwhile it is in the hash `camera:<id>:alarms`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.events import CLEARED, RAISED
from rededge_nb.analytics.rules import SEVERITIES
from rededge_nb.connection import shard_of
from rededge_nb.edge.client import server_errors
from rededge_nb.edge.client.shard import key_here
from rededge_nb.errors import NoDataError
from rededge_nb.streams import Entry

_BATCH = 500
"""Entries that are read at once while those of some kinds are searched."""
_TEXTS = ("kind", "severity", "alarm", "rule", "line", "direction", "direction_name", "zone", "clip", "ref", "reason")
_INTEGERS = ("track", "people", "since")
_NUMBERS = ("seconds", "value")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        camera: Camera id; empty for an event of the whole server.
        id: Id of the entry in its stream.
        kind: What happened: `line_crossed`, `zone_entered`, `zone_left`, `alarm_raised`, `alarm_cleared`,
            `camera_silent`, `camera_back`, `gear_paused`, `gear_failing` and others; see the reference of events.
        severity: `info`, `warning` or `alarm`.
        ts_ms: When it happened: time of the frame, or of the clock; milliseconds since the epoch.
        alarm: Id of the alarm, the same for the event that raised it and the one that cleared it; otherwise empty.
        rule: Name of the rule that raised the alarm.
        line: Name of the line, for `line_crossed`.
        direction: `forward` or `backward`.
        direction_name: What users call this direction of the line, such as `in`.
        zone: Name of the zone.
        clip: File name of the video clip, if the rule asks for one.
        ref: Entry id of the frame that caused it; empty for what no frame has caused.
        reason: Why, in words, for events about the system; why an alarm was cleared.
        track: Id of the person's track.
        people: Number of people.
        since_ms: Since when the condition of an alarm holds; for a cleared one, when it was raised.
        seconds: How long somebody stayed in a zone, or how long a camera was silent.
        value: People, seconds or crossings that an alarm is about.
        acknowledged_ms: For an active alarm: when somebody acknowledged it; None if nobody has.
        position_s: Where in its recording it happened, in seconds, if `reading.recordings.with_positions` has found
            that out; None for an event of a live source, and for one that no frame has caused.
        fields: All fields of the entry that are not empty, as texts.
    """

    camera: str
    id: str
    kind: str
    severity: str
    ts_ms: int
    alarm: str = ""
    rule: str = ""
    line: str = ""
    direction: str = ""
    direction_name: str = ""
    zone: str = ""
    clip: str = ""
    ref: str = ""
    reason: str = ""
    track: int | None = None
    people: int | None = None
    since_ms: int | None = None
    seconds: float | None = None
    value: float | None = None
    acknowledged_ms: int | None = None
    position_s: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def time(self) -> np.datetime64:
        """When it happened, UTC."""
        return np.datetime64(self.ts_ms, "ms")

    @property
    def full_id(self) -> str:
        """The id for receivers, which no other event has: `<camera>/<entry id>`."""
        return f"{self.camera}/{self.id}"

    def is_at_least(self, severity: str) -> bool:
        """Whether it has this severity or a higher one. An unknown one, from another client, counts as `info`."""
        known = self.severity if self.severity in SEVERITIES else SEVERITIES[0]
        return SEVERITIES.index(known) >= SEVERITIES.index(severity)

    @property
    def raises(self) -> bool:
        """Whether it begins an alarm."""
        return self.kind in RAISED

    @property
    def clears(self) -> bool:
        """Whether it ends an alarm."""
        return self.kind in CLEARED


def read_events(
    client: redis.Redis,
    camera: object,
    *,
    start: str = "-",
    end: str = "+",
    kinds: Collection[str] | None = None,
    limit: int | None = None,
) -> list[Event]:
    """Return the events of a camera, the newest first.

    Args:
        client: Connected to the server.
        camera: Camera id.
        start: Id of the oldest event, or a time in milliseconds; `(` in front of it leaves that one out.
        end: Id of the newest event.
        kinds: Only events of these kinds.
        limit: At most so many.

    Raises:
        ConfigurationError: `start` or `end` is not an entry id.
    """
    name = schema.camera_id(camera)
    return _read(client, schema.events_key(name), name, start, end, kinds, limit)


def read_server_events(
    client: redis.Redis,
    *,
    start: str = "-",
    end: str = "+",
    kinds: Collection[str] | None = None,
    limit: int | None = None,
) -> list[Event]:
    """Return the events of the whole server, such as `memory_full` and `worker_lost`, the newest first."""
    return _read(client, key_here(client, schema.SERVER_EVENTS_KEY), "", start, end, kinds, limit)


def active_alarms(client: redis.Redis, camera: object) -> list[Event]:
    """Return the alarms of a camera that were raised and are not cleared, the newest first."""
    name = schema.camera_id(camera)
    with server_errors(client):
        stored: Any = client.hgetall(schema.alarms_key(name))
    found = [event for text in stored.values() if (event := _active_alarm(name, text)) is not None]
    return sorted(found, key=lambda event: streams.id_order(event.id), reverse=True)


def silent_cameras(client: redis.Redis, cameras: Iterable[object]) -> dict[str, Event]:
    """Return those of the cameras that are silent, with the event that says since when."""
    names = [schema.camera_id(camera) for camera in cameras]
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.hgetall(schema.alarms_key(name))
    with server_errors(client):
        stored = pipeline.execute()
    found: dict[str, Event] = {}
    for name, alarms in zip(names, stored, strict=True):
        for text in alarms.values():
            event = _active_alarm(name, text)
            if event is not None and event.kind == "camera_silent":
                found[name] = event
    return found


def acknowledge_alarm(client: redis.Redis, camera: object, alarm: str) -> Event:
    """Note that somebody has seen an active alarm; it stays active until its condition is over.

    Raises:
        NoDataError: the camera has no active alarm of that id.
    """
    key, name = schema.alarms_key(camera), schema.camera_id(camera)
    with server_errors(client), shard_of(client, camera) as shard, shard.pipeline(transaction=True) as pipeline:
        while True:
            pipeline.watch(key)
            text: Any = pipeline.hget(key, alarm)
            event = None if text is None else _active_alarm(name, text)
            if event is None:
                raise NoDataError(f"camera {name} has no active alarm {alarm[:60]!r}: it was cleared meanwhile")
            if event.acknowledged_ms is not None:
                return event
            seconds, microseconds = shard.time()
            fields = {**json.loads(text), schema.ACKNOWLEDGED: str(seconds * 1000 + microseconds // 1000)}
            pipeline.multi()
            pipeline.hset(key, alarm, json.dumps(fields))
            try:
                pipeline.execute()
            except redis.WatchError:
                continue  # the gear has raised or cleared another alarm meanwhile
            return parse_event(name, event.id, fields)


def parse_event(camera: str, entry_id: str, fields: Mapping[str, str]) -> Event:
    """An event from the fields of its entry. What is missing or no number is left out: any client may add events."""
    numbers = {name: float(fields[name]) for name in (*_INTEGERS, *_NUMBERS) if _NUMBER.fullmatch(fields.get(name, ""))}
    integers = {name: int(value) for name, value in numbers.items() if name in _INTEGERS}
    ts, acknowledged = fields.get(schema.TS, ""), fields.get(schema.ACKNOWLEDGED, "")
    return Event(
        camera=camera,
        id=entry_id,
        ts_ms=int(float(ts)) if _NUMBER.fullmatch(ts) else streams.time_ms(entry_id),
        **{name: fields.get(name, "") for name in _TEXTS},  # type: ignore[arg-type]
        track=integers.get("track"),
        people=integers.get("people"),
        since_ms=integers.get("since"),
        seconds=numbers.get("seconds"),
        value=numbers.get("value"),
        acknowledged_ms=int(acknowledged) if acknowledged.isdigit() else None,
        fields=fields,
    )


def event_of(camera: str, entry: Entry) -> Event:
    """An event from an entry of its stream."""
    entry_id, fields = entry
    texts = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items() if value}
    return parse_event(camera, entry_id, texts)


def _read(
    client: redis.Redis,
    key: str,
    camera: str,
    start: str,
    end: str,
    kinds: Collection[str] | None,
    limit: int | None,
) -> list[Event]:
    found: list[Event] = []
    while limit is None or len(found) < limit:
        count = _BATCH if limit is None or kinds is not None else limit
        batch = streams.entries(client, key, start=start, end=end, count=count, newest_first=True)
        events = (event_of(camera, entry) for entry in batch)
        found += [event for event in events if kinds is None or event.kind in kinds]
        if len(batch) < count:
            break
        end = f"({batch[-1][0]}"
    return found[:limit]


def _active_alarm(camera: str, text: bytes) -> Event | None:
    """An alarm from its text in the hash; None if that is none, as any client may write there."""
    try:
        fields = {str(name): str(value) for name, value in json.loads(text).items()}
        return parse_event(camera, fields["event"], fields) if streams.is_id(fields["event"]) else None
    except (AttributeError, KeyError, RecursionError, ValueError):
        return None
