"""The list of events and active alarms, as the page shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from rededge_nb.live import front_end


class EventView(anywidget.AnyWidget):
    """Shows events and alarms; see `rededge_nb.live.events`.

    A list of events with their images has some 100 kB. So a page gets only those that are new or have changed, and asks
    for all if one is missing that it should have.

    Args:
        on_click: Is called with what the page asks for: `kind` is `open` or `acknowledge`, `id` that of the event.
        several: Whether the events are those of several cameras, which are named then.
    """

    _esm = front_end.script("events")
    _css = front_end.style("events")

    events = traitlets.List(traitlets.Dict()).tag(sync=True)
    alarms = traitlets.List(traitlets.Dict()).tag(sync=True)
    editable = traitlets.Bool(False).tag(sync=True)
    several = traitlets.Bool(False).tag(sync=True)

    def __init__(self, on_click: Callable[[dict[str, Any]], None], *, several: bool) -> None:
        self._on_click = on_click
        self._sent: dict[str, dict[str, Any]] = {}
        super().__init__(several=several)
        self.on_msg(self._on_page)

    def send_state(self, key: Any = None) -> None:
        """Send values to pages; ipywidgets calls this when they have changed (None: all)."""
        names = {key} if isinstance(key, str) else set(key or self.keys)
        if key is None or "events" not in names:
            super().send_state(key)
            return
        changed = [event for event in self.events if self._sent.get(event["id"]) != event]
        self._sent = {event["id"]: event for event in self.events}
        self.send({"kind": "changes", "events": changed, "ids": list(self._sent)})
        if names - {"events"}:
            super().send_state(names - {"events"})

    def _on_page(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("kind") == "missing":
            super().send_state("events")
        else:
            self._on_click(content)

    def show(self, state: dict[str, Any]) -> None:
        """Show what `EventReader.read` has returned."""
        with self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)
