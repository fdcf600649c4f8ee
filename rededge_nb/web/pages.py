"""The files that make the page, by the path at which they are served; no others are."""

from __future__ import annotations

from typing import Any, NamedTuple

from rededge_nb import assets

_PAGE = assets.PACKAGE / "web" / "page"
_WIDGETS = assets.PACKAGE / "widgets"
_CHARTS = ("charts_samples.js", "charts_plot.js", "charts_panels.js", "charts.js")

_SCRIPT = "text/javascript; charset=utf-8"
_STYLE = "text/css; charset=utf-8"


class Served(NamedTuple):
    """A file and its type."""

    content: bytes
    kind: str

    def arguments(self, services: object) -> dict[str, Any]:
        """What `handlers.File` is made with."""
        return {"services": services, "content": self.content, "kind": self.kind}


def page() -> Served:
    """The page itself."""
    return Served((_PAGE / "index.html").read_bytes(), "text/html; charset=utf-8")


def files() -> dict[str, Served]:
    """What the page loads: its own scripts and styles, and the player and charts that notebooks show as well."""
    charts = b"\n".join((_WIDGETS / name).read_bytes() for name in _CHARTS)
    return {
        "page.js": Served((_PAGE / "page.js").read_bytes(), _SCRIPT),
        "link.js": Served((_PAGE / "link.js").read_bytes(), _SCRIPT),
        "page.css": Served((_PAGE / "page.css").read_bytes(), _STYLE),
        "player.js": Served((_WIDGETS / "player.js").read_bytes(), _SCRIPT),
        "player.css": Served((_WIDGETS / "player.css").read_bytes(), _STYLE),
        "charts.js": Served(charts, _SCRIPT),
        "charts.css": Served((_WIDGETS / "charts.css").read_bytes(), _STYLE),
        "icon.svg": Served((_PAGE / "icon.svg").read_bytes(), "image/svg+xml"),
    }
