"""Plots for notebooks, with matplotlib (`pip install rededge_nb[notebooks]`).

Each function draws into `ax`, or into a new figure that is as wide as a notebook, and returns the axes. The figure is
`ax.figure`. Times are local.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from rededge_nb import schema
from rededge_nb.analytics.counted import PEOPLE, Counted, counted_of
from rededge_nb.control.inference import Timing
from rededge_nb.display import gaps
from rededge_nb.display.axes import INK, MUTED, WIDTH_INCHES, axes_in, finish, local, need_samples
from rededge_nb.display.colors import BLUE, SKY, STEP_COLORS, VERMILION, readable, track_color
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.images import Image
from rededge_nb.reading.series import Series
from rededge_nb.reading.too_few_frames import doubt
from rededge_nb.reading.tracks import Track

_BAR_INCHES = 0.45

_FEW_TRACKS = 30

_STEP_COLUMNS = 160
"""Columns of `plot_steps`: more could not be seen."""


def plot_frame(image: Image, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Show an image, such as the result of `draw_detections`.

    Args:
        image: uint8 of shape (height, width, 3), BGR.
        title: Title of the plot.
        ax: Axes to draw in.
    """
    height, width = image.shape[:2]
    with axes_in(ax, WIDTH_INCHES * height / width) as axes:
        axes.imshow(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), interpolation="antialiased")
        axes.set_axis_off()
        axes.set_title(title)
    return axes


def plot_tracks(
    tracks: Sequence[Track],
    image: Image | None = None,
    *,
    title: str = "",
    counted: Counted = PEOPLE,
    ax: Axes | None = None,
) -> Axes:
    """Plot the paths of people over a frame, each in the colour of the track, with a dot where the person was last.

    Args:
        tracks: Such as `Camera.tracks` returns; many paths are drawn thinner.
        image: A frame of the camera, uint8 of shape (height, width, 3), BGR; without one the paths are on white, in a
            square.
        title: Title of the plot.
        counted: What the tracks are of.
        ax: Axes to draw in.

    Raises:
        NoDataError: there are no tracks.
    """
    if not tracks:
        raise NoDataError("there are no tracks to plot: start a capture, or ask for a longer time")
    height, width = (1, 1) if image is None else image.shape[:2]
    many = len(tracks) > _FEW_TRACKS
    with axes_in(ax, WIDTH_INCHES * height / width) as axes:
        if image is not None:
            grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            axes.imshow(grey, cmap="gray", vmin=0, vmax=340, extent=(0, width, height, 0), interpolation="antialiased")
        for track in tracks:
            x, y = (track.path * (width, height)).T
            color = track_color(track.id)
            axes.plot(x, y, color=INK, linewidth=1.8 if many else 3.6, alpha=0.6)
            axes.plot(x, y, color=color, linewidth=1.0 if many else 2.2)
            if len(track.path):
                axes.plot(x[-1], y[-1], "o", color=color, markeredgecolor=INK, markersize=4 if many else 7)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        way = "walked" if counted.is_people else "were"
        unsure = doubt(each.too_few_frames for each in tracks)
        axes.set_title(f"{title or f'Where {counted.plural} {way}'}: {counted.amount(len(tracks))}{unsure}")
    return axes


