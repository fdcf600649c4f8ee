"""What the page of live charts goes by, besides samples."""

from __future__ import annotations

from typing import Any

from rededge_nb import schema
from rededge_nb.display import colors
from rededge_nb.live.chart_data import ChartData, series_names

MINUTES = (1.0, 60.0)
"""Shortest and longest time that the charts show."""
UPDATE_INTERVAL = 0.2
"""Seconds from one update to the next at least."""


def setup(sender: str) -> dict[str, Any]:
    """What is spelled elsewhere and charts.js goes by; `sender` is who sends samples, as the page calls it."""
    return {
        "sender": sender,
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
        },
    }


def about_missing(data: ChartData, *, remedy: str) -> str:
    """Which series the camera lacks, in a sentence with what makes them; empty if none."""
    missing = data.missing
    if not missing:
        return ""
    if len(missing) == len(series_names()):
        return f"Camera {data.camera} has no time series: {remedy}."
    return f"Camera {data.camera} lacks the series {', '.join(missing)}: {remedy}."
