"""What an event says, in one sentence."""

from __future__ import annotations

from rededge_nb.analytics.counted import counted_of
from rededge_nb.reading.events import Event


def describe(event: Event) -> str:
    """What happened, in words, without camera and time."""
    match event.kind:
        case "line_crossed":
            return f"{_who(event)} crossed the line {event.line}{_direction(event)}"
        case "zone_entered":
            return f"{_who(event)} entered the zone {event.zone}"
        case "zone_left":
            return f"{_who(event)} left the zone {event.zone}{_after(event)}"
        case "alarm_raised":
            return f"{event.rule}: {_condition(event)}"
        case "alarm_cleared":
            return f"{event.rule}: over{_because(event)}"
        case "camera_silent":
            return f"no frames{_for(event)}{_because(event)}"
        case "camera_back":
            return f"no longer silent{_after(event)}{_because(event)}"
        case "run_ended":
            run = f"run {event.fields['folder']}" if "folder" in event.fields else "run"
            return f"{run}: {event.fields.get('outcome', 'ended')}{_after(event)}{_because(event)}"
    return f"{event.kind.replace('_', ' ')}{_because(event)}"


def _condition(event: Event) -> str:
    value = 0 if event.value is None else event.value
    match event.fields.get("condition"):
        case "occupancy":
            return f"{counted_of(event.fields).amount(value)} in the zone {event.zone}"
        case "dwell":
            return f"{_who(event)} has been in the zone {event.zone} for {value:.0f} s"
        case "crossings":
            return f"{value:g} {'crossing' if value == 1 else 'crossings'} of the line {event.line}{_direction(event)}"
    return "alarm"


def _direction(event: Event) -> str:
    name = event.direction_name or event.direction
    return f" ({name})" if name else ""


def _who(event: Event) -> str:
    counted = counted_of(event.fields)
    if counted.is_people:
        return "somebody"
    return f"{'an' if counted.name[0].lower() in 'aeiou' else 'a'} {counted.singular}"


def _for(event: Event) -> str:
    return "" if event.seconds is None else f" for {event.seconds:.0f} s"


def _after(event: Event) -> str:
    return "" if event.seconds is None else f" after {event.seconds:.0f} s"


def _because(event: Event) -> str:
    return f": {event.reason}" if event.reason and event.reason != "over" else ""
