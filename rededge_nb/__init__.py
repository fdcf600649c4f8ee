"""RedisEdge as a Jupyter notebook workbench: streams, time series, gears and models beside the data.

from rededge_nb import Workbench

wb = Workbench()
wb.provision("0")
wb.camera("0").capture("walking.mp4", pace="asap")
"""

from __future__ import annotations

from typing import Any

from rededge_nb._version import __version__
from rededge_nb.connection import connect
from rededge_nb.errors import RedEdgeError
from rededge_nb.workbench import Workbench

__all__ = ["RedEdgeError", "Workbench", "__version__", "connect"]


def load_ipython_extension(shell: Any) -> None:
    """Add `%%gear` and `%redis` to a notebook: what `%load_ext rededge_nb` calls."""
    from rededge_nb.magics import load

    load(shell)
