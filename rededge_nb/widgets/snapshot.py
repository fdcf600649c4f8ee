"""What a cell shows when its widget is gone.

A widget lives in the kernel. After a restart of the kernel and a reload of the page, JupyterLab has only the saved
outputs, and shows "Error displaying widget: model not found". So a widget is displayed together with a second output, a
snapshot with a sentence. The style of that output hides it while the widget is on the page, and hides JupyterLab's
message while it is not. When a widget is closed, its snapshot takes its place.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import display, update_display

Bundle = dict[str, Any]
"""An output: data by MIME type."""

# A widget that is on the page carries the class `live`, though at first, it may not have it yet. JupyterLab's message
# is the only content of its element.
_STYLE = """<style>
:root:has(.{live}) .{snapshot}, :root:has(.{live}) .jp-OutputArea-child:has(.{snapshot}),
.jp-OutputArea-child:has(> .jupyter-widgets *) + .jp-OutputArea-child:has(.{snapshot}),
.jp-OutputArea-child:has(+ * .{snapshot}) > .jupyter-widgets:not(:has(*)) {{ display: none; }}
.{snapshot} img {{ max-width: 100%; }}
</style>"""
_SENTENCE = "The live view has ended: run this cell to start it again. This is how it looked when the cell ran."


class CellOutput:
    """Displays a widget in cells, together with its snapshot.

    Args:
        widget: The widget.
        snapshot: Returns the snapshot: text/plain, and an image if there is something to see.
        sentence: Is shown above the snapshot when the widget is gone.
    """

    def __init__(self, widget: ipywidgets.DOMWidget, snapshot: Callable[[], Bundle], sentence: str = _SENTENCE) -> None:
        self._widget = widget
        self._snapshot = snapshot
        self._sentence = sentence
        self._name = f"rededge-{widget.model_id}"
        self._displayed = False
        widget.add_class(f"{self._name}-live")

    def display(self) -> None:
        """Show the widget, or only its snapshot if it is closed."""
        snapshot = self._snapshot()
        if self._widget.comm is None:
            display(snapshot, raw=True)
            return
        self._displayed = True
        made = self._widget._repr_mimebundle_()
        # anywidget adds metadata, which Colab needs
        view, metadata = made if isinstance(made, tuple) else (made, {})
        display(view, raw=True, metadata=metadata, display_id=self._name)
        display(self._with_html(snapshot), raw=True, display_id=f"{self._name}-snapshot")

    def replace(self) -> None:
        """Show the snapshot of now where the widget was displayed. To be called before the widget is closed."""
        if self._displayed:
            self._displayed = False
            update_display(self._snapshot(), raw=True, display_id=self._name)
            update_display({"text/plain": ""}, raw=True, display_id=f"{self._name}-snapshot")

    def _with_html(self, snapshot: Bundle) -> Bundle:
        """The snapshot with a page that hides itself while the widget is there."""
        content = f"<pre>{html.escape(snapshot['text/plain'])}</pre>"
        for kind, data in snapshot.items():
            if kind.startswith("image/"):
                content = f'<img src="data:{kind};base64,{data}" alt="">'
        name = f"{self._name}-snapshot"
        style = _STYLE.format(live=f"{self._name}-live", snapshot=name)
        return {**snapshot, "text/html": f'{style}<div class="{name}"><p>{self._sentence}</p>{content}</div>'}
