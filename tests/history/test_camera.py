"""The questions that a camera answers: history, busiest periods, paths and heat maps."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.samples import create_commands
from rededge_nb.camera import Camera
from rededge_nb.capture.captures import Captures
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.history.plots import plot_history, plot_week
from rededge_nb.history.simulation import Simulation, simulate, write_simulation
from rededge_nb.reading.series import call
from rededge_nb.time_zones import moment_ms

pytest_plugins = ("tests.bare_fixtures",)

ZONE = ZoneInfo("America/New_York")
NAME = "America/New_York"
DAY = "2026-05-04"
"""A Monday."""


@pytest.fixture(scope="module")
def simulated() -> Simulation:
    return simulate(moment_ms(DAY, ZONE), 1, seed=8, zone=ZONE)


@pytest.fixture
def camera(bare_client: redis.Redis, simulated: Simulation) -> Camera:
    write_simulation(bare_client, "shop", simulated, step_s=60)
    return Camera(bare_client, "shop", Captures(bare_client))


def test_tracks_between_two_times(camera: Camera, simulated: Simulation) -> None:
    start, end = moment_ms(f"{DAY} 12:00", ZONE), moment_ms(f"{DAY} 13:30", ZONE)
    own = ((simulated.times_ms[:, 3] >= start) & (simulated.times_ms[:, 0] <= end)).sum()
    found = camera.tracks(f"{DAY} 12:00", f"{DAY} 13:30", time_zone=NAME)
    assert len(found) == own > 20
    assert [each.id for each in camera.tracks(start_ms=start, end_ms=end)] == [each.id for each in found]
    late = camera.tracks(timedelta(hours=6))
    assert 0 < len(late) < len(camera.tracks()) == len(simulated.times_ms)


def test_the_busiest_hour_is_that_of_the_history(camera: Camera) -> None:
    history = camera.history(DAY, "2026-05-05", every="1h", time_zone=NAME)
    busiest = camera.busiest(DAY, "2026-05-05", by="seen", count=1, time_zone=NAME)
    assert busiest["seen"].tolist() == [history["seen"].max()]
    assert len(history) == 24


def test_a_heat_map_is_bright_where_people_stood(
    camera: Camera, simulated: Simulation, bare_client: redis.Redis
) -> None:
    image = np.full((180, 320, 3), 20, np.uint8)
    heat = camera.heatmap(DAY, "2026-05-05", image=image, time_zone=NAME).astype(int)
    assert heat.shape == image.shape
    assert heat[60:70, 180:220].sum(axis=2).mean() > 4 * heat[:20].sum(axis=2).mean()
    assert camera.heatmap(DAY, "2026-05-05", time_zone=NAME).shape == (540, 960, 3), "there is no frame"
    for words in create_commands("camera:shop", schema.TOO_FEW_FRAMES):
        call(bare_client, *words)
    call(bare_client, "TS.ADD", "camera:shop:too_few_frames", int(simulated.times_ms[0, 0]), 1.5)
    marked = camera.heatmap(DAY, "2026-05-05", image=image, time_zone=NAME).astype(int)
    changed = np.argwhere((marked != heat).any(axis=2))
    assert changed[:, 0].min() > 150, "a line of text at the lower edge"
    assert "too few" not in camera.busiest(f"{DAY} 18:00", "2026-05-05", time_zone=NAME).note
    assert "in 1 of 24 periods, see the column too_few_frames: the model saw 1.5 frames" in (
        camera.busiest(DAY, "2026-05-05", time_zone=NAME).note
    )
    with pytest.raises(NoDataError, match="nobody was in view of camera shop in this time"):
        camera.heatmap("2026-05-06", "2026-05-07", image=image, time_zone=NAME)


def test_the_table_of_the_week_has_the_hours_of_the_time_zone(camera: Camera) -> None:
    every = {"every": "15min", "time_zone": NAME}
    history = camera.history(DAY, "2026-05-05", **every)
    axes = plot_week(history, "seen")
    cells = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert cells.shape == (7, 24)
    assert np.nansum(cells) == history["seen"].sum(), "each hour of this Monday was there once"
    assert np.isnan(cells[1:]).all()
    assert cells[0, 12] == history["seen"][48:52].sum()
    means = np.ma.filled(plot_week(history, "people_mean").images[0].get_array(), np.nan)
    assert means[0, 12] == pytest.approx(history["people_mean"][48:52].mean())
    assert "America/New_York, UTC-04:00" in axes.get_xlabel()
    plt.close("all")


def test_a_plot_names_its_time_zone_and_has_a_step_for_each_period(camera: Camera) -> None:
    history = camera.history(DAY, "2026-05-05", every="1h", time_zone=NAME)
    axes = plot_history(history, {"line:door:backward": "in", "line:door:forward": "out"})
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["in", "out"]
    assert axes.lines[0].get_ydata()[:-1].tolist() == history["line:door:backward"].tolist()
    assert "America/New_York, UTC-04:00" in axes.get_xlabel()
    plt.close("all")


def test_wrong_columns_and_periods_of_plots(camera: Camera) -> None:
    history = camera.history(DAY, "2026-05-05", every="6h", time_zone=NAME)
    with pytest.raises(ConfigurationError, match="'wrong' is no column of figures: take one of people_mean"):
        plot_history(history, ["wrong"])
    with pytest.raises(ConfigurationError, match="needs periods of an hour or less"):
        plot_week(history)


def test_the_captures_of_a_camera_are_listed_the_newest_first(camera: Camera, bare_client: redis.Redis) -> None:
    assert camera.captures() == []
    for number in (1, 2):
        bare_client.xadd(schema.captures_key("shop"), {"capture": f"c{number}", "camera": "shop", "start_ms": number})
    assert [(each.capture, each.start_ms) for each in camera.captures()] == [("c2", 2), ("c1", 1)]
