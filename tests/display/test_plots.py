from __future__ import annotations

import io
import re
from collections.abc import Iterator

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import tzlocal
from matplotlib.colors import to_hex
from matplotlib.dates import date2num

from rededge_nb import schema
from rededge_nb.control.inference import Timing
from rededge_nb.display import colors
from rededge_nb.display.axes import show_positions
from rededge_nb.display.colors import readable, track_color
from rededge_nb.display.plots import (
    BLUE,
    SKY,
    STEP_COLORS,
    plot_frame,
    plot_people,
    plot_rates,
    plot_steps,
    plot_timings,
    plot_tracks,
)
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.series import Series
from rededge_nb.reading.tracks import Track

START_MS = 1_790_000_000_000


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def series(name: str, samples: dict[int, float], bucket_ms: int | None = None) -> Series:
    times = np.array([START_MS + offset for offset in samples], np.int64)
    return Series(f"camera:0:{name}", {"__name__": name}, times, np.array(list(samples.values()), float), bucket_ms)


def drawn(ax: plt.Axes) -> int:
    """Size of the picture: that it can be drawn at all, with every warning an error."""
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    return len(buffer.getvalue())


def legend(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def track(number: int, *points: tuple[float, float]) -> Track:
    times = np.arange(len(points)) * 1000
    return Track("0", number, 0, 1000 * len(points), times, np.array(points, float).reshape(-1, 2), in_view=False)


def test_tracks_are_paths_over_the_frame_in_the_colours_of_the_player() -> None:
    image = np.full((60, 80, 3), 128, np.uint8)
    ax = plot_tracks([track(3, (0.0, 0.5), (1.0, 0.5)), track(4, (0.5, 0.0), (0.5, 1.0))], image)
    assert ax.get_title(loc="left") == "Where people walked: 2 people"
    outlines, lines = ax.lines[0::3], ax.lines[1::3]
    assert len(outlines) == len(lines) == 2
    assert [to_hex(line.get_color()).upper() for line in lines] == [track_color(3), track_color(4)]
    assert lines[0].get_xydata().tolist() == [[0, 30], [80, 30]]
    assert lines[1].get_xydata().tolist() == [[40, 0], [40, 60]]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 80), (60, 0))
    assert drawn(ax) > 1000


def test_tracks_without_a_frame_and_without_people() -> None:
    ax = plot_tracks([track(1, (0.2, 0.2))], title="Paths")
    assert ax.get_title(loc="left") == "Paths: 1 person"
    assert drawn(ax) > 1000
    assert drawn(plot_tracks([track(number, (0.1, 0.1), (0.9, 0.9)) for number in range(50)])) > 1000
    with pytest.raises(NoDataError, match="no tracks to plot"):
        plot_tracks([])


def test_frame() -> None:
    ax = plot_frame(np.full((60, 80, 3), (255, 0, 0), np.uint8), title="Frame 1")
    assert ax.get_title(loc="left") == "Frame 1"
    # Blue first in OpenCV, red first in matplotlib.
    assert tuple(ax.images[0].get_array()[0, 0]) == (0, 0, 255)
    assert drawn(ax) > 1000


def test_people_with_band() -> None:
    people = series("people", {number * 100: 3 + number % 4 for number in range(900)})
    minutes = [-20_000, 40_000]
    average, low, high = (
        series(f"people_{name}_1m", dict.fromkeys(minutes, value), 60_000)
        for name, value in (("avg", 4.5), ("min", 3.0), ("max", 6.0))
    )
    ax = plot_people(people, average=average, low=low, high=high)
    assert legend(ax) == ["lowest to highest, 1 min", "each frame", "average, 1 min"]
    assert ax.get_ylabel() == "people"
    assert ax.get_ylim()[1] > 6
    # Buckets that begin earlier or end later are cut to what was measured.
    steps = ax.lines[1].get_xdata()
    assert steps[0] == pytest.approx(date2num(people.times[0]))
    assert steps[-1] == pytest.approx(date2num(people.times[-1]))
    assert drawn(ax) > 1000


