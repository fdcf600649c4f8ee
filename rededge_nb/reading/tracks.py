"""Read the tracks of a camera: when people were in view, and where they walked."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema, streams
from rededge_nb.analytics.pace import WINDOW_S
from rededge_nb.analytics.saved_tracker import SavedTracker
from rededge_nb.analytics.tracking import TrackerSettings
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import GearError, MissingModuleError
from rededge_nb.reading.too_few_frames import TooFewFrames, together, too_few_times
from rededge_nb.streams import Entry

_JUDGED_MS = round(1000 * WINDOW_S)
"""A sample of too few frames is about as much time before it."""


@dataclass(frozen=True, eq=False)
class Track:
    """A person, from the first to the last time that they were seen.

    Attributes:
        camera: Camera id.
        id: Id of the track, which no other person of the camera has.
        first_ms: When the person was first seen, milliseconds since the epoch.
        last_ms: When the person was last seen.
        times_ms: Times of the points of the path, int64 of shape (n,).
        path: Where the person stood at these times, float64 of shape (n, 2): the middle of the lower edge of the box, x
            and y from 0 to 1 of the frame's width and height. Points that change the path little are left out.
        in_view: Whether the person was still followed after the last frame.
        too_few_frames: When the model saw too few frames to follow people while this one was in view, so that the path
            is not reliable: it may be a part of the person's path, or of two people; None if that was never so. Only
            `read_tracks` knows it.
    """

    camera: str
    id: int
    first_ms: int
    last_ms: int
    times_ms: NDArray[np.int64] = field(repr=False)
    path: NDArray[np.float64] = field(repr=False)
    in_view: bool
    too_few_frames: TooFewFrames | None = None

    @property
    def seconds(self) -> float:
        """How long the person was in view."""
        return (self.last_ms - self.first_ms) / 1000

    @property
    def first(self) -> np.datetime64:
        """When the person was first seen, UTC."""
        return np.datetime64(self.first_ms, "ms")

    @property
    def last(self) -> np.datetime64:
        """When the person was last seen, UTC."""
        return np.datetime64(self.last_ms, "ms")

    def __repr__(self) -> str:
        until = "in view" if self.in_view else f"until {self.last}"
        doubt = "" if self.too_few_frames is None else f"; {self.too_few_frames.words}"
        return f"<Track {self.id} of camera {self.camera}: from {self.first} UTC, {until}, {self.seconds:.1f} s{doubt}>"


def read_tracks(
    client: redis.Redis, camera: object, *, start_ms: int | None = None, end_ms: int | None = None
) -> list[Track]:
    """Return the people who were in view between two times, by id, those included who still are.

    Args:
        client: Connected to the server.
        camera: Camera id.
        start_ms: Whoever left earlier is left out; milliseconds since the epoch.
        end_ms: Whoever came later is left out.

    Raises:
        GearError: an entry is malformed.
    """
    name = schema.camera_id(camera)
    left = (parse_track(name, entry) for entry in streams.entries(client, schema.tracks_key(camera)))
    found = {track.id: track for track in (*people_in_view(client, name), *left)}
    chosen = [
        found[number]
        for number in sorted(found)
        if (start_ms is None or found[number].last_ms >= start_ms)
        and (end_ms is None or found[number].first_ms <= end_ms)
    ]
    return _marked(client, name, chosen)


def _marked(client: redis.Redis, camera: str, tracks: list[Track]) -> list[Track]:
    """The same tracks, and when people could not be followed while they were in view."""
    if not tracks:
        return []
    first_ms, last_ms = min(each.first_ms for each in tracks), max(each.last_ms for each in tracks)
    try:
        found = too_few_times(client, first_ms, last_ms + _JUDGED_MS, camera=camera).get(camera, [])
    except MissingModuleError:  # no gear of ours notices it there
        return tracks
    starts, ends = [each.first_ms - _JUDGED_MS for each in found], [each.last_ms for each in found]
    return [
        replace(
            each, too_few_frames=together(found[bisect_left(ends, each.first_ms) : bisect_right(starts, each.last_ms)])
        )
        for each in tracks
    ]


def parse_track(camera: str, entry: Entry) -> Track:
    """Parse an entry of the camera's stream of tracks.

    Raises:
        GearError: the entry is malformed.
    """
    entry_id, fields = entry
    try:
        number, first_ms, last_ms = (int(fields[name.encode()]) for name in (schema.TRACK, schema.FIRST, schema.LAST))
        points: Any = json.loads(fields[schema.PATH.encode()])
        return _track(camera, number, first_ms, last_ms, points, in_view=False)
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise GearError(
            f"entry {entry_id} of {schema.tracks_key(camera)} is malformed ({type(error).__name__}: {error}); "
            "check the gear that wrote it (`rededge gears list`)"
        ) from error


def people_in_view(client: redis.Redis, camera: str) -> Iterator[Track]:
    """The people who are followed after the last frame, from the state of the tracker."""
    with server_errors(client):
        text: Any = client.get(schema.tracker_key(camera))
    saved = SavedTracker.from_text((text or b"").decode(errors="replace"))
    for track in saved.tracker(TrackerSettings(), lambda: 0).finish():
        yield _track(camera, track.id, track.first_ms, track.last_ms, track.path, in_view=True)


def _track(camera: str, number: int, first_ms: int, last_ms: int, points: Any, *, in_view: bool) -> Track:
    rows = np.array(points, np.float64).reshape(-1, 3)
    if not np.isfinite(rows).all():
        raise ValueError("the path has numbers that are not finite")
    return Track(camera, number, first_ms, last_ms, rows[:, 0].astype(np.int64), rows[:, 1:], in_view)
