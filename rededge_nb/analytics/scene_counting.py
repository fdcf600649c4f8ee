"""What the gear writes about the lines, zones and rules of a camera's scene, for one frame after the other.

    counted = count_scene("camera:0", text, saved, people, ts_ms, frame_wh, finished)

`text` is the scene as it is stored, and may change from one frame to the next; `counted.saved` is `saved` of the next
frame. Nothing is read or written here: the caller writes what is returned in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from rededge_nb.analytics.alarms import AlarmState, evaluate, read_alarm_state
from rededge_nb.analytics.counting import FORGET_S, SceneCounter, TrackedPerson
from rededge_nb.analytics.counting_state import CountingState, read_state, renamed
from rededge_nb.analytics.counts import FrameCounts
from rededge_nb.analytics.samples import Sample, second_of
from rededge_nb.analytics.scene import Scene, parse_scene
from rededge_nb.analytics.scene_events import Fields, frame_events
from rededge_nb.analytics.scene_series import line_series, series_of, zone_series
from rededge_nb.analytics.sides import Tolerance
from rededge_nb.errors import SceneError

CAMERAS_KEPT: Final = 64
"""Of so many cameras the scene is kept, so that it is not read again for each frame."""

Words = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class CountedScene:
    """What a frame says about lines and zones.

    Attributes:
        saved: For `count_scene` of the next frame, as data for JSON; None where there never was a scene.
        samples: Crossings, people in zones, dwell times.
        fields: Field names and values for the entry with the frame's detections.
        tracks: For each track that ended: field names and values for its entry.
        events: Fields of the events of the frame, in their order, without `ref`.
        rules_begin: Whether nothing is known of the rules before this frame, so that alarms of theirs which are still
            active belong to a state that was lost.
        new_series: Series of lines and zones that were not there in the frame before.
        problem: Why nothing is counted, if the scene cannot be read, which is said once; or why counting begins again.
    """

    saved: Any = None
    samples: tuple[Sample, ...] = ()
    fields: Words = ()
    tracks: Mapping[int, Words] = field(default_factory=dict)
    events: tuple[Fields, ...] = ()
    rules_begin: bool = False
    new_series: tuple[str, ...] = ()
    problem: str = ""


def count_scene(
    camera_key: str,
    text: str | bytes | None,
    saved: Any,
    people: Sequence[TrackedPerson],
    ts_ms: int,
    frame_wh: tuple[int, int],
    finished: Sequence[int],
    tolerance: Tolerance = Tolerance(),  # noqa: B008  # it is frozen
) -> CountedScene:
    """Counts one frame at the lines and in the zones of a camera.

    Args:
        camera_key: Key of the camera's frames.
        text: The scene's JSON text; None if the camera has no scene. If it cannot be read, nothing is counted until it
            can be read again, and counting continues then.
        saved: What the frame before returned as `saved`, directly or through JSON.
        people: Everybody who is counted in the frame.
        ts_ms: Time of the frame.
        frame_wh: Width and height of the frame in pixels.
        finished: Ids of the tracks that have ended.
        tolerance: When a change of side is believed; `LEAVES_OUT` where the model does not look at each frame.
    """
    if text is None and saved is None:
        return CountedScene()
    counter = _counter(camera_key, text or "", tolerance)
    if isinstance(counter, str):
        said, _said[camera_key] = _said.get(camera_key), counter
        return CountedScene(saved=saved, problem="" if said == counter else counter)
    _said.pop(camera_key, None)
    before, totals, problem = _read(saved)
    new_series: tuple[str, ...] = ()
    if (before.lines, before.zones) != counter.keys:
        totals = totals.of_scene(before, counter)
        known = _series_in(before)
        new_series = tuple(series for series in series_of(counter.scene) if series not in known)
    counts, state = counter.count(before, people, ts_ms, frame_wh, finished)
    totals.add(counts)
    alarms_before, problem_of_alarms = _read_alarms(saved)
    scene = counter.scene
    changes, alarms = evaluate(scene.rules, alarms_before, counts)
    kept = {"alarms": alarms.to_data()} if scene.rules else {}
    return CountedScene(
        saved={"state": state.to_data(), "totals": totals.to_data(), **kept},
        samples=_samples(counts, totals),
        fields=_fields(counter.scene, counts, totals),
        tracks={summary.track: _track_words(summary.crossed, summary.stayed) for summary in counts.finished},
        events=tuple(frame_events(camera_key.split(":", 1)[1], scene, counts, changes)),
        rules_begin=bool(scene.rules) and not alarms_before.ts_ms,
        new_series=new_series,
        problem="; ".join(filter(None, (problem, problem_of_alarms))),
    )


def without_removed(saved: Any, removed: Mapping[str, Any]) -> Any:
    """State and totals, less what was deleted from the series because its recording is counted again.

    Args:
        saved: What `count_scene` returned as `saved`.
        removed: By the name of a series how much was deleted: crossings of `line:<name>:<direction>`, and stays of
            `zone:<name>:dwell`, which are as many entries and exits.
    """
    _, totals, problem = _read(saved)
    if saved is None or problem:
        return saved
    for series, number in removed.items():
        kind, _, rest = series.partition(":")
        name, _, what = rest.rpartition(":")
        of_kind = totals.lines if kind == "line" else totals.zones
        if name in of_kind:
            numbers = of_kind[name]
            for at in (0, 1) if kind == "zone" else (int(what != "forward"),):
                numbers[at] = max(0, numbers[at] - int(number))
    return {"state": saved["state"], "totals": totals.to_data()}


def without_people(saved: Any) -> Any:
    """State and totals without those who are in view: the count that they belong to was deleted.

    They leave no zone, and have not entered one.
    """
    before, totals, problem = _read(saved)
    if saved is None or problem:
        return saved
    zones = [key.rpartition(":")[0] for key in before.zones.split()]
    for track in before.tracks.values():
        for index, _ in track.inside_since:
            entries = totals.zones[zones[index]]
            entries[0] = max(0, entries[0] - 1)
    state = CountingState(before.lines, before.zones)
    return {"state": state.to_data(), "totals": totals.to_data()}


@dataclass(slots=True)
class _Totals:
    """What is counted since a line or zone was made.

    Attributes:
        lines: Crossings by line: forward, backward.
        zones: Entries and exits by zone.
        dwell_times: By zone the times in the series of dwell times that a later sample could fall on.
    """

    lines: dict[str, list[int]] = field(default_factory=dict)
    zones: dict[str, list[int]] = field(default_factory=dict)
    dwell_times: dict[str, list[int]] = field(default_factory=dict)

    def of_scene(self, before: CountingState, counter: SceneCounter) -> _Totals:
        """The totals of the lines and zones that a changed scene has; those that are renamed keep theirs."""
        scene, (lines, zones) = counter.scene, counter.keys
        line_was, zone_was = renamed(before.lines, lines), renamed(before.zones, zones)
        return _Totals(
            {line.name: self.lines.get(line_was.get(line.name, line.name), [0, 0]) for line in scene.lines},
            {zone.name: self.zones.get(zone_was.get(zone.name, zone.name), [0, 0]) for zone in scene.zones},
            {zone.name: self.dwell_times.get(zone_was.get(zone.name, zone.name), []) for zone in scene.zones},
        )

    def add(self, counts: FrameCounts) -> None:
        """Adds what a frame has decided."""
        for crossing in counts.crossings:
            self.lines[crossing.line][crossing.direction != "forward"] += 1
        for entry in counts.entries:
            self.zones[entry.zone][0] += 1
        for leaving in counts.exits:
            self.zones[leaving.zone][1] += 1

    def free_time(self, zone: str, at_ms: int, now_ms: int) -> int:
        """A time for the sample of a dwell time: the first millisecond from `at_ms` on that no other sample has."""
        # of both times, as the time of the frames may go back
        near = 2000 * FORGET_S
        taken = [at for at in self.dwell_times[zone] if min(abs(now_ms - at), abs(at_ms - at)) <= near]
        while at_ms in taken:
            at_ms += 1
        self.dwell_times[zone] = [*taken, at_ms]
        return at_ms

    def to_data(self) -> dict[str, Any]:
        """The totals as data for JSON."""
        return {"lines": self.lines, "zones": self.zones, "dwell_times": self.dwell_times}


_said: dict[str, str] = {}
"""By camera the problem of its scene that was said."""


@lru_cache(CAMERAS_KEPT)
def _counter(
    camera_key: str,  # noqa: ARG001  # two cameras may differ in size
    text: str | bytes,
    tolerance: Tolerance,
) -> SceneCounter | str:
    """The counter for a scene, or why the scene cannot be read."""
    try:
        return SceneCounter(parse_scene(text) if text else Scene(), tolerance)
    except SceneError as error:
        return f"nothing is counted at lines and zones, because the scene cannot be read: {error}"


def _read(saved: Any) -> tuple[CountingState, _Totals, str]:
    """State and totals of the frame before, and why they are lost if they cannot be read."""
    if saved is None:
        return CountingState(), _Totals(), ""
    try:
        state, totals = read_state(saved["state"]), saved["totals"]
        copy = {part: {name: list(each) for name, each in totals[part].items()} for part in _Totals.__slots__}
    except (SceneError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return CountingState(), _Totals(), f"counting at lines and in zones begins again, its state is damaged: {error}"
    return state, _Totals(**copy), ""


def _read_alarms(saved: Any) -> tuple[AlarmState, str]:
    """State of the alarms after the frame before, and why it is lost if it cannot be read."""
    try:
        return read_alarm_state((saved or {}).get("alarms")), ""
    except (SceneError, AttributeError, KeyError, TypeError, ValueError) as error:
        return AlarmState(), f"the rules begin again, the state of their alarms is damaged: {error}"


def _series_in(state: CountingState) -> set[str]:
    """The series of the lines and zones that a state was counted at."""
    lines, zones = ([key.split(":")[0] for key in keys.split()] for keys in (state.lines, state.zones))
    return {series for name in lines for series in line_series(name)} | {
        series for name in zones for series in zone_series(name)
    }


def _samples(counts: FrameCounts, totals: _Totals) -> tuple[Sample, ...]:
    samples = [Sample(f"line:{c.line}:{c.direction}", second_of(c.ts_ms), 1) for c in counts.crossings]
    samples += [Sample(f"zone:{zone}:people", counts.ts_ms, now.people) for zone, now in counts.zones.items()]
    for leaving in counts.exits:
        at_ms = totals.free_time(leaving.zone, leaving.ts_ms, counts.ts_ms)
        samples.append(Sample(f"zone:{leaving.zone}:dwell", at_ms, leaving.seconds))
    return tuple(samples)


def _fields(scene: Scene, counts: FrameCounts, totals: _Totals) -> Words:
    zones = {name: [now.people, round(now.longest_s, 1), *totals.zones[name]] for name, now in counts.zones.items()}
    return ("scene", scene.version, "lines", _json(totals.lines), "zones", _json(zones))


def _track_words(crossed: Mapping[str, Sequence[int]], stayed: Mapping[str, float]) -> Words:
    return ("lines", _json(crossed), "zones", _json(stayed))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
