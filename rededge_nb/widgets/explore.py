"""Controls of a notebook whose effect stays visible when it is saved (`pip install rededge_nb[notebooks]`)."""

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

UPDATE_INTERVAL = 0.25
"""Seconds between two changes of a progress bar."""


def explore(draw: Callable[[Any], Axes], control: Any) -> None:
    """Show a control and below it the picture of its value, drawn anew whenever that changes.

    The picture is an output of the cell, not part of the widget: a notebook that ran without a browser, or is read
    without a kernel, has it too. A later value that cannot be drawn has the reason in the picture's place.

    Args:
        draw: Makes the picture of a value.
        control: An ipywidget with a `value`, such as an IntSlider.
    """
    display(control)
    picture = display(_drawn(draw, control.value), display_id=True)

    def follow(change: Any) -> None:
        try:
            picture.update(_drawn(draw, change["new"]))
        except RedEdgeError as error:
            # out of here it would end in a log, and the picture of another value would stay
            picture.update(Pretty(str(error)))

    control.observe(follow, "value")


def progress_bar(what: str = "frames") -> Progress:
    """Show a progress bar; returns what a capture takes as `progress`."""
    bar = IntProgress(description=what, min=0, max=1, style={"description_width": "initial"})
    display(bar)
    shown_at = -math.inf

    def advance(done: int, total: int | None) -> None:
        nonlocal shown_at
        # each change is a message that may wait in the kernel until its cell has ended
        if done != total and time.monotonic() - shown_at < UPDATE_INTERVAL:
            return
        shown_at = time.monotonic()
        with bar.hold_sync():
            bar.max = total or max(done, 1)
            bar.value = done
            bar.description = f"{what} {done} of {total}" if total else f"{what} {done}"
            bar.bar_style = "success" if done == total else ""

    return advance


def _drawn(draw: Callable[[Any], Axes], value: Any) -> Any:
    figure = draw(value).get_figure(root=True)
    # a figure left open is shown once more when its cell ends
    plt.close(figure)
    return figure
