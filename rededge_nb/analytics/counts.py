"""What a frame says about the lines and zones of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Direction = Literal["forward", "backward"]


class Crossing(NamedTuple):
    """Somebody crossed a line.

    Attributes:
        track: Id of the track.
        line: Name of the line.
        direction: "forward" (from the left side to the right side) or "backward"; `Line` has the users' names of them.
        ts_ms: When: time of the first frame beyond the line. That is at least 0.3 s before the frame that decides it.
    """

    track: int
    line: str
    direction: Direction
    ts_ms: int


class ZoneEntry(NamedTuple):
    """Somebody entered a zone.

    Attributes:
        track: Id of the track.
        zone: Name of the zone.
        ts_ms: When: time of the first frame inside.
    """

    track: int
    zone: str
    ts_ms: int


class ZoneExit(NamedTuple):
    """Somebody left a zone.

    Attributes:
        track: Id of the track.
        zone: Name of the zone.
        ts_ms: When: time of the first frame outside; where the track ended inside, time of its last frame.
        seconds: How long the person was in the zone.
    """

    track: int
    zone: str
    ts_ms: int
    seconds: float


class ZoneNow(NamedTuple):
    """A zone at the time of a frame.

    Attributes:
        people: Tracks of this frame that are in the zone.
        longest_s: Seconds that the one who entered first has been in the zone; 0 if it is empty. People whom the
            tracker has lost are among them until their track ends.
        longest_track: Id of that track, or None.
    """

    people: int
    longest_s: float
    longest_track: int | None


class TrackSummary(NamedTuple):
    """Lines and zones of a track that has ended.

    Attributes:
        track: Id of the track.
        crossed: For each line crossed, by name: how often forward, how often backward.
        stayed: For each zone, by name: seconds in it, of all stays together.
    """

    track: int
    crossed: dict[str, tuple[int, int]]
    stayed: dict[str, float]


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """Everything that one frame says about lines and zones.

    Attributes:
        ts_ms: Time of the frame.
        crossings: Crossings that this frame decides.
        entries: Entries into zones that this frame decides.
        exits: Exits from zones that this frame decides.
        zones: Every zone of the scene by name.
        finished: The tracks that ended, as far as they were ever seen.
    """

    ts_ms: int
    crossings: tuple[Crossing, ...]
    entries: tuple[ZoneEntry, ...]
    exits: tuple[ZoneExit, ...]
    zones: dict[str, ZoneNow]
    finished: tuple[TrackSummary, ...]
