"""The JavaScript and CSS of player and charts, which notebooks and the web page share (folder `page`).

A notebook takes each widget as one module without imports (anywidget), so the files of a widget are joined: no file has
an `import`, only the last one has an `export`, and their names must not collide.
"""

from __future__ import annotations

from pathlib import Path

_PAGE = Path(__file__).with_name("page")
_PLAYER = ("player_boxes.js", "player_frames.js", "player.js")
_CHARTS = ("charts_samples.js", "charts_plot.js", "charts_panels.js", "charts.js")

PLAYER_STYLE = _PAGE / "player.css"
CHARTS_STYLE = _PAGE / "charts.css"


def player_script() -> str:
    """The module of the player."""
    return _joined(_PLAYER)


def charts_script() -> str:
    """The module of the charts."""
    return _joined(_CHARTS)


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join((_PAGE / name).read_text("utf-8") for name in names)
