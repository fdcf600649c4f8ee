"""Colours of all plots and charts: those of Okabe and Ito, which colour-blind readers can distinguish."""

from __future__ import annotations

from rededge_nb import schema

BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"

STEP_COLORS: dict[str, str] = dict(zip(schema.STEPS, (SKY, BLUE, ORANGE, YELLOW, GREEN, PURPLE), strict=True))
"""Colour by step of the gear."""