def test_people_alone_and_into_given_axes() -> None:
    _, ax = plt.subplots()
    assert plot_people(series("people", {0: 0.0, 100: 0.0}), ax=ax) is ax
    assert legend(ax) == ["each frame"]
    assert drawn(ax) > 1000


def test_people_with_unsuitable_series() -> None:
    people = series("people", {0: 1.0, 100: 2.0})
    with pytest.raises(NoDataError, match="camera:0:people has no samples"):
        plot_people(series("people", {}))
    with pytest.raises(ConfigurationError, match="has no bucket length"):
        plot_people(people, average=people)
    with pytest.raises(ConfigurationError, match="samples at different times"):
        plot_people(people, low=series("people_min_1m", {0: 1.0}, 60_000), high=series("people_max_1m", {}, 60_000))


def test_steps_are_stacked_in_pipeline_order() -> None:
    steps = {
        f"prf_{step}": series(f"prf_{step}", {offset * 100: weight + 1.0 for offset in range(400)})
        for weight, step in enumerate(reversed(schema.STEPS))
    }
    steps["prf_model"].values[200] = 10_000
    ax = plot_steps(steps)
    assert [text.split()[0] for text in legend(ax)] == ["higher,", *reversed(schema.STEPS)]
    assert legend(ax)[-1] == "read  6.0 ms"
    # 6 + 5 + … + 1: the one slow frame does not set the scale
    assert 21 < ax.get_ylim()[1] < 40
    assert ax.get_ylabel() == "milliseconds"
    assert drawn(ax) > 1000
    assert len(set(STEP_COLORS.values())) == len(schema.STEPS)


def test_steps_with_few_samples() -> None:
    ax = plot_steps({"prf_read": series("prf_read", {0: 2.0}), "prf_model": series("prf_model", {})})
    assert legend(ax) == ["model", "read  2.0 ms"]
    assert drawn(ax) > 1000
    for nothing in ({}, {"prf_read": series("prf_read", {})}):
        with pytest.raises(NoDataError, match="no samples of steps"):
            plot_steps(nothing)


def test_rates_fill_gaps_with_zero() -> None:
    came = series("in_fps", {0: 10.0, 1000: 10.0, 4000: 20.0})
    ax = plot_rates(came, series("out_fps", {0: 10.0, 4000: 5.0}))
    assert legend(ax) == ["dropped", "in", "processed"]
    assert list(ax.lines[0].get_ydata()) == [10, 10, 0, 0, 20, 20]
    assert list(ax.lines[1].get_ydata()) == [10, 0, 0, 0, 5, 5]
    assert ax.get_ylabel() == "frames per second"
    assert drawn(ax) > 1000
    with pytest.raises(NoDataError):
        plot_rates(series("in_fps", {}), came)


def test_timings() -> None:
    missing = Timing("OpenVINO", None, "not installed: pip install openvino")
    ax = plot_timings([Timing("ONNX Runtime, 1 thread", 44.26), Timing("ONNX Runtime, 2 threads", 23.1), missing])
    assert [text.get_text() for text in ax.texts] == ["44.3 ms", "23.1 ms", "not installed: pip install openvino"]
    assert [bar.get_width() for bar in ax.patches] == [44.26, 23.1, 0]
    assert [to_hex(bar.get_facecolor()).upper() for bar in ax.patches] == [readable(SKY), BLUE, readable(SKY)]
    assert ax.yaxis_inverted()
    assert drawn(ax) > 1000
    for nothing in ([], [missing]):
        with pytest.raises(NoDataError, match="no timings"):
            plot_timings(nothing)


def test_lines_areas_and_steps_break_at_a_gap() -> None:
    # ten frames a second, and nineteen seconds without any
    times = [*range(0, 30_000, 100), *range(49_000, 60_000, 100)]
    people = series("people", dict.fromkeys(times, 5.0))
    average = series("people_avg_5s", dict.fromkeys((0, 5000, 10000, 45000, 50000), 5.0), 5_000)
    ax = plot_people(people, average=average, low=average, high=average)
    frames, steps = (line.get_ydata() for line in ax.lines)
    assert np.isnan(frames).sum() == 1
    assert np.isnan(steps).sum() == 1
    [band] = ax.collections
    inside = date2num(np.datetime64(START_MS + 40_000, "ms"))
    assert not any(path.contains_point((inside, 5.0)) for path in band.get_paths())
    assert drawn(ax) > 1000


