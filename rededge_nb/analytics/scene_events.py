"""The events of a frame: crossings, entries into zones and exits, alarms of the scene's rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rededge_nb.analytics.alarms import AlarmChange
from rededge_nb.analytics.counts import FrameCounts
from rededge_nb.analytics.rules import CrossingsRule, DwellRule, OccupancyRule
from rededge_nb.analytics.scene import Scene

Fields = dict[str, str | int | float]
INFO: Final = "info"


def frame_events(camera: str, scene: Scene, counts: FrameCounts, changes: Sequence[AlarmChange]) -> list[Fields]:
    """What a frame says, as fields of events, in the order in which it happened.

    Args:
        camera: Camera id, for the names of video clips.
        scene: The scene that the frame was counted with.
        counts: From `SceneCounter.count`.
        changes: From `evaluate`.
    """
    happened = sorted(_what_people_did(scene, counts), key=lambda event: int(event["ts"]))
    return [*happened, *(alarm_event(camera, scene, change) for change in changes)]


def _what_people_did(scene: Scene, counts: FrameCounts) -> Iterator[Fields]:
    for crossing in counts.crossings:
        yield {
            "kind": "line_crossed",
            "severity": INFO,
            "ts": crossing.ts_ms,
            **_over(scene, crossing.line, crossing.direction),
            "track": crossing.track,
        }
    for entry in counts.entries:
        yield _in_zone("zone_entered", entry.ts_ms, entry.zone, entry.track, counts)
    for leaving in counts.exits:
        fields = _in_zone("zone_left", leaving.ts_ms, leaving.zone, leaving.track, counts)
        yield {**fields, "seconds": round(leaving.seconds, 3)}


def _over(scene: Scene, name: str, direction: str | None) -> Fields:
    """The line of an event, its direction if there is one, and what users call that."""
    line = next((line for line in scene.lines if line.name == name), None)
    if direction is None or line is None:
        return {"line": name} if direction is None else {"line": name, "direction": direction}
    return {
        "line": name,
        "direction": direction,
        "direction_name": line.forward if direction == "forward" else line.backward,
    }


def _in_zone(kind: str, ts_ms: int, zone: str, track: int, counts: FrameCounts) -> Fields:
    people = counts.zones[zone].people
    return {"kind": kind, "severity": INFO, "ts": ts_ms, "zone": zone, "track": track, "people": people}


def alarm_event(camera: str, scene: Scene, change: AlarmChange) -> Fields:
    """The event of an alarm that was raised or cleared."""
    event: Fields = {
        "kind": f"alarm_{change.change}",
        "severity": change.severity,
        "ts": change.ts_ms,
        "alarm": change.id,
        "rule": change.rule,
        "condition": change.kind,
        "since": change.since_ms,
    }
    if change.value is not None:
        event["value"] = round(change.value, 3)
    if change.reason:
        event["reason"] = change.reason
    rule = next((rule for rule in scene.rules if rule.name == change.rule), None)
    match rule:
        case OccupancyRule():
            event["zone"] = rule.zone
            if change.value is not None:
                event["people"] = round(change.value)
        case DwellRule():
            event["zone"] = rule.zone
            if change.value is not None:
                event["seconds"] = round(change.value, 3)
        case CrossingsRule():
            event |= _over(scene, rule.line, rule.direction)
    if change.track is not None:
        event["track"] = change.track
    if change.clip:
        event["clip"] = clip_name(camera, change.id)
    return event


def clip_name(camera: str, alarm: str) -> str:
    """The file name of the video clip of an alarm."""
    return f"{camera}-{alarm}.mp4"
