"""A line of text in a panel, coloured by its level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import anywidget
import traitlets

LEVELS = ("info", "good", "warning", "error")
Level = Literal["info", "good", "warning", "error"]


class StatusText(anywidget.AnyWidget):
    """Text that the browser shows as plain text, never as HTML: it may come from anybody. Empty text takes no space.

    Args:
        on_page: Is called each time that a page reports that it is there. Pages do if there is a heartbeat.

    Attributes:
        heartbeat: If not 0, `alive` is called at least as often as this, in seconds. The browser shows a warning when
            it has not heard from the kernel for much longer: what else it shows may be old.
    """

    _esm = Path(__file__).with_name("status_text.js")
    _css = Path(__file__).with_name("panels.css")

    text = traitlets.Unicode().tag(sync=True)
    level = traitlets.Enum(LEVELS, "info").tag(sync=True)
    heartbeat = traitlets.Float(0.0).tag(sync=True)

    def __init__(self, on_page: Callable[[], None] | None = None, **options: Any) -> None:
        super().__init__(**options)
        if on_page is not None:
            self.on_msg(lambda _widget, _content, _buffers: on_page())

    def show(self, text: str, level: Level = "info") -> None:
        """Replace the text."""
        with self.hold_sync():
            self.text = text
            self.level = level

    def alive(self) -> None:
        """Tell the browser that the kernel runs."""
        self.send({"kind": "alive"})
