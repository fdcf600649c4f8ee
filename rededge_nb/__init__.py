"""RedisEdge as a Jupyter notebook workbench: streams, time series, gears and models beside the data.

from rededge_nb import Workbench

wb = Workbench()
wb.provision("0")
wb.camera("0").capture("walking.mp4", pace="asap")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rededge_nb._version import __version__
from rededge_nb.errors import RedEdgeError

if TYPE_CHECKING:
    from rededge_nb.connection import connect
    from rededge_nb.workbench import Workbench

__all__ = ["RedEdgeError", "Workbench", "__version__", "connect"]

_HOME = {"Workbench": "rededge_nb.workbench", "connect": "rededge_nb.connection"}
"""Where the names come from that are imported when first asked for: `rededge --help` needs neither OpenCV nor redis."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Add `%%gear` and `%redis` to a notebook: what `%load_ext rededge_nb` calls."""
    from rededge_nb.jupyter.magics import load

    load(shell)
