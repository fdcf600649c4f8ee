"""From events to a message: title, text, JSON, and a frame with boxes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import cv2
import redis

from rededge_nb.display.drawing import draw_detections
from rededge_nb.errors import RedEdgeError
from rededge_nb.notify.configuration import TargetConfig, fill
from rededge_nb.reading.detections import read_detections
from rededge_nb.reading.event_text import describe
from rededge_nb.reading.events import Event
from rededge_nb.reading.frames import read_frame
from rededge_nb.time_zones import position_text

_DETECTIONS: Final = 200
"""Entries after a frame among which its detections are searched."""
_NAMED: Final = 10
"""Cameras that a message about many of them names."""
_JPEG: Final = ".jpg"


@dataclass(frozen=True)
class Message:
    """What is sent to one target at once.

    Attributes:
        events: One event, or events of several cameras that happened together.
        title: In one line.
        text: The message.
        values: What templates refer to.
        snapshot: JPEG image of the frame with boxes; None if there is none.
    """

    events: tuple[Event, ...]
    title: str
    text: str
    values: dict[str, str] = field(repr=False)
    snapshot: bytes | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The id by which receivers recognize a message that they have got before."""
        return self.events[0].full_id

    def as_dict(self) -> dict[str, Any]:
        """The message as JSON has it, without the snapshot."""
        first = self.events[0]
        return {
            "id": self.id,
            "camera": first.camera if len(self.events) == 1 else "",
            "kind": first.kind,
            "severity": first.severity,
            "title": self.title,
            "text": self.text,
            "time": _clock(first),
            "position": first.position_s,
            "event": _as_dict(first),
            "events": [_as_dict(event) for event in self.events],
        }


def message_of(events: Sequence[Event], target: TargetConfig, snapshot: bytes | None = None) -> Message:
    """The message about an event, or about events of the same kind of several cameras."""
    values = _values(events)
    title, text = fill(target.title, values), fill(target.text, values)
    # the reason of an event may have several lines
    return Message(tuple(events), title.partition("\n")[0], text, values, snapshot)


def snapshot_of(client: redis.Redis, event: Event) -> bytes | None:
    """The frame of an event with boxes, as JPEG; None if the event has none, or it has left the stream.

    Masks need no care here: captures apply them before a frame is in Redis.
    """
    if not event.ref or not event.camera:
        return None
    with contextlib.suppress(RedEdgeError, cv2.error):
        frame = read_frame(client, event.camera, event.ref)
        found = read_detections(client, event.camera, start=event.ref, count=_DETECTIONS)
        detections = next((each for each in found if each.ref == event.ref), None)
        if detections is None:
            return frame.jpeg
        done, encoded = cv2.imencode(_JPEG, draw_detections(frame.image(), detections))
        return encoded.tobytes() if done else frame.jpeg
    return None


def _values(events: Sequence[Event]) -> dict[str, str]:
    first = events[0]
    cameras = [event.camera for event in events]
    what = describe(first)
    camera = f"camera {first.camera}" if first.camera else "the server"
    if len(events) > 1:
        more = f" and {len(cameras) - _NAMED} more" if len(cameras) > _NAMED else ""
        camera = f"{len(cameras)} cameras"
        what = f"{first.kind.replace('_', ' ')}: {', '.join(cameras[:_NAMED])}{more}"
    in_recording = first.position_s is not None and len(events) == 1
    when = f"{position_text(first.position_s or 0)} in the recording" if in_recording else _clock(first)
    found = {"camera": camera, "what": what, "time": when, "id": first.full_id}
    names = ("kind", "severity", "rule", "zone", "line", "direction", "direction_name", "reason", "alarm", "clip")
    found |= {name: str(getattr(first, name)) for name in names}
    numbers = {"people": first.people, "seconds": first.seconds, "value": first.value, "track": first.track}
    return found | {name: "" if value is None else f"{value:g}" for name, value in numbers.items()}


def _clock(event: Event) -> str:
    return datetime.fromtimestamp(event.ts_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _as_dict(event: Event) -> dict[str, str]:
    return {"id": event.full_id, "camera": event.camera, **event.fields}
