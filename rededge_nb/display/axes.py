"""The style of all plots: one figure as wide as a notebook, quiet axes, and times with their time zone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num, num2date
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import NDArray

from rededge_nb.errors import NoDataError
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.series import Series
from rededge_nb.time_zones import find_zone, position_text, zone_note

WIDTH_INCHES = 9.0
HEIGHT_INCHES = 3.5
_DAY_MS = 86_400_000
_POSITION_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600)
INK = "#2B2F36"
MUTED = "#656B75"

_STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "font.size": 9.5,
    "text.color": INK,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#C9CDD3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E8EAED",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}


@contextmanager
def axes_in(ax: Axes | None, height: float = HEIGHT_INCHES) -> Iterator[Axes]:
    """The given axes, or those of a new figure that is `height` inches high."""
    # matplotlib chooses its backend now at the latest. In a notebook that makes pyplot interactive; if it happened
    # inside the context below, the end of the context would undo it, and later figures would not be shown.
    if ax is None:
        plt.draw_if_interactive()  # type: ignore[no-untyped-call]
    with mpl.rc_context(_STYLE):
        if ax is None:
            _, ax = plt.subplots(figsize=(WIDTH_INCHES, height), layout="constrained")
        yield ax


def finish(axes: Axes, title: str, *, outside: str = "") -> None:
    """Give the axes local times, a title, and a legend; with a title of its own the legend is beside the plot."""
    finish_times(axes, find_zone())
    axes.set_title(title)
    if outside:
        # in the order of the stack, from top to bottom
        axes.legend(title=outside, loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True, alignment="left")
    else:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.6)


def finish_times(axes: Axes, zone: ZoneInfo) -> None:
    """Let the horizontal axis show times in a time zone, and name it."""
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=zone)  # type: ignore[no-untyped-call]
    # whole times: "30" between "22:32" and "22:33" is not understood at first sight
    formatter.formats[3:] = ["%H:%M", "%H:%M", "%H:%M:%S.%f"]
    formatter.zero_formats[5] = "%H:%M:%S"
    axes.xaxis.set_major_formatter(formatter)
    axes.margins(x=0)
    first, last = (round(each.timestamp() * 1000) for each in num2date(axes.get_xlim(), tz=zone))  # type: ignore[no-untyped-call]
    axes.set_xlabel(f"time ({zone_note(zone, first, last)})", fontsize="small", loc="left")


def show_positions(axes: Axes, recording: CaptureRecord | int) -> Axes:
    """Let the horizontal axis of a plot show positions in a recording, such as 0:42, instead of times of the clock.

    Args:
        axes: Those of a plot of times, such as `plot_people` returns.
        recording: The capture of the recording, such as one of `Camera.captures()`; or the time of position 0 in
            milliseconds since the epoch.

    Returns:
        The same axes.
    """
    start_ms = recording if isinstance(recording, int) else recording.start_ms or recording.first_ms

    def position_s(number: float) -> float:
        return (number * _DAY_MS - start_ms) / 1000

    first, last = (position_s(each) for each in axes.get_xlim())
    step = next((each for each in _POSITION_STEPS_S if (last - first) / each <= 9), _DAY_MS / 1000)
    ticks = np.arange(max(0.0, np.ceil(first / step) * step), last + 1e-6, step)
    axes.xaxis.set_major_locator(FixedLocator(list((ticks * 1000 + start_ms) / _DAY_MS)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: position_text(position_s(number) + 0.001)))
    axes.set_xlabel("position in the recording", fontsize="small", loc="left")
    return axes


def local(times_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Milliseconds since the epoch as matplotlib's dates."""
    return np.asarray(date2num(times_ms.astype("datetime64[ms]")), np.float64)  # type: ignore[no-untyped-call]


def need_samples(series: Series) -> None:
    """Refuse a series without samples.

    Raises:
        NoDataError: it has none.
    """
    if not len(series):
        raise NoDataError(f"{series.key} has no samples in this range: start a capture, or ask for more time")
