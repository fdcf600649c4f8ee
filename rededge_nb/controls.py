"""Controls of a notebook whose effect stays visible when it is saved (`pip install rededge_nb[notebooks]`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import display
from ipywidgets import HBox, IntProgress, Label
from matplotlib.axes import Axes

from rededge_nb.capture import Progress


def explore(draw: Callable[[Any], Axes], control: Any) -> None:
    """Show a control and below it the picture of its value, drawn anew whenever that changes.

    The picture is an output of the cell, not part of the widget: a notebook that ran without a browser, or is read
    without a kernel, has it too.

    Args:
        draw: Makes the picture of a value.
        control: An ipywidget with a `value`, such as an IntSlider.
    """
    display(control)
    picture = display(_drawn(draw, control.value), display_id=True)
    control.observe(lambda change: picture.update(_drawn(draw, change["new"])), "value")


def progress_bar(description: str = "frames") -> Progress:
    """Show a progress bar; returns what a capture takes as `progress`."""
    bar = IntProgress(description=description, min=0, max=1)
    count = Label()
    display(HBox([bar, count]))

    def advance(done: int, total: int | None) -> None:
        bar.max = total or max(done, 1)
        bar.value = done
        count.value = f"{done} of {total}" if total else str(done)
        if done == total:
            bar.bar_style = "success"

    return advance


def _drawn(draw: Callable[[Any], Axes], value: Any) -> Any:
    figure = draw(value).get_figure(root=True)
    # a figure left open is shown once more when its cell ends
    plt.close(figure)
    return figure
