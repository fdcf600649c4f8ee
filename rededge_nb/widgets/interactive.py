"""A plot with a control, and a progress bar, for notebook cells (`pip install rededge_nb[notebooks]`)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import Pretty, display
from ipywidgets import IntProgress
from matplotlib.axes import Axes

from rededge_nb.capture.run import Progress
from rededge_nb.errors import RedEdgeError
from rededge_nb.widgets.snapshot import CellOutput

UPDATE_INTERVAL = 0.25
"""Seconds between two changes of a progress bar."""


def interactive_plot(draw: Callable[[Any], Axes], control: Any) -> None:
    """Show a control and, below it, a plot of its value. The plot is drawn again whenever the value changes.

    The plot is an output of the cell, not a part of the widget, so a notebook that ran without a browser or is read
    without a kernel shows it too. If a later value cannot be plotted, the reason is shown instead.

    Args:
        draw: Plots a value, and returns the axes.
        control: An ipywidget with a `value`, such as an IntSlider.
    """
    CellOutput(
        control,
        lambda: {"text/plain": f"{control.description}: {control.value}"},
        "This control has ended: run this cell to use it. It looked like this when the cell ran:",
    ).display()
    output = display(_figure(draw, control.value), display_id=True)

    def update(change: Any) -> None:
        try:
            output.update(_figure(draw, change["new"]))
        except RedEdgeError as error:
            # raised from here, the error would go to a log, and the plot of the previous value would stay
            output.update(Pretty(str(error)))

    control.observe(update, "value")


def progress_bar(unit: str = "frames") -> Progress:
    """Show a progress bar. When the last frame is done, a line of text takes its place.

    Returns:
        A function to pass to a capture as `progress`; it takes the number of frames done, and how many there will be
        (None if that is not known).
    """
    bar = IntProgress(description=unit, min=0, max=1, style={"description_width": "initial"})
    output = CellOutput(
        bar, lambda: {"text/plain": bar.description}, "These were not done when the notebook was saved:"
    )
    output.display()
    shown_at = -math.inf

    def advance(done: int, total: int | None) -> None:
        nonlocal shown_at
        # each change is a message, and messages of a running cell may wait until it has ended
        if done != total and time.monotonic() - shown_at < UPDATE_INTERVAL:
            return
        shown_at = time.monotonic()
        with bar.hold_sync():
            bar.max = total or max(done, 1)
            bar.value = done
            bar.description = f"{unit} {done} of {total}" if total else f"{unit} {done}"
        if done == total:
            output.replace()
            bar.close()

    return advance


def _figure(draw: Callable[[Any], Axes], value: Any) -> Any:
    figure = draw(value).get_figure(root=True)
    # matplotlib shows a figure that is still open once more when its cell ends
    plt.close(figure)
    return figure
