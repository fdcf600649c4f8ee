"""The figures above the video."""

from __future__ import annotations

import anywidget
import traitlets

from rededge_nb.live import front_end
from rededge_nb.live.tiles import Tile, as_json


class Tiles(anywidget.AnyWidget):
    """Shows figures of a camera; see `rededge_nb.live.tiles`."""

    _esm = front_end.script("tiles")
    _css = front_end.style("tiles")

    tiles = traitlets.List(traitlets.Dict()).tag(sync=True)

    def show(self, tiles: list[Tile]) -> None:
        """Show these figures."""
        self.tiles = as_json(tiles)
