"""Live views of a camera for notebooks (`pip install rededge_nb[notebooks]`)."""

from __future__ import annotations

from rededge_nb.widgets.capture_panel import CapturePanel
from rededge_nb.widgets.charts import Charts
from rededge_nb.widgets.dashboard import Dashboard
from rededge_nb.widgets.gear_panel import GearPanel
from rededge_nb.widgets.model_panel import ModelPanel
from rededge_nb.widgets.player import Player

__all__ = ["CapturePanel", "Charts", "Dashboard", "GearPanel", "ModelPanel", "Player"]
