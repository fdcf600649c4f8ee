"""A button that opens and closes the drawer of a dashboard."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class DrawerButton(anywidget.AnyWidget):
    """Opens and closes the drawer in the browser, so that it works while a cell runs.

    The drawer is the element with the class `rededge-drawer` in the same dashboard.

    Attributes:
        opened: Whether the drawer is open.
    """

    _esm = Path(__file__).with_name("drawer.js")
    _css = Path(__file__).with_name("panels.css")

    text = traitlets.Unicode().tag(sync=True)
    opened = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, text: str) -> None:
        super().__init__(text=text)
