"""Plots of crossings and zones: what is in them, and that empty series are no error."""

from __future__ import annotations

import io
from collections.abc import Iterator

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rededge_nb.display.scene_plots import plot_crossings, plot_dwell, plot_zones
from rededge_nb.reading.scenes import Crossings, ZoneVisits
from rededge_nb.reading.series import Series

START_MS = 1_790_000_000_000


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def series(samples: dict[int, float]) -> Series:
    times = np.array([START_MS + offset for offset in samples], np.int64)
    return Series("camera:0:any", {}, times, np.array(list(samples.values()), float))


def legend(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn(ax: plt.Axes) -> int:
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    return len(buffer.getvalue())


def test_crossings_are_added_up_and_each_direction_has_its_total() -> None:
    door = Crossings("door", series({0: 2, 5000: 1}), series({}), "in", "out")
    gate = Crossings("gate", series({1000: 1}), series({2000: 4}))
    ax = plot_crossings([door, gate])
    assert legend(ax) == ["door: 3 in", "door: 0 out", "gate: 1 forward", "gate: 4 backward"]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0, 2, 3, 3], [0, 0], [0, 1, 1], [0, 4, 4]]
    assert len({line.get_xdata()[-1] for line in ax.lines}) == 1, "all directions end together"
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--", "-", "--"]
    assert ax.lines[0].get_color() == ax.lines[1].get_color() != ax.lines[2].get_color()
    assert drawn(ax) > 1000


def test_people_in_zones_break_where_no_frames_came() -> None:
    ax = plot_zones([ZoneVisits("queue", series({0: 1, 100: 2, 200: 2, 60_000: 2}), series({}))])
    assert legend(ax) == ["queue, at most 2"]
    values = ax.lines[0].get_ydata()
    assert np.isnan(values[3])
    assert values[[0, 1, 4]].tolist() == [1, 2, 2]
    assert drawn(ax) > 1000


def test_stays_are_counted_by_their_length() -> None:
    queue = ZoneVisits("queue", series({0: 1}), series({0: 2, 1: 4, 2: 12}))
    ax = plot_dwell([queue, ZoneVisits("empty", series({}), series({}))])
    assert legend(ax) == ["queue: 3 stays, median 4.0 s", "empty: 0 stays"]
    assert sum(bar.get_height() for bar in ax.patches) == 3
    assert drawn(ax) > 1000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("some", [False, True])
def test_nothing_counted_is_an_empty_plot(some: bool) -> None:
    nothing = series({})
    for ax in (
        plot_crossings([Crossings("door", nothing, nothing)] if some else []),
        plot_zones([ZoneVisits("queue", nothing, nothing)] if some else []),
        plot_dwell([ZoneVisits("queue", nothing, nothing)] if some else []),
    ):
        assert drawn(ax) > 1000
