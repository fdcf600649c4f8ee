"""RedisEdge as a Jupyter notebook workbench: streams, time series, gears and models beside the data."""

from __future__ import annotations

from rededge_nb._version import __version__

__all__ = ["__version__"]
