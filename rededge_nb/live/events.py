"""The events of cameras for live views: a list as it arrives, active alarms, and what a click shows.

A frame leaves its stream after a minute, so the small image of an event is made when the event arrives, and kept as
long as the event is in the list. Later a view can show the clip, if the rule asked for one.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import redis

from rededge_nb import schema, streams
from rededge_nb.clips.folder import find_clip
from rededge_nb.clips.frames import DetectionFinder
from rededge_nb.control.scenes import may_change
from rededge_nb.display.drawing import draw_detections
from rededge_nb.errors import NoDataError, RedEdgeError
from rededge_nb.images import Image, encode_jpeg
from rededge_nb.reading.event_text import describe
from rededge_nb.reading.events import Event, acknowledge_alarm, active_alarms, read_events, read_server_events
from rededge_nb.reading.frames import read_frame
from rededge_nb.reading.recordings import with_positions

KEPT = 50
"""Events that a view lists."""
UPDATE_INTERVAL = 1.0
"""Seconds between two looks for new events."""

_IMAGES_AT_ONCE = 4
"""Small images that one look makes at most: each takes about ten milliseconds."""
_SMALL_WIDTH = 120
_SMALL_QUALITY = 60
_QUALITY = 85


class EventReader:
    """Reads the events of cameras. It has no thread: all reads happen in the caller's.

    Args:
        cameras: Ids of the cameras. They may be changed with `show`.
    """

    def __init__(self, cameras: Iterable[str] = ()) -> None:
        self._editable: bool | None = None
        self.show(cameras)

    def show(self, cameras: Iterable[str]) -> None:
        """Show the events of these cameras from now on; nothing happens if it does already."""
        wanted = list(cameras)
        if wanted == getattr(self, "_cameras", None):
            return
        self._cameras = wanted
        self._newest: dict[str, str] = {}
        self._events: list[Event] = []
        self._images: dict[str, str] = {}
        self._without_image: list[Event] = []
        self._state: dict[str, Any] | None = None

    def read(self, client: redis.Redis) -> dict[str, Any] | None:
        """The state of the page's model, `events`, `alarms` and `editable`, if it has changed."""
        new = [event for camera in self._cameras for event in self._read_new(client, camera)]
        with contextlib.suppress(redis.exceptions.NoPermissionError):  # this user may read cameras only
            new += self._read_new(client, "")
        if new:
            self._events = sorted([*new, *self._events], key=_arrival, reverse=True)[:KEPT]
            # once more for all: a capture does not say in its first second that it is of a recording
            self._events = with_positions(client, self._events)
            self._without_image = [event for event in self._events if event.full_id not in self._images and event.ref]
        self._make_images(client)
        alarms = [alarm for camera in self._cameras for alarm in active_alarms(client, camera)]
        alarms = sorted(with_positions(client, alarms), key=_arrival, reverse=True)
        if self._editable is None and self._cameras:
            self._editable = may_change(client, self._cameras[0])
        state = {
            "events": [_as_json(event, self._images.get(event.full_id, "")) for event in self._events],
            "alarms": [_as_json(alarm, "") for alarm in alarms],
            "editable": bool(self._editable),
        }
        if state == self._state:
            return None
        self._state = state
        return state

    def _read_new(self, client: redis.Redis, camera: str) -> list[Event]:
        start = f"({self._newest[camera]}" if camera in self._newest else "-"
        if camera:
            found = read_events(client, camera, start=start, limit=KEPT)
        else:
            found = read_server_events(client, start=start, limit=KEPT)
        if found:
            self._newest[camera] = found[0].id
        return found

    def _make_images(self, client: redis.Redis) -> None:
        """Make the small images of the newest events that have none; if there is no frame, none is made."""
        made = 0
        while self._without_image and made < _IMAGES_AT_ONCE:
            event = self._without_image.pop(0)
            self._images[event.full_id] = ""
            try:
                image = _frame_with_boxes(client, event)
                height, width = image.shape[:2]
                size_wh = (_SMALL_WIDTH, max(1, round(height * _SMALL_WIDTH / width)))
                small = encode_jpeg(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), quality=_SMALL_QUALITY)
            except (RedEdgeError, cv2.error):
                continue
            self._images[event.full_id] = base64.b64encode(small).decode()
            made += 1
        listed = {event.full_id for event in self._events}
        self._images = {name: image for name, image in self._images.items() if name in listed}


def open_event(client: redis.Redis, folder: Path, event_id: str) -> tuple[dict[str, Any], bytes]:
    """What a click on an event shows: its clip, or else its frame.

    Args:
        client: Connected to the server.
        folder: Where clips are saved.
        event_id: `<camera>/<entry id>`, as the page sends it.

    Returns:
        A message to the page, whose `show` is `clip`, `frame` or `nothing` with a `reason`, and the MP4 file or JPEG.
    """
    answer = {"kind": "opened", "id": event_id}
    camera, _, entry_id = event_id.rpartition("/")
    try:
        found = read_events(client, camera, start=entry_id, end=entry_id, limit=1)
        if not found:
            raise NoDataError("the event is not in its stream any more")
        event = found[0]
        file = find_clip(folder, event.clip)
        if file is not None:
            return {**answer, "show": "clip"}, file.read_bytes()
        if not event.ref:
            raise NoDataError("no frame belongs to this event" + (_no_clip(event)))
        return {**answer, "show": "frame"}, encode_jpeg(_frame_with_boxes(client, event), quality=_QUALITY)
    except NoDataError as error:
        reason = f"the frame has left its stream{_no_clip(event)}" if found and event.ref else str(error)
    except (RedEdgeError, redis.RedisError, OSError, cv2.error) as error:
        reason = str(error)
    return {**answer, "show": "nothing", "reason": reason}, b""


def acknowledge_from_page(client: redis.Redis, event_id: str) -> dict[str, Any]:
    """Acknowledge the alarm that an event has raised, for a page.

    Returns:
        The answer to the page: `kind` is `acknowledged`, or `refused` with the `reason`.
    """
    camera, _, entry_id = event_id.rpartition("/")
    try:
        for event in active_alarms(client, camera):
            if event.id == entry_id:
                acknowledge_alarm(client, camera, event.alarm)
                return {"kind": "acknowledged", "id": event_id}
        reason = "the alarm was cleared meanwhile"
    except redis.exceptions.NoPermissionError:
        reason = "you may look, but not change anything"
    except (RedEdgeError, redis.RedisError) as error:
        reason = str(error)
    return {"kind": "refused", "id": event_id, "reason": reason}


def _arrival(event: Event) -> tuple[int, int]:
    return streams.id_order(event.id)


def _frame_with_boxes(client: redis.Redis, event: Event) -> Image:
    frame = read_frame(client, event.camera, event.ref)
    image = frame.image()
    found = DetectionFinder(client, schema.camera_id(event.camera)).of(frame)
    return image if found is None else draw_detections(image, found[0], trails=found[1])


def _no_clip(event: Event) -> str:
    return ", and its clip is not (or not yet) in the folder of clips" if event.clip else ", and it has no clip"


def _as_json(event: Event, image: str) -> dict[str, Any]:
    return {
        "id": event.full_id,
        "camera": event.camera,
        "kind": event.kind,
        "severity": event.severity if event.severity in ("warning", "alarm") else "info",
        "ts": event.ts_ms,
        "position": event.position_s,
        "text": describe(event),
        "track": event.track,
        "alarm": event.alarm,
        "acknowledged": event.acknowledged_ms,
        "clip": bool(event.clip),
        "frame": bool(event.ref),
        "image": image,
    }
