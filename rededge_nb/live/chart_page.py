"""What charts.js needs to know besides the samples."""

from __future__ import annotations

from typing import Any

from rededge_nb import schema
from rededge_nb.display import colors
from rededge_nb.live.chart_data import ChartData, series_names

MINUTES = (1.0, 60.0)
"""Shortest and longest time that the charts can show."""
UPDATE_INTERVAL = 0.2
"""Seconds between two updates, at least."""
HEARTBEAT = 2.0
"""Longest time in seconds between two messages to a page that shows the charts."""

DRAWN_COLORS = (colors.BLUE, colors.ORANGE, colors.GREEN, colors.PURPLE, colors.VERMILION, colors.SKY)
"""Colours of lines and zones; display/scene_plots.py has the same."""


def setup(sender: str) -> dict[str, Any]:
    """Names and colours that are defined in Python; `sender` is what the page calls the process that sends samples."""
    return {
        "sender": sender,
        "heartbeat": HEARTBEAT,
        "steps": list(schema.STEPS),
        "averages": list(schema.COMPACTION_MINUTES),
        "minutes": list(MINUTES),
        "colors": {
            "people": colors.BLUE,
            "average": colors.VERMILION,
            "band": colors.SKY,
            schema.IN_FPS: colors.SKY,
            schema.OUT_FPS: colors.BLUE,
            "dropped": colors.VERMILION,
            **colors.STEP_COLORS,
            # lines and zones, in their order
            **{f"drawn{number}": color for number, color in enumerate(DRAWN_COLORS)},
        },
    }


def missing_series_notice(data: ChartData, *, remedy: str) -> str:
    """A sentence that names the series that the camera lacks, and what creates them; empty if it has all."""
    missing = data.missing
    if not missing:
        return ""
    if len(missing) == len(series_names()):
        return f"Camera {data.camera} has no time series: {remedy}."
    return f"Camera {data.camera} lacks the series {', '.join(missing)}: {remedy}."
