"""Trails: where the people of a frame have walked in the last seconds, in pixels of the frame."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema, streams
from rededge_nb.errors import GearError
from rededge_nb.reading.detections import Detections, parse_detections

SECONDS = 3.0
"""Length of a trail."""
STEP_MS = 100
"""Two points of a trail are at least this far apart in time."""
TRAIL_ENTRIES = 100
"""So many entries before a frame are read for its trails: 3 s at 30 frames a second."""

Trail = NDArray[np.float32]
"""Shape (k, 2): x and y of the middle of the lower edge of the box, oldest first."""


class Trails:
    """Remembers where people were. A viewer that gets every detection entry gives them to `add`."""

    def __init__(self) -> None:
        self._points: dict[int, deque[tuple[int, float, float]]] = {}
        self._last_ms = 0

    def add(self, found: Detections) -> None:
        """Take note of where the people of the next frame are."""
        if found.tracks is None:
            return
        if found.ts_ms < self._last_ms:  # tracking begins again, with new ids
            self._points.clear()
        self._last_ms = found.ts_ms
        oldest_ms = found.ts_ms - 1000 * SECONDS
        for track, (x1, _, x2, y2) in zip(found.tracks.tolist(), found.xyxy.tolist(), strict=True):
            points = self._points.setdefault(track, deque())
            if not points or found.ts_ms - points[-1][0] >= STEP_MS:
                points.append((found.ts_ms, (x1 + x2) / 2, y2))
        for track, points in list(self._points.items()):
            while points and points[0][0] < oldest_ms:
                points.popleft()
            if not points:
                del self._points[track]

    def of(self, found: Detections) -> list[Trail]:
        """The trail of each box; it ends at the box, and is empty without a track."""
        if found.tracks is None:
            return [np.empty((0, 2), np.float32)] * len(found)
        trails = []
        for track, (x1, _, x2, y2) in zip(found.tracks.tolist(), found.xyxy.tolist(), strict=True):
            before = [(x, y) for at, x, y in self._points.get(track, ()) if at < found.ts_ms]
            trails.append(np.array([*before, ((x1 + x2) / 2, y2)], np.float32))
        return trails


def trails_before(camera: str, entries: Iterable[streams.Entry]) -> Trails:
    """The trails after some entries of a camera's stream of detections, newest first. Malformed ones are left out."""
    trails = Trails()
    for entry in reversed(list(entries)):
        with contextlib.suppress(GearError):  # whoever shows that frame reports it
            trails.add(parse_detections(camera, entry))
    return trails


def read_trails(client: redis.Redis, found: Detections) -> list[Trail]:
    """The trail of each box of a frame, from the camera's stream of detections."""
    key = schema.detections_key(found.camera)
    before = streams.entries(client, key, end=f"({found.entry_id}", count=TRAIL_ENTRIES, newest_first=True)
    return trails_before(found.camera, before).of(found)
