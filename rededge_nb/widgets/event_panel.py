"""Events of one camera or of all, as they arrive, with the active alarms."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import redis

from rededge_nb import schema
from rededge_nb.clips.folder import clips_folder
from rededge_nb.control.provision import known_cameras
from rededge_nb.display.tables import Table
from rededge_nb.live.events import EventReader, acknowledge_from_page, open_event
from rededge_nb.time_zones import position_text
from rededge_nb.widgets.event_view import EventView
from rededge_nb.widgets.panels import Panel

TABLE_ROWS = 20
"""Events in the table that stays when the panel is closed."""


class EventPanel(Panel):
    """Lists events, the newest first, and active alarms until they are cleared or acknowledged.

    A click shows the clip of an event, if its rule asked for one, or else its frame.

    Args:
        client: A client of the server.
        camera: Camera id; None shows all cameras that the people counter knows.
        directory: State folder, in which the clips are.
    """

    def __init__(self, client: redis.Redis, camera: object | None, directory: Path) -> None:
        self._camera = None if camera is None else schema.camera_id(camera)
        self._clips = clips_folder(directory)
        self._reader = EventReader()
        self.view = EventView(self._on_click, several=camera is None)
        super().__init__(client, "Events", [self.view])
        # the list has a heading of its own, with the filters beside it
        self.heading.layout.display = "none"
        self.start_updates()

    @property
    def camera(self) -> str | None:
        """The camera whose events are shown; None if they are those of all."""
        return self._camera

    @camera.setter
    def camera(self, camera: object | None) -> None:
        self._camera = None if camera is None else schema.camera_id(camera)
        self.view.several = camera is None

    def refresh(self, client: redis.Redis) -> None:
        """Show what is new."""
        camera = self._camera
        self._reader.show(known_cameras(client) if camera is None else [camera])
        state = self._reader.read(client)
        if state is not None:
            self.view.show(state)

    def table(self) -> Table:
        """The newest events."""
        active = {alarm["id"] for alarm in self.view.alarms}
        rows = [
            (
                _time_of(event),
                event["camera"],
                "active" if event["id"] in active else event["severity"],
                event["text"],
            )
            for event in self.view.events[:TABLE_ROWS]
        ]
        return Table(("time", "camera", "severity", "event"), rows)

    def _on_click(self, content: dict[str, Any]) -> None:
        kind, event_id = content.get("kind"), str(content.get("id", ""))
        if kind == "open":
            self.submit(lambda client: self._open(client, event_id))
        elif kind == "acknowledge":
            self.submit(lambda client: self.view.send(acknowledge_from_page(client, event_id)))

    def _open(self, client: redis.Redis, event_id: str) -> None:
        answer, data = open_event(client, self._clips, event_id)
        self.view.send(answer, buffers=[data])


def _time_of(event: dict[str, Any]) -> str:
    """When it happened: in a recording, the position."""
    if event["position"] is not None:
        return f"at {position_text(event['position'])}"
    return f"{datetime.fromtimestamp(event['ts'] / 1000).astimezone():%Y-%m-%d %H:%M:%S}"
