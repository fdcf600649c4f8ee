"""Colours of all plots and charts: those of Okabe and Ito, which colour-blind readers can distinguish."""

from __future__ import annotations

from collections.abc import Sequence

from rededge_nb import schema

BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"

MIN_CONTRAST = 3.0
"""Contrast that lines and areas need to be seen well (WCAG 2.2)."""

TRACK_COLORS = (YELLOW, SKY, ORANGE, PURPLE, GREEN, VERMILION)
"""Colours of people, by the id of the track: those that dark text can be read on."""

STEP_COLORS: dict[str, str] = dict(zip(schema.STEPS, (SKY, BLUE, ORANGE, YELLOW, GREEN, PURPLE), strict=True))
"""Colour by step of the gear."""


def track_color(track: int) -> str:
    """The colour of a track: the same in notebooks, on the web page, in images and in plots."""
    return TRACK_COLORS[track % len(TRACK_COLORS)]


def readable(color: str, ratio: float = MIN_CONTRAST) -> str:
    """A colour such as `#56B4E9`, made darker until it has this contrast on white; charts_plot.js does the same."""
    rgb = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    while 1.05 / (luminance(rgb) + 0.05) < ratio:
        rgb = [value * 0.94 for value in rgb]
    return "#" + "".join(f"{round(value * 255):02X}" for value in rgb)


def luminance(rgb: Sequence[float]) -> float:
    """Relative luminance of red, green and blue, each 0 to 1, as WCAG defines it."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
