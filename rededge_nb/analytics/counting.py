"""Counts people at the lines and in the zones of a scene, frame by frame.

    counter = SceneCounter(scene)                          # once for each version of the scene
    counts, state = counter.count(state, people, ts_ms, (768, 576), finished=ended)
    counts.crossings, counts.entries, counts.exits, counts.zones, counts.finished

`count` changes nothing: the state goes in and a new one comes out. The state belongs to the camera and is written in
the same transaction as the tracker's, so that a frame that is processed twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from rededge_nb.analytics.counting_state import (
    PARTS,
    CountingState,
    TrackState,
    as_text,
    carry_over,
    numbers,
    scene_keys,
)
from rededge_nb.analytics.counts import Crossing, FrameCounts, TrackSummary, ZoneEntry, ZoneExit, ZoneNow
from rededge_nb.analytics.crossings import (
    PlacedLine,
    crossed_at_the_end,
    follow_lines,
    leaves_beyond,
    place_line,
    sides_of_lines,
)
from rededge_nb.analytics.occupancy import PlacedZone, follow_zones, inside_frame, place_zone, sides_of_zones
from rededge_nb.analytics.positions import EDGE, Position
from rededge_nb.analytics.scene import Scene
from rededge_nb.analytics.sides import NEGATIVE, POSITIVE, UNKNOWN, NewSide, Tolerance

FORGET_S: Final = 60.0
"""A track that was not seen for so long has ended, even if nobody said so: the state must not grow for ever."""


class TrackedPerson(Protocol):
    """What counting needs to know about a person in a frame; the people of `tracking.FrameResult` have it."""

    @property
    def id(self) -> int:
        """Id of the track, the same in all frames."""

    @property
    def box(self) -> Sequence[float]:
        """`(x1, y1, x2, y2)` in pixels of the frame; it may reach over the edges."""

    @property
    def confidence(self) -> float:
        """0 for a person who was not detected in this frame, and whose box is a prediction."""


class SceneCounter:
    """Counts at the lines and zones of one scene.

    Args:
        scene: The scene; another version of it needs another counter, and can take over the state.
        tolerance: When a change of side is believed.

    Attributes:
        keys: What identifies the lines and the zones in a state: `CountingState.lines` and `CountingState.zones`.
    """

    def __init__(self, scene: Scene, tolerance: Tolerance = Tolerance()) -> None:  # noqa: B008  # it is frozen
        self.scene = scene
        self.tolerance = tolerance
        self.keys = scene_keys(scene)
        self._frame_wh: tuple[float, float] = (0, 0)
        self._lines: tuple[PlacedLine, ...] = ()
        self._zones: tuple[PlacedZone, ...] = ()

    def count(
        self,
        state: CountingState,
        people: Sequence[TrackedPerson],
        ts_ms: int,
        frame_wh: tuple[float, float],
        finished: Iterable[int] = (),
    ) -> tuple[FrameCounts, CountingState]:
        """Counts one frame.

        Args:
            state: After the frame before; `CountingState()` for the first frame of a camera. It may come from another
                version of the scene.
            people: Everybody who is counted in the frame, those who are missed for a moment among them.
            ts_ms: Time of the frame.
            frame_wh: Width and height of the frame, in the pixels of the boxes.
            finished: Ids of tracks that have ended: they do not come again.

        Returns:
            What the frame says, and the state after it.

        Raises:
            ValueError: An id occurs twice, a box is not a box, or the frame has no size.
        """
        self._place(frame_wh)
        if (state.lines, state.zones) != self.keys:
            state = carry_over(state, *self.keys, self._zones)
        tracks, found = dict(state.tracks), _Found()
        present = {person.id for person in people}
        if len(present) < len(people):
            raise ValueError(f"a track occurs twice in one frame: {sorted(person.id for person in people)}")
        for person in people:
            track = tracks.get(person.id)
            if person.confidence > 0:
                tracks[person.id] = self._follow(track, person, ts_ms, found)
            elif track is not None and track.new_line_sides:
                tracks[person.id] = self._coast(track, person)
        ended = list(finished)
        if len(tracks) > len(people):
            ended += [track.id for track in tracks.values() if abs(ts_ms - track.seen) > 1000 * FORGET_S]
        for id_ in ended:
            if (track := tracks.pop(id_, None)) is not None:
                self._finish(track, found)
        counts = FrameCounts(
            ts_ms,
            tuple(found.crossings),
            tuple(found.entries),
            tuple(found.exits),
            self._zones_now(tracks, present),
            tuple(found.finished),
        )
        return counts, CountingState(*self.keys, tracks)

    def _place(self, frame_wh: tuple[float, float]) -> None:
        """Brings lines and zones to the size of the frame, which changes rarely."""
        if frame_wh == self._frame_wh:
            return
        width, height = frame_wh
        if not (width > 0 and height > 0):
            raise ValueError(f"a frame of {width} x {height} pixels has no size")
        self._frame_wh = frame_wh
        self._lines = tuple(place_line(line, frame_wh) for line in self.scene.lines)
        self._zones = tuple(place_zone(zone, frame_wh) for zone in self.scene.zones)

    def _follow(self, track: TrackState | None, person: TrackedPerson, ts_ms: int, found: _Found) -> TrackState:
        """The track after a frame in which the person was seen."""
        id_, (x1, y1, x2, y2), (width, height) = person.id, person.box, self._frame_wh
        if not (x1 <= x2 and y1 <= y2):
            raise ValueError(f"the box of track {id_} is not a box: {(x1, y1, x2, y2)}")
        x, y = (x1 + x2) / 2 / width, y2 / height
        x_part = 0 if x < 0 else PARTS if x > 1 else round(x * PARTS)
        y_part = 0 if y < 0 else PARTS if y > 1 else round(y * PARTS)
        x, y = x_part * width / PARTS, y_part * height / PARTS  # the position as the state will keep it
        if track is None:
            before = None
            track = TrackState(id_, ts_ms, x_part, y_part, UNKNOWN * len(self._lines), UNKNOWN * len(self._zones))
        else:
            before = track.position(self._frame_wh)
        _, _, _, _, line_sides, zone_sides, new_line_sides, new_zone_sides, since, crossed, stayed = track

        # in most frames a person is on the side that is believed, and there is nothing to do
        there = sides_of_lines(self._lines, x, y)
        if there != line_sides or new_line_sides:
            now = Position(x, y, max(y2 - y1, 1.0), *self._touched_edges(x1, x2, y2), ts_ms)
            line_sides, new_line_sides, crossings = follow_lines(
                self._lines, there, line_sides, new_line_sides, before, now, self.tolerance
            )
            for new in crossings:
                crossed = self._cross(id_, crossed, new, found)

        x, y = inside_frame(x, y, self._frame_wh)
        there = sides_of_zones(self._zones, x, y)
        if there != zone_sides or new_zone_sides:
            now = Position(x, y, max(y2 - y1, 1.0), 0, 0, ts_ms)
            zone_sides, new_zone_sides, changes = follow_zones(
                self._zones, there, zone_sides, new_zone_sides, now, self.tolerance
            )
            for new in changes:
                since, stayed = self._enter_or_leave(id_, since, stayed, new, found)
        return TrackState(
            id_, ts_ms, x_part, y_part, line_sides, zone_sides, new_line_sides, new_zone_sides, since, crossed, stayed
        )

    def _touched_edges(self, x1: float, x2: float, y2: float) -> tuple[int, int]:
        """`out_x` and `out_y` of `Position`."""
        width, height = self._frame_wh
        return (x2 >= (1 - EDGE) * width) - (x1 <= EDGE * width), int(y2 >= (1 - EDGE) * height)

    def _coast(self, track: TrackState, person: TrackedPerson) -> TrackState:
        """The track after a frame in which the person was missed: only whether they leave the frame can change."""
        x1, _, x2, y2 = person.box
        edges = self._touched_edges(x1, x2, y2)
        new_sides = [leaves_beyond(self._lines[new.border], new, *edges) for new in track.new_line_sides]
        return track._replace(new_line_sides=tuple(new_sides))

    def _cross(self, id_: int, crossed: str, new: NewSide, found: _Found) -> str:
        """Notes a crossing; returns all crossings of the track."""
        is_forward = new.side == POSITIVE
        name = self._lines[new.border].name
        found.crossings.append(Crossing(id_, name, "forward" if is_forward else "backward", new.since))
        times = numbers(crossed, 2 * len(self._lines))
        times[2 * new.border + (not is_forward)] += 1
        return as_text(times)

    def _enter_or_leave(
        self, id_: int, since: tuple[tuple[int, int], ...], stayed: str, new: NewSide, found: _Found
    ) -> tuple[tuple[tuple[int, int], ...], str]:
        """Notes an entry or an exit; returns the zones that the track is in, and the times of its earlier stays."""
        name = self._zones[new.border].name
        if new.side == POSITIVE:
            found.entries.append(ZoneEntry(id_, name, new.since))
            return tuple(sorted((*since, (new.border, new.since)))), stayed
        time = new.since - dict(since)[new.border]
        found.exits.append(ZoneExit(id_, name, new.since, time / 1000))
        times = numbers(stayed, len(self._zones))
        times[new.border] += time
        return tuple(stay for stay in since if stay[0] != new.border), as_text(times)

    def _finish(self, track: TrackState, found: _Found) -> None:
        """Notes the last crossings and exits of a track that has ended, and its summary."""
        crossed, since, stayed = track.crossed, track.inside_since, track.stayed
        for new in track.new_line_sides:
            if crossed_at_the_end(new):
                crossed = self._cross(track.id, crossed, new, found)
        outside = {new.border: new for new in track.new_zone_sides}
        for zone, _ in track.inside_since:
            new = outside.get(zone, NewSide(zone, NEGATIVE, 1, track.seen, 0))
            since, stayed = self._enter_or_leave(track.id, since, stayed, new, found)
        times, stays = numbers(crossed, 2 * len(self._lines)), numbers(stayed, len(self._zones))
        ways = zip(self._lines, times[::2], times[1::2], strict=True)
        lines = {line.name: (forward, backward) for line, forward, backward in ways if forward or backward}
        zones = {zone.name: time / 1000 for zone, time in zip(self._zones, stays, strict=True) if time}
        found.finished.append(TrackSummary(track.id, lines, zones))

    def _zones_now(self, tracks: Mapping[int, TrackState], present: set[int]) -> dict[str, ZoneNow]:
        people = [0] * len(self._zones)
        longest: list[tuple[float, int | None]] = [(0.0, None)] * len(self._zones)
        for track in tracks.values():
            for zone, since in track.inside_since:
                people[zone] += track.id in present
                seconds = (track.seen - since) / 1000
                if longest[zone][1] is None or seconds > longest[zone][0]:
                    longest[zone] = (seconds, track.id)
        return {zone.name: ZoneNow(people[i], *longest[i]) for i, zone in enumerate(self._zones)}


@dataclass(slots=True)
class _Found:
    """What a frame decides, as it is found."""

    crossings: list[Crossing] = field(default_factory=list)
    entries: list[ZoneEntry] = field(default_factory=list)
    exits: list[ZoneExit] = field(default_factory=list)
    finished: list[TrackSummary] = field(default_factory=list)
