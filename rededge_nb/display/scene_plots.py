"""Plots of what was counted at lines and in zones; see `plots` for the rules that all of them follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rededge_nb.analytics.counted import PEOPLE, Counted, counted_of
from rededge_nb.display import gaps
from rededge_nb.display.axes import axes_in, finish, local
from rededge_nb.display.colors import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, readable
from rededge_nb.reading.scenes import Crossings, ZoneVisits
from rededge_nb.reading.series import Series
from rededge_nb.reading.too_few_frames import doubt

COLORS = tuple(readable(color) for color in (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY))
"""Colours of lines and of zones, in their order; the first one follows the last."""
_DWELL_BINS = 12


def plot_crossings(crossings: Sequence[Crossings], *, title: str = "", ax: Axes | None = None) -> Axes:
    """Plot for each line how many people have crossed it so far: forward as a solid line, backward as a dashed one.

    A direction in which nobody went is in the legend, with 0.

    Args:
        crossings: Such as `Camera.crossings` returns.
        title: Title of the plot; default: one that says what was counted.
        ax: Axes to draw in.
    """
    directions = [
        (number, each.line, name, series, style)
        for number, each in enumerate(crossings)
        for name, series, style in (
            (each.forward_name, each.forward, "-"),
            (each.backward_name, each.backward, "--"),
        )
    ]
    times = [series.timestamps_ms for *_, series, _ in directions if len(series)]
    with axes_in(ax) as axes:
        for number, line, name, series, style in directions:
            label = f"{line}: {series.values.sum():.0f} {name}"
            counted: list[float] = [0.0, *np.cumsum(series.values)]
            if times:
                first, last = min(each[0] for each in times) - 1000, max(each[-1] for each in times) + 1000
                edges = np.array([first, *series.timestamps_ms, last], float)
                counted.append(counted[-1])
            else:
                edges, counted = np.zeros(0), []
            color = COLORS[number % len(COLORS)]
            axes.step(local(edges), counted, style, where="post", color=color, linewidth=1.8, label=label)
        what = _counted([series for *_, series, _ in directions])
        title = title or what.title("who crossed" if what.is_people else "that crossed")
        _finish(axes, title + doubt(each.too_few_frames for each in crossings), what)
    return axes


def plot_zones(zones: Sequence[ZoneVisits], *, title: str = "", ax: Axes | None = None) -> Axes:
    """Plot how many people were in each zone; the line is interrupted where no frames were processed.

    Args:
        zones: Such as `Camera.zones` returns.
        title: Title of the plot; default: one that says what was counted.
        ax: Axes to draw in.
    """
    with axes_in(ax) as axes:
        for number, each in enumerate(zones):
            times, values = gaps.line(each.people)
            most = f", at most {each.people.values.max():.0f}" if len(each.people) else ""
            color = COLORS[number % len(COLORS)]
            axes.step(local(times), values, where="post", color=color, linewidth=1.4, label=each.zone + most)
        what = _counted([each.people for each in zones])
        _finish(axes, title or what.title("in zones"), what)
    return axes


def plot_dwell(zones: Sequence[ZoneVisits], *, title: str = "How long they stayed", ax: Axes | None = None) -> Axes:
    """Plot for each zone how many people stayed how long: those who have left, by seconds.

    Args:
        zones: Such as `Camera.zones` returns.
        title: Title of the plot; default: one that says what was counted.
        ax: Axes to draw in.
    """
    stays = [each.dwell.values for each in zones]
    longest = max((float(seconds.max()) for seconds in stays if len(seconds)), default=0.0) or 1.0
    labels = [
        f"{each.zone}: {len(seconds)} stays" + (f", median {np.median(seconds):.1f} s" if len(seconds) else "")
        for each, seconds in zip(zones, stays, strict=True)
    ]
    with axes_in(ax) as axes:
        if stays:
            colors = [COLORS[number % len(COLORS)] for number in range(len(stays))]
            axes.hist(
                stays, bins=np.linspace(0, longest, _DWELL_BINS + 1).tolist(), color=colors, label=labels, rwidth=0.9
            )
            axes.legend(loc="upper right")
        axes.set_xlabel("seconds")
        axes.set_ylabel(_counted([each.dwell for each in zones]).plural)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.set_title(title + doubt(each.too_few_frames for each in zones))
    return axes


def _counted(series: Sequence[Series]) -> Counted:
    """What was counted, as the labels of the first series with samples say."""
    return next((counted_of(each.labels) for each in series if len(each)), PEOPLE)


def _finish(axes: Axes, title: str, what: Counted) -> None:
    axes.set_ylim(0, max(1.0, axes.dataLim.y1) * 1.12)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_ylabel(what.plural)
    if axes.lines:
        finish(axes, title)
    else:
        axes.set_title(f"{title}: none is drawn")
