"""A slider with an accessible name, which that of ipywidgets lacks."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class Slider(anywidget.AnyWidget):
    """A number from 0 to 1.

    Args:
        text: Label.
        hint: Explanation that is shown when the pointer is on the slider.
    """

    _esm = Path(__file__).with_name("slider.js")
    _css = Path(__file__).with_name("panels.css")

    text = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    value = traitlets.Float(0.0, min=0.0, max=1.0).tag(sync=True)
    disabled = traitlets.Bool(default_value=True).tag(sync=True)

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text=text, hint=hint)
