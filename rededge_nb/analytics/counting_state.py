"""What counting must remember from one frame to the next, and what of it outlasts a change of the scene.

The state is small: about 70 bytes of JSON for each person. Positions are from 0 to 1 of the frame, so that they outlast
a change of resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from zlib import crc32

from rededge_nb.analytics.fields import check_integer
from rededge_nb.analytics.geometry import Point
from rededge_nb.analytics.occupancy import PlacedZone, inside_frame
from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.sides import NEGATIVE, POSITIVE, UNKNOWN, NewSide
from rededge_nb.errors import SceneError

FORMAT: Final = 1
PARTS: Final = 100_000
"""Positions are whole numbers of hundred-thousandths of the frame: shorter and faster to read than fractions."""


class TrackState(NamedTuple):
    """One track.

    Attributes:
        id: Id of the track.
        seen: Time of the last frame in which the person was seen, ms.
        x: The position there, in hundred-thousandths of the frame's width.
        y: The same, of its height.
        line_sides: For each line of the scene one letter of `sides.py`.
        zone_sides: For each zone of the scene one letter of `sides.py`.
        new_line_sides: Sides of lines that are not yet believed.
        new_zone_sides: Sides of zones that are not yet believed.
        inside_since: For each zone that the person is in: its index, and since when, ms.
        crossed: How often the track crossed each line: forward and backward of the first line, of the second, and so
            on, as `"1 0 0 0"`; empty if it crossed none. It is a text because it is written with every frame and hardly
            ever changes.
        stayed: Milliseconds in each zone, of the stays that are over, as `"0 5200"`; empty if there are none.
    """

    id: int
    seen: int
    x: int
    y: int
    line_sides: str
    zone_sides: str
    new_line_sides: tuple[NewSide, ...] = ()
    new_zone_sides: tuple[NewSide, ...] = ()
    inside_since: tuple[tuple[int, int], ...] = ()
    crossed: str = ""
    stayed: str = ""

    def position(self, frame_wh: tuple[float, float]) -> Point:
        """Where the person was last seen, in pixels of a frame of that width and height."""
        return self.x * frame_wh[0] / PARTS, self.y * frame_wh[1] / PARTS


@dataclass(frozen=True, slots=True)
class CountingState:
    """All tracks of a camera, and the lines and zones that they were counted at.

    Attributes:
        lines: Name and digest of the points of each line, in the order of `TrackState.line_sides`, with spaces between.
        zones: The same of the zones.
        tracks: By id.
    """

    lines: str = ""
    zones: str = ""
    tracks: Mapping[int, TrackState] = field(default_factory=dict)

    def to_data(self) -> dict[str, Any]:
        """The state as `json.dumps` takes it; parts of it belong to the state and must not be changed."""
        return {"format": FORMAT, "lines": self.lines, "zones": self.zones, "tracks": list(self.tracks.values())}


def read_state(data: Mapping[str, Any] | None) -> CountingState:
    """The state from what `json.loads` made of `CountingState.to_data()`; None is a camera without a state.

    Raises:
        SceneError: A newer version of rededge_nb wrote it.
    """
    if data is None:
        return CountingState()
    number = check_integer(data.get("format"), "format", 1, 2**53)
    if number > FORMAT:
        raise SceneError("format", f"the state of counting has format {number}, this version knows 1 to {FORMAT}")
    tracks = {}
    for id_, seen, x, y, line_sides, zone_sides, new_lines, new_zones, since, crossed, stayed in data["tracks"]:
        tracks[id_] = TrackState(
            id_,
            seen,
            x,
            y,
            line_sides,
            zone_sides,
            tuple([NewSide(*new) for new in new_lines]) if new_lines else (),
            tuple([NewSide(*new) for new in new_zones]) if new_zones else (),
            tuple([(zone, start) for zone, start in since]) if since else (),
            crossed,
            stayed,
        )
    return CountingState(data["lines"], data["zones"], tracks)


def numbers(text: str, count: int) -> list[int]:
    """The numbers of `TrackState.crossed` or `TrackState.stayed`."""
    return [int(number) for number in text.split()] or [0] * count


def as_text(of: Sequence[int]) -> str:
    """The text for `TrackState.crossed` or `TrackState.stayed`."""
    return " ".join(map(str, of)) if any(of) else ""


def scene_keys(scene: Scene) -> tuple[str, str]:
    """What identifies the lines and the zones of a scene: `CountingState.lines` and `CountingState.zones`."""
    lines = [f"{line.name}:{_digest((line.a, line.b))}" for line in scene.lines]
    return " ".join(lines), " ".join(f"{zone.name}:{_digest(zone.points)}" for zone in scene.zones)


def _digest(points: Sequence[Point]) -> str:
    return f"{crc32(repr(points).encode()):08x}"


def carry_over(state: CountingState, lines: str, zones: str, placed: Sequence[PlacedZone]) -> CountingState:
    """The state for a changed scene; nothing is counted because of the change.

    Lines and zones whose points are unchanged keep everything, under a new name, too. People have no side yet at a line
    that is new or was moved. People who stand in a zone that is new or was moved are in it without having entered:
    since they were last seen, or since they entered the zone of that name if they were in it before.

    Args:
        state: The state at the old scene.
        lines: What identifies the lines of the new scene.
        zones: What identifies the zones of the new scene.
        placed: The zones of the new scene.
    """
    line_from, zone_from = _sources(state.lines, lines), _sources(state.zones, zones)
    line_to = {old: new for new, old in enumerate(line_from) if old is not None}
    zone_to = {old: new for new, old in enumerate(zone_from) if old is not None}
    old_zone_of_name = {key.split(":")[0]: i for i, key in enumerate(state.zones.split())}

    def moved(track: TrackState) -> TrackState:
        since_of = dict(track.inside_since)
        inside_since = {zone_to[zone]: since for zone, since in since_of.items() if zone in zone_to}
        zone_sides = ""
        for i, (old, zone) in enumerate(zip(zone_from, placed, strict=True)):
            if old is not None:
                zone_sides += track.zone_sides[old]
                continue
            inside = zone.contains(*inside_frame(*track.position(zone.frame_wh), zone.frame_wh))
            zone_sides += (POSITIVE if inside else NEGATIVE).lower()
            if inside:
                inside_since[i] = since_of.get(old_zone_of_name.get(zone.name, -1), track.seen)
        crossed = numbers(track.crossed, 2 * len(track.line_sides))
        stayed = numbers(track.stayed, len(track.zone_sides))
        return track._replace(
            line_sides="".join(UNKNOWN if old is None else track.line_sides[old] for old in line_from),
            zone_sides=zone_sides,
            new_line_sides=_renumbered(track.new_line_sides, line_to),
            new_zone_sides=_renumbered(track.new_zone_sides, zone_to),
            inside_since=tuple(sorted(inside_since.items())),
            crossed=as_text([0 if old is None else crossed[2 * old + way] for old in line_from for way in (0, 1)]),
            stayed=as_text([0 if old is None else stayed[old] for old in zone_from]),
        )

    return CountingState(lines, zones, {id_: moved(track) for id_, track in state.tracks.items()})


def renamed(old: str, new: str) -> dict[str, str]:
    """The lines or zones that have another name than before: the old name by the new one.

    Args:
        old: `CountingState.lines` or `CountingState.zones`.
        new: The same of the new scene, from `scene_keys`.
    """
    names = [key.split(":")[0] for key in old.split()]
    pairs = zip(new.split(), _sources(old, new), strict=True)
    found = {key.split(":")[0]: names[at] for key, at in pairs if at is not None}
    return {name: was for name, was in found.items() if name != was}


def _renumbered(new_sides: tuple[NewSide, ...], to: Mapping[int, int]) -> tuple[NewSide, ...]:
    return tuple(new._replace(border=to[new.border]) for new in new_sides if new.border in to)


def _sources(old: str, new: str) -> list[int | None]:
    """For each new line or zone the index of the old one with the same points, or None.

    Of several with the same points, the one of the same name is meant; one whose name is gone was renamed.
    """
    old_keys, new_keys = old.split(), new.split()
    new_names = {key.split(":")[0] for key in new_keys}
    old_names = [key.split(":")[0] for key in old_keys]
    gone = {key.split(":")[1]: i for i, key in enumerate(old_keys) if old_names[i] not in new_names}
    found: list[int | None] = []
    for key in new_keys:
        name, points = key.split(":")
        if key in old_keys:
            found.append(old_keys.index(key))
        else:
            found.append(None if name in old_names else gone.pop(points, None))
    return found