def test_milliseconds_are_not_invented_in_a_gap() -> None:
    times = [*range(0, 30_000, 100), *range(49_000, 60_000, 100)]
    ax = plot_steps({"prf_model": series("prf_model", dict.fromkeys(times, 20.0))})
    inside = date2num(np.datetime64(START_MS + 40_000, "ms"))
    [area] = ax.collections
    assert not any(path.contains_point((inside, 10.0)) for path in area.get_paths())
    for seconds in (15, 55):
        at = date2num(np.datetime64(START_MS + seconds * 1000, "ms"))
        assert any(path.contains_point((at, 10.0)) for path in area.get_paths())


def test_a_long_silence_is_a_gap_in_the_rates_and_a_short_one_is_zero() -> None:
    arrived = series("in_fps", {0: 10.0, 5_000: 10.0, 30_000: 10.0})
    ax = plot_rates(arrived, series("out_fps", {0: 10.0, 5_000: 10.0, 30_000: 10.0}))
    values = ax.lines[0].get_ydata()
    assert list(values[:6]) == [10, 0, 0, 0, 0, 10]
    assert np.isnan(values[6:30]).all()
    assert list(values[30:]) == [10, 10]
    assert drawn(ax) > 1000


def test_the_95th_percentile_of_the_total_is_a_line_and_higher_columns_are_marked() -> None:
    model = series("prf_model", dict.fromkeys(range(0, 60000, 20), 20.0))
    total = series("prf_total", {at: 25.0 + 500.0 * (at in range(30_000, 30_100)) for at in range(0, 60_000, 20)})
    ax = plot_steps({"prf_model": model, "prf_total": total})
    assert legend(ax)[:2] == ["higher, up to 525 ms", "total, 95 %  25.0 ms"]
    marks = ax.lines[1]
    assert len(marks.get_xdata()) == 1
    assert 25 < ax.get_ylim()[1] < 60
    assert drawn(ax) > 1000


@pytest.mark.parametrize("color", [*STEP_COLORS.values(), colors.VERMILION, colors.BLUE])
def test_colours_can_be_seen_on_white(color: str) -> None:
    darker = readable(color)
    rgb = [int(darker[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    assert 1.05 / (colors.luminance(rgb) + 0.05) >= 2.97


def test_a_plot_names_the_time_zone_of_its_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    tzlocal.reload_localzone()
    try:
        axes = plot_people(series("people", {0: 1, 60_000: 2}))
    finally:
        monkeypatch.undo()
        tzlocal.reload_localzone()
    assert axes.get_xlabel() == "time (Asia/Kolkata, UTC+05:30)"


def test_every_time_on_the_axis_is_a_whole_one() -> None:
    labels = {}
    for end in (800, 150_000, 86_400_000):
        axes = plot_people(series("people", {0: 2, end: 3}))
        drawn(axes)
        labels[end] = [text.get_text() for text in axes.get_xticklabels()]
        assert len(set(labels[end])) == len(labels[end]) > 3
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d", each) for each in labels[800])
    assert all(re.fullmatch(r"\d\d:\d\d:[03]0", each) for each in labels[150_000])
    assert all(re.fullmatch(r"\d\d:\d\d|[A-Z][a-z]{2}-\d\d", each) for each in labels[86_400_000])


def test_a_plot_of_a_recording_shows_positions() -> None:
    axes = plot_people(series("people", {second * 1000: second % 3 for second in range(80)}))
    recording = CaptureRecord("c", "0", start_ms=START_MS - 5_000, first_ms=START_MS)
    assert show_positions(axes, recording) is axes
    drawn(axes)
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        f"{at // 60}:{at % 60:02}" for at in range(10, 85, 10)
    ]
    assert axes.get_xlabel() == "position in the recording"
    live = show_positions(plot_people(series("people", {0: 1, 4_000: 2})), START_MS)
    drawn(live)
    assert [text.get_text() for text in live.get_xticklabels()] == ["0:00", "0:01", "0:02", "0:03", "0:04"]
