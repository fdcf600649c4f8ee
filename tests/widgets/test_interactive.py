from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from ipywidgets import IntSlider
from matplotlib.axes import Axes

from rededge_nb.errors import NoDataError
from rededge_nb.widgets import interactive


class Shown:
    """What a front end would get."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []

    def display(self, output: Any, *, display_id: bool = False) -> Shown | None:
        self.outputs.append(output)
        return self if display_id else None

    def update(self, output: Any) -> None:
        self.outputs[-1] = output


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    mpl.use("agg")
    front_end = Shown()
    monkeypatch.setattr(interactive, "display", front_end.display)
    return front_end


def draw(value: int) -> Axes:
    _, axes = plt.subplots()
    axes.set_title(f"picture {value}")
    return axes


def title(figure: Any) -> str:
    return str(figure.axes[0].get_title())


def test_a_plot_is_shown_at_once_and_follows_its_control(shown: Shown) -> None:
    slider = IntSlider(3)
    interactive.interactive_plot(draw, slider)
    control, picture = shown.outputs
    assert control is slider
    assert title(picture) == "picture 3"
    slider.value = 5
    assert title(shown.outputs[1]) == "picture 5"
    assert len(shown.outputs) == 2


def test_a_value_that_cannot_be_plotted_shows_the_reason(shown: Shown) -> None:
    def draw_or_not(value: int) -> Axes:
        if value == 5:
            raise NoDataError("frame 5 has left its stream")
        return draw(value)

    slider = IntSlider(3)
    interactive.interactive_plot(draw_or_not, slider)
    slider.value = 5
    assert shown.outputs[1].data == "frame 5 has left its stream"
    slider.value = 6
    assert title(shown.outputs[1]) == "picture 6"


def test_no_figure_stays_open(shown: Shown) -> None:
    interactive.interactive_plot(draw, IntSlider(3))
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("total", "text"), [(8, "frames 4 of 8"), (None, "frames 4")])
def test_a_progress_bar_shows_the_progress(shown: Shown, total: int | None, text: str) -> None:
    advance = interactive.progress_bar()
    advance(4, total)
    [bar] = shown.outputs
    assert (bar.value, bar.max, bar.description, bar.bar_style) == (4, total or 4, text, "")


def test_a_progress_bar_skips_fast_updates_but_not_the_last(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactive, "UPDATE_INTERVAL", 3600.0)
    advance = interactive.progress_bar("pictures")
    [bar] = shown.outputs
    seen: list[int] = []
    bar.observe(lambda change: seen.append(change["new"]), "value")
    for done in range(1, 9):
        advance(done, 8)
    assert seen == [1, 8]
    assert (bar.description, bar.bar_style) == ("pictures 8 of 8", "success")
