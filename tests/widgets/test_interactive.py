from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from ipywidgets import IntProgress, IntSlider
from matplotlib.axes import Axes

from rededge_nb.errors import NoDataError
from rededge_nb.widgets import interactive, snapshot

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Shown:
    """What a front end would get."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []

        self.cells: dict[str, Any] = {}

    def display(self, output: Any, *, display_id: bool | str = False, **options: Any) -> Shown | None:
        if isinstance(display_id, str):
            self.cells[display_id] = output
            return None
        self.outputs.append(output)
        return self

    def update_display(self, output: Any, *, display_id: str, **options: Any) -> None:
        assert display_id in self.cells
        self.cells[display_id] = output

    def update(self, output: Any) -> None:
        self.outputs[-1] = output

    @property
    def texts(self) -> list[str]:
        return [output["text/plain"] for output in self.cells.values()]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    mpl.use("agg")
    front_end = Shown()
    monkeypatch.setattr(interactive, "display", front_end.display)
    monkeypatch.setattr(snapshot, "display", front_end.display)
    monkeypatch.setattr(snapshot, "update_display", front_end.update_display)
    return front_end


def draw(value: int) -> Axes:
    _, axes = plt.subplots()
    axes.set_title(f"picture {value}")
    return axes


def title(figure: Any) -> str:
    return str(figure.axes[0].get_title())


def test_a_plot_is_shown_at_once_and_follows_its_control(shown: Shown) -> None:
    slider = IntSlider(3, description="frame")
    interactive.interactive_plot(draw, slider)
    control, without_kernel = shown.cells.values()
    assert control[WIDGET_VIEW]["model_id"] == slider.model_id
    assert without_kernel["text/plain"] == "frame: 3"
    assert title(*shown.outputs) == "picture 3"
    slider.value = 5
    assert title(*shown.outputs) == "picture 5"


def test_a_value_that_cannot_be_plotted_shows_the_reason(shown: Shown) -> None:
    def draw_or_not(value: int) -> Axes:
        if value == 5:
            raise NoDataError("frame 5 has left its stream")
        return draw(value)

    slider = IntSlider(3)
    interactive.interactive_plot(draw_or_not, slider)
    slider.value = 5
    assert shown.outputs[0].data == "frame 5 has left its stream"
    slider.value = 6
    assert title(shown.outputs[0]) == "picture 6"


def test_no_figure_stays_open(shown: Shown) -> None:
    before = plt.get_fignums()
    interactive.interactive_plot(draw, IntSlider(3))
    assert plt.get_fignums() == before


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[IntProgress]:
    made: list[IntProgress] = []

    def make(**options: Any) -> IntProgress:
        made.append(IntProgress(**options))
        return made[-1]

    monkeypatch.setattr(interactive, "IntProgress", make)
    return made


@pytest.mark.parametrize(("total", "text"), [(8, "frames 4 of 8"), (None, "frames 4")])
def test_a_progress_bar_shows_the_progress(shown: Shown, bars: list[IntProgress], total: int | None, text: str) -> None:
    advance = interactive.progress_bar()
    advance(4, total)
    [bar] = bars
    assert WIDGET_VIEW in next(iter(shown.cells.values()))
    assert (bar.value, bar.max, bar.description) == (4, total or 4, text)


def test_a_progress_bar_skips_fast_updates_but_not_the_last_and_leaves_a_text(
    shown: Shown, bars: list[IntProgress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactive, "UPDATE_INTERVAL", 3600.0)
    advance = interactive.progress_bar("pictures")
    [bar] = bars
    seen: list[int] = []
    bar.observe(lambda change: seen.append(change["new"]), "value")
    for done in range(1, 9):
        advance(done, 8)
    assert seen == [1, 8]
    assert (bar.description, bar.comm) == ("pictures 8 of 8", None)
    assert shown.texts == ["pictures 8 of 8", ""]
