"""Where in its recording a frame or an event is: for a file with `asap`, views show that instead of the clock's time.

A frame says which capture has added it, and the capture says when its recording began. The first second of a capture is
an exception: its description does not have that yet. An event outlasts its frame, and has the entry id of that: it
belongs to the capture that added entries from before that id to after it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import redis

from rededge_nb import streams
from rededge_nb.reading.captures import (
    CaptureRecord,
    captures_ended_since,
    current_capture,
    ended_captures,
    newest_captures,
)
from rededge_nb.reading.events import Event

_PAGE = 20
_NO_END: Final = (2**64, 0)


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


class _Added(NamedTuple):
    """What a capture has added.

    Attributes:
        first: Order of the first entry's id.
        last: Order of the last one's.
        start_ms: When its recording began; 0 for a live source.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    start_ms: int


def with_positions(client: redis.Redis, events: Sequence[Event]) -> list[Event]:
    """The same events with their positions, where they belong to a recording whose capture is remembered.

    Args:
        client: Connected to the server; in a Redis Cluster, to the shard of the events' cameras.
        events: Events of any cameras.
    """
    refs: dict[str, set[str]] = {}
    for event in events:
        if event.camera and streams.is_id(event.ref):  # any client may add events
            refs.setdefault(event.camera, set()).add(event.ref)
    added = {camera: _added_by_captures(client, camera, found) for camera, found in refs.items()}
    return [replace(event, position_s=_position_s(event, added.get(event.camera, ()))) for event in events]


def _added_by_captures(client: redis.Redis, camera: str, refs: Iterable[str]) -> list[_Added]:
    """What those captures have added, in order, to which these entries may belong.

    The newest captures are read, and those that were the next to end after each of the older entries.
    """
    newest = newest_captures(client, camera, count=_PAGE)
    found = {each for capture in newest if (each := _added(capture)) is not None}
    known_from = min((each.first for each in found), default=None)
    known_to = (0, 0)
    for ref in sorted(refs, key=streams.id_order) if len(newest) == _PAGE else ():
        order = streams.id_order(ref)
        if known_from is not None and order >= known_from:
            break
        if order <= known_to:
            continue
        older = captures_ended_since(client, camera, streams.time_ms(ref), count=_PAGE)
        ranges = {each for capture in older if (each := _added(capture)) is not None}
        found |= ranges
        known_to = max((each.last for each in ranges), default=order)
    return sorted(found)


def _added(capture: CaptureRecord) -> _Added | None:
    """None for a capture without frames."""
    if capture.running:  # its description may not have its first and last entry yet
        return _Added((capture.started_ms, 0), _NO_END, capture.start_ms)
    if not (capture.first_id and capture.last_id):
        return None
    return _Added(streams.id_order(capture.first_id), streams.id_order(capture.last_id), capture.start_ms)


def _position_s(event: Event, added: Sequence[_Added]) -> float | None:
    if not added or not streams.is_id(event.ref):
        return None
    ref = streams.id_order(event.ref)
    at = bisect_right(added, ref, key=lambda each: each.first) - 1
    if at < 0 or ref > added[at].last or not added[at].start_ms:
        return None
    return max(0, event.ts_ms - added[at].start_ms) / 1000
