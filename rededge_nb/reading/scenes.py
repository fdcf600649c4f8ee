"""Read what was drawn over a camera's frames, and what was counted there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.fields import at
from rededge_nb.analytics.scene import Scene, parse_scene
from rededge_nb.edge.client import server_errors
from rededge_nb.reading.series import Series, newest_times, samples_with_labels
from rededge_nb.reading.too_few_frames import TooFewFrames, too_few_frames


@dataclass(frozen=True, eq=False)
class Crossings:
    """How often people crossed a line.

    Attributes:
        line: Name of the line.
        forward: Series of the crossings from its left to its right side, one sample for each second that has some.
        backward: The same of the other direction.
        forward_name: What users call the direction.
        backward_name: The same of the other one.
        too_few_frames: When the model saw too few frames to follow people, so that the counts are not reliable; None if
            that was never so.
    """

    line: str
    forward: Series = field(repr=False)
    backward: Series = field(repr=False)
    forward_name: str = "forward"
    backward_name: str = "backward"
    too_few_frames: TooFewFrames | None = None

    @property
    def counts(self) -> tuple[int, int]:
        """Forward and backward."""
        return round(float(self.forward.values.sum())), round(float(self.backward.values.sum()))

    def __repr__(self) -> str:
        forward, backward = self.counts
        counts = f"{forward} {self.forward_name}, {backward} {self.backward_name}"
        return f"<Crossings of {self.line}: {counts}{_doubt(self.too_few_frames)}>"


@dataclass(frozen=True, eq=False)
class ZoneVisits:
    """Who was in a zone, and for how long.

    Attributes:
        zone: Name of the zone.
        people: Series of the people in it, one sample for each frame.
        dwell: Series of the seconds that each person stayed, at the time they left.
        now: People in it in the newest frame.
        longest_s: Seconds that the one who entered first has been in it; 0 if it is empty.
        entries: How many have entered since the zone was made.
        exits: How many have left.
        too_few_frames: When the model saw too few frames to follow people, so that the stays are not reliable; None if
            that was never so.
    """

    zone: str
    people: Series = field(repr=False)
    dwell: Series = field(repr=False)
    now: int = 0
    longest_s: float = 0.0
    entries: int = 0
    exits: int = 0
    too_few_frames: TooFewFrames | None = None

    def __repr__(self) -> str:
        dwell = f", median stay {np.median(self.dwell.values):.1f} s" if len(self.dwell) else ""
        counts = f"{self.now} now, {self.entries} entered, {self.exits} left{dwell}{_doubt(self.too_few_frames)}"
        return f"<ZoneVisits of {self.zone}: {counts}>"


def _doubt(few: TooFewFrames | None) -> str:
    return "" if few is None else f"; {few.words}"


def read_scene(client: redis.Redis, camera: object) -> Scene:
    """The scene of a camera; an empty one with version 0 if nothing was drawn.

    Raises:
        SceneError: what is stored is not a scene.
    """
    key = schema.scene_key(camera)
    with server_errors(client):
        text: Any = client.get(key)
    return scene_of(key, text)


def scene_of(key: str, text: str | bytes | None) -> Scene:
    """The scene from the text at its key.

    Raises:
        SceneError: it is not a scene; the message names the key.
    """
    if text is None:
        return Scene()
    with at(key):
        return parse_scene(text)


def read_crossings(
    client: redis.Redis, camera: object, *, start_ms: int | None = None, end_ms: int | None = None
) -> list[Crossings]:
    """The crossings of each line of the scene, in its order, of the last 24 hours at most.

    Args:
        client: Connected to the server.
        camera: Camera id.
        start_ms: Earliest time, milliseconds since the epoch.
        end_ms: Latest time, included.

    Raises:
        SceneError: the scene cannot be read.
    """
    found, first_ms = _series(client, camera, "line", ("line_forward", "line_backward"), start_ms, end_ms)
    few = _too_few(client, camera, first_ms if start_ms is None else start_ms, end_ms)
    return [
        Crossings(line.name, *found(line.name), line.forward, line.backward, few)
        for line in read_scene(client, camera).lines
    ]


def read_zones(
    client: redis.Redis, camera: object, *, start_ms: int | None = None, end_ms: int | None = None
) -> list[ZoneVisits]:
    """People and dwell times of each zone of the scene, in its order, of the last 24 hours at most.

    Arguments and errors are those of `read_crossings`.
    """
    found, first_ms = _series(client, camera, "zone", ("zone_people", "zone_dwell"), start_ms, end_ms)
    _, zones = newest_counts(client, camera)
    few = _too_few(client, camera, first_ms if start_ms is None else start_ms, end_ms)
    return [
        replace(ZoneVisits(zone.name, *found(zone.name), *zones.get(zone.name, ())), too_few_frames=few)
        for zone in read_scene(client, camera).zones
    ]


def _too_few(client: redis.Redis, camera: object, start_ms: int, end_ms: int | None) -> TooFewFrames | None:
    name = schema.camera_id(camera)
    return too_few_frames(client, start_ms, end_ms, camera=name).get(name)


def newest_counts(
    client: redis.Redis, camera: object
) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, float, int, int]]]:
    """What the newest frame with detections says.

    Returns:
        Crossings by line, forward and backward; of each zone the people, the longest stay, entries and exits.
    """
    for _, fields in streams.entries(client, schema.detections_key(camera), count=1, newest_first=True):
        return counts_of(fields)
    return {}, {}


def counts_of(
    fields: dict[bytes, bytes],
) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, float, int, int]]]:
    """Lines and zones of a detection entry, as `newest_counts` returns them; empty where the entry has none."""
    try:
        lines = json.loads(fields.get(schema.LINES.encode(), b"{}"))
        zones = json.loads(fields.get(schema.ZONES.encode(), b"{}"))
        return (
            {str(name): (int(forward), int(backward)) for name, (forward, backward) in lines.items()},
            {str(name): (int(now), float(s), int(ins), int(outs)) for name, (now, s, ins, outs) in zones.items()},
        )
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError):
        return {}, {}  # another gear may write fields of these names


def _series(
    client: redis.Redis, camera: object, kind: str, names: tuple[str, str], start_ms: int | None, end_ms: int | None
) -> tuple[Callable[[str], tuple[Series, Series]], int]:
    """A function that returns the two series of the line or zone of a name; and when the time begins that Redis keeps.

    The series are empty where nothing was written.
    """
    start, end = "-" if start_ms is None else start_ms, "+" if end_ms is None else end_ms
    filters = ("FILTER", f"camera={schema.camera_id(camera)}", f"__name__=({','.join(names)})")
    found = {
        (labels.get(kind), labels["__name__"]): Series(
            key,
            labels,
            np.array([at_ms for at_ms, _ in samples], np.int64),
            np.array([value for _, value in samples], np.float64),
        )
        for key, labels, samples in samples_with_labels(client, start, end, *filters)
    }

    def one(name: str, label: str) -> Series:
        key = f"{schema.frames_key(camera)}:{kind}:{name}:{label.removeprefix(kind + '_')}"
        empty = Series(key, {"__name__": label, kind: name}, np.zeros(0, np.int64), np.zeros(0))
        return found.get((name, label), empty)

    # a series in which nothing was written lately has samples that are older than a day
    of_frames = f"__name__=({schema.PEOPLE},{schema.OTHER_COUNT})"
    counts = newest_times(client, f"camera={schema.camera_id(camera)}", of_frames)
    kept_ms = [at_ms - schema.RAW_RETENTION_MS for at_ms in counts.values()]
    first_ms = min([*kept_ms, *(int(each.timestamps_ms[0]) for each in found.values() if len(each))], default=0)
    return lambda name: (one(name, names[0]), one(name, names[1])), first_ms
