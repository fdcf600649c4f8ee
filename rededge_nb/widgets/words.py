"""A line of words that a panel shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import anywidget
import traitlets

HERE = Path(__file__).parent

Level = Literal["info", "good", "warning", "error"]


class Words(anywidget.AnyWidget):
    """Text that is shown as it is: neither HTML nor formulas, whoever wrote it. Without text it takes no room."""

    _esm = HERE / "words.js"
    _css = HERE / "panels.css"

    text = traitlets.Unicode().tag(sync=True)
    level = traitlets.Enum(["info", "good", "warning", "error"], "info").tag(sync=True)

    def __init__(self, text: str = "", level: Level = "info", **options: Any) -> None:
        super().__init__(text=text, level=level, **options)

    def say(self, text: str, level: Level = "info") -> None:
        """Show this instead."""
        with self.hold_sync():
            self.text = text
            self.level = level
