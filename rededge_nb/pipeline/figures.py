"""Figures of a user's own: a notebook records them, and the run that executes the notebook has them in its summary.

A figure is an output of its cell, so it is in the saved notebook, too, and needs neither a file nor a server.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rededge_nb.errors import ConfigurationError
from rededge_nb.pipeline.notebook_pages import read_executed

FIGURE = "application/vnd.rededge.figure+json"
"""Type of the output that has a figure."""


def record(name: str, value: float | str | bool) -> None:
    """Add a figure to the summary of the pipeline run that executes this notebook; elsewhere it is only shown.

    `rededge pipeline compare` and `wb.runs()` compare it between runs. Recorded again, a figure has its last value.

    Args:
        name: Name of the figure, such as `minutes with a queue`.
        value: A finite number, a text, or True or False.

    Raises:
        ConfigurationError: the name is empty, or the value is none of these.
    """
    value = value.item() if hasattr(value, "item") else value  # a number of NumPy
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"{name!r} cannot be the name of a figure: give a text")
    if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigurationError(f"the figure {name!r} is {value!r}: give a finite number, a text, True or False")
    from IPython.display import display

    display({FIGURE: {"name": name, "value": value}, "text/plain": f"{name}: {value}"}, raw=True)


def recorded_in(notebooks: Iterable[Path]) -> dict[str, Any]:
    """The figures that executed notebooks have recorded, by name; files that are missing are left out."""
    found: dict[str, Any] = {}
    for notebook in map(read_executed, notebooks):
        cells = [] if notebook is None else notebook.cells
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        figures = [output.data[FIGURE] for output in outputs if FIGURE in output.get("data", {})]
        found |= {each["name"]: each["value"] for each in figures}
    return found
