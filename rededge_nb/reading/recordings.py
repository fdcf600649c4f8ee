"""Where in its recording a frame or an event is: for a file with `asap`, views show that instead of the clock's time.

A frame says which capture has added it, and the capture says when its recording began. The first second of a capture is
an exception: its description does not have that yet. An event outlasts its frame, and has the entry id of that: it
belongs to the capture that added entries from before that id to after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import redis

from rededge_nb import streams
from rededge_nb.reading.captures import (
    CaptureRecord,
    current_capture,
    ended_captures,
    newest_capture,
    newest_captures,
)
from rededge_nb.reading.events import Event

_PAGE = 20


class RecordingPositions:
    """Tells the positions of a camera's frames, and remembers when each recording began.

    Args:
        camera: Camera id.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._start_ms: dict[str, int] = {}

    def position_s(self, client: redis.Redis, capture: str, ts_ms: int, read_ms: int | None) -> float | None:
        """Seconds from the beginning of the recording; None if the frame has the time of the clock.

        Args:
            client: Connected to the server.
            capture: Id of the frame's capture.
            ts_ms: Time of the frame.
            read_ms: When it was read from its recording; None if `ts_ms` is not a time of a recording.
        """
        if read_ms is None:
            return None
        start_ms = self._start_ms.get(capture)
        if start_ms is None:
            start_ms = self._find(client, capture)
        return max(0, ts_ms - start_ms) / 1000 if start_ms else None

    def _find(self, client: redis.Redis, capture: str) -> int:
        current = current_capture(client, self._camera)
        if current is not None and current.capture == capture:
            if current.start_ms:
                self._start_ms[capture] = current.start_ms
            return current.start_ms
        ended = (each.start_ms for each in ended_captures(client, self._camera) if each.capture == capture)
        self._start_ms[capture] = next(ended, 0)
        return self._start_ms[capture]


def with_positions(client: redis.Redis, events: Sequence[Event]) -> list[Event]:
    """The same events with their positions, where they belong to a recording.

    Args:
        client: Connected to the server; in a Redis Cluster, to the shard of the events' cameras.
        events: Events of any cameras.
    """
    captures: dict[str, list[CaptureRecord]] = {}
    of_frames = [event for event in events if event.camera and streams.is_id(event.ref)]
    for camera in {event.camera for event in of_frames}:
        oldest = min((event.ref for event in of_frames if event.camera == camera), key=streams.id_order)
        captures[camera] = _captures_since(client, camera, oldest)
    return [replace(event, position_s=_position_s(event, captures.get(event.camera, ()))) for event in events]


def _captures_since(client: redis.Redis, camera: str, entry_id: str) -> list[CaptureRecord]:
    """The captures of a camera from the one that added an entry to the newest one."""
    count = _PAGE
    while True:
        found = newest_captures(client, camera, count=count)
        ended = [each for each in found if each.first_id]
        if len(found) < count or any(streams.id_order(each.first_id) <= streams.id_order(entry_id) for each in ended):
            return found
        count *= 10


def _position_s(event: Event, captures: Iterable[CaptureRecord]) -> float | None:
    if not streams.is_id(event.ref):  # any client may add events
        return None
    ref = streams.id_order(event.ref)
    for each in captures:
        if each.running:
            added = ref[0] >= each.started_ms  # its description may not have its first and last entry yet
        else:
            added = bool(each.first_id and each.last_id) and streams.id_order(each.first_id) <= ref <= streams.id_order(
                each.last_id
            )
        if added:
            return max(0, event.ts_ms - each.start_ms) / 1000 if each.start_ms else None
    return None


def newest_recording_ms(client: redis.Redis, camera: str) -> int | None:
    """When the recording began that a camera was last fed with; None if it was last fed with a live source."""
    newest = newest_capture(client, camera)
    return newest.start_ms or None if newest is not None else None
