"""The files of the page, by the path at which they are served. No other file is served."""

from __future__ import annotations

from typing import Any, NamedTuple

from rededge_nb import assets
from rededge_nb.live import front_end

_PAGE = assets.PACKAGE / "web" / "page"

_SCRIPT = "text/javascript; charset=utf-8"
_STYLE = "text/css; charset=utf-8"


class Served(NamedTuple):
    """A file and its content type."""

    content: bytes
    kind: str

    def arguments(self, services: object) -> dict[str, Any]:
        """Arguments of `handlers.StaticFile`."""
        return {"services": services, "content": self.content, "kind": self.kind}


def page() -> Served:
    """The page itself."""
    return Served((_PAGE / "index.html").read_bytes(), "text/html; charset=utf-8")


def files() -> dict[str, Served]:
    """What the page loads: its own scripts and styles, and those of player and charts, which notebooks use too."""
    return {
        "page.js": Served((_PAGE / "page.js").read_bytes(), _SCRIPT),
        "link.js": Served((_PAGE / "link.js").read_bytes(), _SCRIPT),
        "page.css": Served((_PAGE / "page.css").read_bytes(), _STYLE),
        **{f"{name}.js": Served(front_end.script(name).encode(), _SCRIPT) for name in front_end.WIDGETS},
        **{f"{name}.css": Served(front_end.style(name).read_bytes(), _STYLE) for name in front_end.WIDGETS},
        "icon.svg": Served((_PAGE / "icon.svg").read_bytes(), "image/svg+xml"),
    }
