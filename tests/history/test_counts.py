"""Counts by period: equal to those of the test itself, from samples and from compactions, and missing where expired."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import redis

from rededge_nb import schema
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.history.by_period import busiest_periods, read_history
from rededge_nb.history.counts import EXPIRED, MINUTES, SAMPLES
from rededge_nb.history.simulation import SCENE, Simulation, simulate, write_simulation
from rededge_nb.history.table import DataTable
from rededge_nb.reading.series import call, create_series
from rededge_nb.time_zones import moment_ms
from tests.bare import bare_server

pytest_plugins = ("tests.bare_fixtures",)

BERLIN = "Europe/Berlin"
ZONE = ZoneInfo(BERLIN)
START, END = "2026-03-28", "2026-03-31"
"""The second day has 23 hours."""
STEP_S = 5


@pytest.fixture(scope="module")
def simulated() -> Simulation:
    return simulate(moment_ms(START, ZONE), 3, seed=3, zone=ZONE)


@pytest.fixture(scope="module")
def filled(simulated: Simulation) -> Iterator[redis.Redis]:
    with bare_server() as server:
        client = server.client()
        write_simulation(client, "0", simulated, step_s=STEP_S)
        yield client
        client.close()


def own_counts(table: DataTable, times_ms: np.ndarray) -> list[float]:
    """How many of some times are in each period."""
    starts, ends = (table[name].astype(np.int64).tolist() for name in ("start", "end"))
    return [float(sum(a <= at < b for at in times_ms.tolist())) for a, b in zip(starts, ends, strict=True)]


def people_at(times: np.ndarray, came: np.ndarray, went: np.ndarray) -> np.ndarray:
    return np.array([((came <= at) & (went > at)).sum() for at in times])


def test_the_history_of_a_recording_begins_with_its_first_sample(bare_client: redis.Redis) -> None:
    """A video of a minute is not shown as a day of empty rows."""
    create_series(bare_client, "clip")
    key, start = schema.series_key("clip", schema.PEOPLE), moment_ms("2026-03-28 10:07:30", ZONE)
    for second in (0, 30, 60):
        call(bare_client, "TS.ADD", key, start + 1000 * second, 2)
    table = read_history(bare_client, "clip", every="1min", time_zone=BERLIN)
    assert table["start"].astype(np.int64).tolist() == [start - 30_000, start + 30_000]
    assert table["people_mean"].tolist() == [2, 2]
    given = read_history(bare_client, "clip", end="2026-03-28 10:08:31", every="1min", time_zone=BERLIN)
    assert len(given) == 24 * 60 + 1, "an end that was given means the day before it"


@pytest.mark.parametrize("every", ["1d", "1h", "15min"])
def test_sums_are_those_of_an_own_count(filled: redis.Redis, simulated: Simulation, every: str) -> None:
    table = read_history(filled, "0", START, END, every=every, time_zone=BERLIN)
    assert table["seen"].tolist() == own_counts(table, simulated.times_ms[:, 0])
    for line in SCENE.lines:
        for direction in ("forward", "backward"):
            crossed = simulated.crossings(line.name, direction)
            assert table[f"line:{line.name}:{direction}"].tolist() == own_counts(table, crossed)
    for zone in SCENE.zones:
        entered, left = simulated.stays(zone.name)
        assert table[f"zone:{zone.name}:stays"].tolist() == own_counts(table, np.unique(left))
        stayed = table[f"zone:{zone.name}:stays"] > 0
        sums = table[f"zone:{zone.name}:stay_mean_s"][stayed] * table[f"zone:{zone.name}:stays"][stayed]
        assert sums.sum() == pytest.approx(((left - entered) / 1000).sum())
        assert np.nanmax(table[f"zone:{zone.name}:stay_max_s"]) == pytest.approx((left - entered).max() / 1000)
    assert table["seen"].sum() == len(simulated.times_ms)


def test_days_have_23_hours_where_the_clocks_are_set_forward(filled: redis.Redis) -> None:
    table = read_history(filled, "0", START, END, every="1d", time_zone=BERLIN)
    assert ((table["end"] - table["start"]) / np.timedelta64(1, "h")).tolist() == [24, 23, 24]
    assert len(read_history(filled, "0", START, END, every="1h", time_zone=BERLIN)) == 71


def test_the_table_says_what_comes_from_compactions(filled: redis.Redis, simulated: Simulation) -> None:
    table = read_history(filled, "0", START, END, every="6h", time_zone=BERLIN)
    newest = simulated.end_ms - 1000 * STEP_S
    whole = table["start"].astype(np.int64) >= newest - schema.RAW_RETENTION_MS
    assert table["source"].tolist() == [SAMPLES if each else MINUTES for each in whole]
    assert {SAMPLES, MINUTES} == set(table["source"])


def test_means_and_extremes_are_those_of_the_samples(filled: redis.Redis, simulated: Simulation) -> None:
    table = read_history(filled, "0", START, END, every="1h", time_zone=BERLIN)
    came, went = simulated.times_ms[:, 0], simulated.times_ms[:, 3]
    for row in (10, 34, 60):
        start, end = (int(table[name][row].astype(np.int64)) for name in ("start", "end"))
        own = people_at(np.arange(start, end, 1000 * STEP_S), came, went)
        assert table["people_mean"][row] == pytest.approx(own.mean())
        assert (table["people_min"][row], table["people_max"][row]) == (own.min(), own.max())


def test_a_time_that_does_not_begin_with_a_minute(filled: redis.Redis, simulated: Simulation) -> None:
    seen = simulated.times_ms[:, 0]
    exact = read_history(filled, "0", "2026-03-30 10:07:13", "2026-03-30 12:30:01", every="1h", time_zone=BERLIN)
    assert len(exact) == 3
    assert exact["seen"].tolist() == own_counts(exact, seen // 1000 * 1000)  # summed by the second
    # of what is older there are only whole minutes, so the table begins and ends with one
    widened = read_history(filled, "0", "2026-03-28 10:07:13", "2026-03-28 12:30:01", every="1h", time_zone=BERLIN)
    minutes = [str(each)[11:19] for each in (widened["start"][0], widened["end"][-1])]
    assert minutes == ["09:07:00", "11:31:00"]  # UTC
    assert widened["seen"].tolist() == own_counts(widened, seen)
    with pytest.raises(ConfigurationError, match="ask for periods of whole minutes"):
        read_history(filled, "0", "2026-03-28 10:00", "2026-03-28 11:00", every="10s", time_zone=BERLIN)


def test_a_time_without_frames_has_no_figures_and_a_time_without_people_has_zeros(filled: redis.Redis) -> None:
    table = read_history(filled, "0", "2026-03-30 22:00", "2026-03-31 02:00", every="1h", time_zone=BERLIN)
    assert np.isnan(table["people_mean"]).tolist() == [False, False, True, True]
    assert np.isnan(table["seen"]).tolist() == [False, False, True, True]
    night = read_history(filled, "0", "2026-03-29 03:00", "2026-03-29 05:00", every="1h", time_zone=BERLIN)
    for name in ("people_max", "seen", "line:door:forward", "zone:desk:stays"):
        assert night[name].tolist() == [0, 0]
    assert np.isnan(night["zone:desk:stay_mean_s"]).all()


def test_what_is_older_than_the_compactions_has_expired(bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    newest = moment_ms("2026-07-01T12:00Z", ZONE)
    key = schema.series_key("0", schema.PEOPLE)
    for at in range(newest - 100 * 86_400_000, newest + 1, 86_400_000):
        call(bare_client, "TS.ADD", key, at, 2)
    table = read_history(bare_client, "0", newest - 95 * 86_400_000, newest + 1, every="1d", time_zone="UTC")
    expired = table["source"] == EXPIRED
    assert expired.sum() in (4, 5)
    assert np.isnan(table["people_mean"][expired]).all()
    assert (table["people_mean"][~expired] == 2).all()


def test_the_busiest_periods(filled: redis.Redis) -> None:
    table = read_history(filled, "0", START, END, every="1h", time_zone=BERLIN)
    busiest = busiest_periods(table, by="seen", count=4)
    assert busiest["seen"].tolist() == sorted(table["seen"].tolist(), reverse=True)[:4]
    row = int(np.flatnonzero(table["start"] == busiest["start"][0])[0])
    assert table["seen"][row] == busiest["seen"][0]
    with pytest.raises(ConfigurationError, match="by='wrong' is no column of figures: take one of people_mean"):
        busiest_periods(table, by="wrong")


def test_the_usual_time_is_the_last_day(filled: redis.Redis, simulated: Simulation) -> None:
    newest = simulated.end_ms - 1000 * STEP_S
    assert str(read_history(filled, "0", every="1h")["end"][-1]) == str(np.datetime64(newest + 1, "ms"))
    short = read_history(filled, "0", timedelta(hours=2), every="1h")
    assert short["end"][-1] - short["start"][0] == np.timedelta64(2, "h")


def test_a_camera_without_series(bare_client: redis.Redis) -> None:
    with pytest.raises(NoDataError, match="camera 7 has no"):
        read_history(bare_client, "7", START, END)
    with pytest.raises(NoDataError, match="camera 7 has no series camera:7:people: create them with `rededge init"):
        read_history(bare_client, "7")
    create_series(bare_client, "7")
    with pytest.raises(NoDataError, match="camera 7 has no samples: start a capture"):
        read_history(bare_client, "7")


def test_a_simulation_does_not_replace_a_real_camera(bare_client: redis.Redis, simulated: Simulation) -> None:
    bare_client.xadd("camera:real", {"count": 1})
    with pytest.raises(ConfigurationError, match="camera real has frames or detections"):
        write_simulation(bare_client, "real", simulated)
    assert bare_client.xlen("camera:real") == 1
