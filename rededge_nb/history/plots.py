"""Plots of a history: a heat table of the week, and columns over time. See `display.axes` for how axes are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import date2num

from rededge_nb.display.axes import axes_in, finish_times
from rededge_nb.display.colors import BLUE, GREEN, PURPLE, SKY, VERMILION, readable
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.history.by_period import mean_column
from rededge_nb.history.table import DataTable
from rededge_nb.time_zones import find_zone, local_time, zone_note

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_COLORS = (BLUE, VERMILION, readable(GREEN), readable(PURPLE), readable(SKY))
_WEEK_INCHES = 2.9


def plot_week(history: DataTable, column: str | None = None, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Plot a heat table of the week: the mean of a column in each hour of each day of the week.

    Args:
        history: Such as `Camera.history` returns, with periods of an hour or less.
        column: The figure; default: the mean number in view. That of an hour is the mean of its periods, or their sum
            for crossings, stays and `seen`.
        title: Title of the plot.
        ax: Axes to draw in.

    Raises:
        NoDataError: the column has no figures.
        ConfigurationError: there is no such column, or a period is longer than an hour.
    """
    column = mean_column(history) if column is None else column
    zone, values = find_zone(history.time_zone), _figures(history, column)
    starts = history["start"].astype(np.int64)
    if (history["end"].astype(np.int64) - starts).max() > 3_600_000:
        raise ConfigurationError("a table of hours needs periods of an hour or less: read the history with every='1h'")
    known = ~np.isnan(values)
    if not known.any():
        raise NoDataError(f"the column {column!r} has no figures in this time: ask for a longer one")
    cells = _by_hour(starts[known], values[known], zone, add=_is_a_sum(column))
    with axes_in(ax, _WEEK_INCHES) as axes:
        image = axes.imshow(cells, aspect="auto", cmap="viridis", vmin=0)
        axes.set_yticks(range(7), _DAYS)
        axes.set_xticks(range(0, 24, 2), [f"{hour}:00" for hour in range(0, 24, 2)])
        axes.set_xlabel(
            f"hour of the day ({zone_note(zone, int(starts[0]), int(starts[-1]))})", fontsize="small", loc="left"
        )
        axes.grid(visible=False)
        axes.set_title(title or f"{column}, mean of each hour")
        bar = axes.figure.colorbar(image, ax=axes, pad=0.01)
        bar.outline.set_visible(False)
    return axes


def plot_history(
    history: DataTable,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Plot columns of a history over time, as steps from the start to the end of each period.

    Args:
        history: Such as `Camera.history` returns.
        columns: Names of columns, or their labels by name; default: the mean number in view.
        title: Title of the plot.
        ax: Axes to draw in.

    Raises:
        ConfigurationError: there is no such column.
    """
    columns = (mean_column(history),) if columns is None else columns
    labels = dict(columns) if isinstance(columns, Mapping) else {each: each for each in columns}
    edges = np.append(history["start"], history["end"][-1:])
    times = date2num(edges)  # type: ignore[no-untyped-call]
    with axes_in(ax) as axes:
        for index, (name, label) in enumerate(labels.items()):
            values = _figures(history, name)
            color = _COLORS[index % len(_COLORS)]
            axes.step(times, np.append(values, values[-1:]), where="post", color=color, linewidth=1.6, label=label)
        axes.set_ylim(bottom=0)
        finish_times(axes, find_zone(history.time_zone))
        axes.set_title(title)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.2, handlelength=1.6)
    return axes


def _by_hour(starts: np.ndarray, values: np.ndarray, zone: ZoneInfo, *, add: bool) -> np.ndarray:
    """Means of a column, shape (7, 24); NaN where there are no figures."""
    moments = [local_time(int(each), zone) for each in starts]
    cells = [24 * each.weekday() + each.hour for each in moments]
    # a sum is one for each hour, however many periods the hour has
    hours = {(each.date(), each.hour, each.utcoffset()): cell for each, cell in zip(moments, cells, strict=True)}
    counts = np.bincount(list(hours.values()) if add else cells, minlength=7 * 24)
    totals = np.bincount(cells, values, 7 * 24)
    means: np.ndarray = np.divide(totals, counts, out=np.full(7 * 24, np.nan), where=counts > 0)
    return means.reshape(7, 24)


def _is_a_sum(column: str) -> bool:
    return column.rpartition(":")[2] in ("seen", "forward", "backward", "stays")


def _figures(history: DataTable, column: str) -> np.ndarray:
    if column not in history.columns or history[column].dtype.kind != "f":
        known = ", ".join(name for name in history.columns if history[name].dtype.kind == "f")
        raise ConfigurationError(f"{column!r} is no column of figures: take one of {known}")
    return history[column]
