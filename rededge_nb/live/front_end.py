"""The JavaScript and CSS that notebooks and the web page share (folder `page`).

A notebook takes each widget as one module without imports (anywidget), so the files of a widget are joined: no file has
an `import`, only the last one has an `export`, and their names must not collide.
"""

from __future__ import annotations

from pathlib import Path

_PAGE = Path(__file__).with_name("page")
_SCRIPTS = {
    "player": (
        *("times.js", "player_boxes.js", "player_trails.js", "player_scene.js"),
        *("player_frames.js", "player_editor.js", "player_grid.js", "player.js"),
    ),
    "charts": ("times.js", "charts_samples.js", "charts_plot.js", "charts_panels.js", "charts.js"),
    "tiles": ("tiles.js",),
    "events": ("times.js", "events_dialog.js", "events.js"),
}
WIDGETS = tuple(_SCRIPTS)
"""Names of the widgets that `script` and `style` know."""


def script(widget: str) -> str:
    """The module of a widget."""
    return "\n".join((_PAGE / name).read_text("utf-8") for name in _SCRIPTS[widget])


def style(widget: str) -> Path:
    """The CSS of a widget."""
    return _PAGE / f"{widget}.css"
