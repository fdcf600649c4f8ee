"""The list of events and active alarms, as the page shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from rededge_nb.live import front_end


class EventView(anywidget.AnyWidget):
    """Shows events and alarms; see `rededge_nb.live.events`.

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
        super().__init__(several=several)
        self.on_msg(lambda _widget, content, _buffers: on_click(content))

    def show(self, state: dict[str, Any]) -> None:
        """Show what `EventReader.read` has returned."""
        with self.hold_sync():
            for name, value in state.items():
                setattr(self, name, value)