def plot_people(
    people: Series,
    *,
    average: Series | None = None,
    low: Series | None = None,
    high: Series | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Plot people, or what else is counted, over time: each frame, the average of each bucket, its minimum and maximum.

    Args:
        people: The samples of single frames; its labels say what was counted.
        average: The series `people_avg_1m`, or another aggregate.
        low: The series `people_min_1m`, or the minima of the same buckets.
        high: The series `people_max_1m`, or the maxima of the same buckets.
        title: Title of the plot; default: such as "People in view".
        ax: Axes to draw in.

    Raises:
        NoDataError: `people` has no samples.
        ConfigurationError: `low` and `high` have different buckets, or an aggregate was read without its bucket length.
    """
    need_samples(people)
    with axes_in(ax) as axes:
        if low is not None and high is not None and len(low):
            if not np.array_equal(low.timestamps_ms, high.timestamps_ms):
                raise ConfigurationError(
                    f"{low.key} and {high.key} have samples at different times: read both with one range"
                )
            edges, lows = _buckets(low, people)
            _, highs = _buckets(high, people)
            band = f"lowest to highest, {_bucket(low)}"
            axes.fill_between(edges, lows, highs, step="post", color=SKY, alpha=0.25, linewidth=0, label=band)
        times, values = gaps.line(people)
        axes.plot(local(times), values, color=BLUE, linewidth=0.9, label="each frame")
        if average is not None and len(average):
            edges, means = _buckets(average, people)
            axes.step(edges, means, where="post", color=VERMILION, linewidth=2.2, label=f"average, {_bucket(average)}")
        axes.set_ylim(0, max(1.0, float(people.values.max())) * 1.12)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        counted = counted_of(people.labels)
        axes.set_ylabel(counted.plural)
        finish(axes, title or counted.title("in view"))
    return axes


def plot_steps(
    steps: Mapping[str, Series], *, title: str = "Time per frame, step by step", ax: Axes | None = None
) -> Axes:
    """Plot milliseconds per step, stacked in the order of the steps, and the 95th percentile of their total.

    Frames that are drawn in the same column are summarised by their median. A triangle marks columns that are higher
    than the plot.

    Args:
        steps: Series by name, such as `Camera.step_series` returns; others than `prf_<step>` and `prf_total` are
            ignored.
        title: Title of the plot.
        ax: Axes to draw in.

    Raises:
        NoDataError: none of them has samples.
    """
    names = {step: schema.step_series(step) for step in schema.STEPS}
    chosen = {step: steps[name] for step, name in names.items() if name in steps}
    measured = [series.timestamps_ms for series in chosen.values() if len(series)]
    if not measured:
        raise NoDataError(f"no samples of steps ({', '.join(steps) or 'no series given'}): start a capture first")
    edges = np.linspace(
        min(times[0] for times in measured), max(times[-1] for times in measured) + 1, _STEP_COLUMNS + 1
    )
    gap_ms = gaps.longest_step(max(measured, key=len))
    total = steps.get(schema.TOTAL)
    p95 = None if total is None else gaps.columns(total, edges, 95, gap_ms)
    times = local(edges)
    with axes_in(ax) as axes:
        base = np.zeros(len(edges) - 1)
        known = np.zeros(len(edges) - 1, bool)
        for step, series in chosen.items():
            medians = gaps.columns(series, edges, 50, gap_ms)
            known |= ~np.isnan(medians)
            top = base + np.nan_to_num(medians)
            label = f"{step}  {np.median(series.values):.1f} ms" if len(series) else step
            axes.fill_between(
                times,
                np.append(base, base[-1]),
                np.append(top, top[-1]),
                where=np.append(known, known[-1]),
                step="post",
                color=readable(STEP_COLORS[step]),
                linewidth=0,
                label=label,
            )
            base = top
        highest = np.where(known, base, np.nan)
        if p95 is not None and total is not None and len(total):
            label = f"total, 95 %  {np.percentile(total.values, 95):.1f} ms"
            axes.step(times, np.append(p95, p95[-1]), where="post", color=INK, linewidth=1.1, label=label)
            highest = np.fmax(highest, p95)
        # The highest columns do not count: a single slow frame would make all others look like zero.
        limit = float(np.nanpercentile(highest, 95)) * 1.2 or 1.0
        above = np.flatnonzero(np.nan_to_num(highest) > limit)
        if len(above):
            middle = (times[:-1] + times[1:])[above] / 2
            label = f"higher, up to {np.nanmax(highest):.0f} ms"
            axes.plot(middle, np.full(len(above), limit), "^", color=INK, markersize=4, clip_on=False, label=label)
        axes.set_ylim(0, limit)
        axes.set_ylabel("milliseconds")
        finish(axes, title, outside="median")
    return axes


def plot_rates(in_fps: Series, out_fps: Series, *, title: str = "Frames in and out", ax: Axes | None = None) -> Axes:
    """Plot frames per second that arrived and that were processed. The difference, which was dropped, is shaded.

    Raises:
        NoDataError: `in_fps` has no samples.
    """
    need_samples(in_fps)
    seconds = np.arange(in_fps.timestamps_ms[0] // 1000, in_fps.timestamps_ms[-1] // 1000 + 1)
    arrived, processed = gaps.per_second(in_fps, seconds), gaps.per_second(out_fps, seconds)
    silent = gaps.silent_seconds(in_fps, seconds)
    arrived[silent] = processed[silent] = np.nan
    # the last step needs an end, or it would have no width
    edges = local((np.append(seconds, seconds[-1] + 1) * 1000).astype(float))
    arrived, processed = np.append(arrived, arrived[-1]), np.append(processed, processed[-1])
    with axes_in(ax) as axes:
        axes.fill_between(
            edges,
            processed,
            arrived,
            where=arrived > processed,
            step="post",
            color=VERMILION,
            alpha=0.22,
            linewidth=0,
            label="dropped",
        )
        axes.step(edges, arrived, where="post", color=readable(SKY), linewidth=3.2, label="in")
        axes.step(edges, processed, where="post", color=BLUE, linewidth=1.4, label="processed")
        axes.set_ylim(0, max(1.0, float(np.nanmax(arrived)), float(np.nanmax(processed))) * 1.15)
        axes.set_ylabel("frames per second")
        finish(axes, title)
    return axes


def plot_timings(timings: Sequence[Timing], *, title: str = "One run of the model", ax: Axes | None = None) -> Axes:
    """Plot the milliseconds of each backend as bars. The fastest has the strongest colour.

    A backend that could not be measured has the reason in place of a bar.

    Raises:
        NoDataError: there are no timings.
    """
    measured = [timing.median_ms for timing in timings if timing.median_ms is not None]
    if not measured:
        raise NoDataError("there are no timings to plot: measure some with `compare_backends`")
    widths = [timing.median_ms or 0.0 for timing in timings]
    with axes_in(ax, _BAR_INCHES * (len(timings) + 1)) as axes:
        colors = [BLUE if width == min(measured) else readable(SKY) for width in widths]
        bars = axes.barh([timing.backend for timing in timings], widths, height=0.62, color=colors)
        for timing, label in zip(timings, axes.bar_label(bars, padding=5), strict=True):
            known = timing.median_ms is not None
            label.set_text(f"{timing.median_ms:.1f} ms" if known else timing.note)
            label.set_color(INK if known else MUTED)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlim(0, max(measured) * 1.15)
        axes.set_title(title)
    return axes


def plot_counts(
    counts: Mapping[str, Sequence[int]], *, title: str = "People in each frame", ax: Axes | None = None
) -> Axes:
    """Plot the numbers of people, or other objects, that several models find in the same frames.

    Args:
        counts: For each model the numbers, in the order of the frames.
        title: The title.
        ax: Where to draw; default: a new figure.
    """
    with axes_in(ax) as axes:
        for (name, values), color in zip(counts.items(), cycle((BLUE, VERMILION)), strict=False):
            axes.step(range(1, len(values) + 1), values, where="mid", color=color, linewidth=1.4, label=name)
        axes.set_xlabel("frame")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0)
        axes.set_title(title)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.6)
    return axes


def _buckets(series: Series, within: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges of the buckets, limited to the time of `within`, and their values, for steps."""
    if series.bucket_ms is None:
        raise ConfigurationError(
            f"{series.key} has no bucket length: read people_avg_1m, or give aggregation and bucket_ms"
        )
    edges, values = gaps.steps(series, float(within.timestamps_ms[0]), float(within.timestamps_ms[-1]))
    return local(edges), values


def _bucket(series: Series) -> str:
    seconds = (series.bucket_ms or 0) / 1000
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
