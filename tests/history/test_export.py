"""Exports: what is read back equals what Redis has; times keep their moment and their time zone in each format."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import redis

from rededge_nb import schema
from rededge_nb.analytics.saved_tracker import SavedTracker
from rededge_nb.analytics.tracking import Tracker
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.history.by_period import read_history
from rededge_nb.history.export import iso_texts, write_file, write_text
from rededge_nb.history.export_rows import count_rows, sample_rows, track_rows
from rededge_nb.history.periods import parse_period
from rededge_nb.history.simulation import Simulation, simulate, write_simulation
from rededge_nb.reading.series import call
from rededge_nb.time_zones import moment_ms
from tests.bare import bare_server

pytest_plugins = ("tests.bare_fixtures",)

ZONE = ZoneInfo("Europe/Berlin")
START_MS, END_MS = moment_ms("2026-10-25", ZONE), moment_ms("2026-10-26", ZONE)
"""A day with 25 hours."""
FORMATS = ("csv", "jsonl", "parquet")


@pytest.fixture(scope="module")
def simulated() -> Simulation:
    return simulate(START_MS, 1, seed=5, zone=ZONE)


@pytest.fixture(scope="module")
def filled(simulated: Simulation) -> Iterator[redis.Redis]:
    with bare_server() as server:
        client = server.client()
        write_simulation(client, "0", simulated, step_s=10)
        yield client
        client.close()


def read_back(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.suffix == ".jsonl" else []
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.DataFrame(lines)
    for name in {"start", "end", "time"} & set(frame.columns):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.tz_convert(ZONE)
    return frame


def milliseconds(times: pd.Series) -> list[int]:
    return [round(each.timestamp() * 1000) for each in times]


@pytest.mark.parametrize("form", FORMATS)
def test_samples_are_those_of_redis(filled: redis.Redis, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"samples.{form}"
    names = ("people", "seen", "zone:desk:dwell", "line:side:forward")
    rows = write_file(path, sample_rows(filled, "0", START_MS, END_MS, names), ZONE)
    frame = read_back(path)
    assert len(frame) == rows
    for name in names:
        stored = call(filled, "TS.RANGE", schema.series_key("0", name), "-", "+")
        part = frame[frame["series"] == name]
        found = list(zip(milliseconds(part["time"]), part["value"].tolist(), strict=True))
        assert found == [(int(at), float(value)) for at, value in stored]
    assert set(frame["series"]) == {"people", "seen", "zone:desk:dwell"}, "nobody crossed the other line so"


@pytest.mark.parametrize("form", FORMATS)
def test_counts_keep_their_times_time_zone_and_missing_figures(filled: redis.Redis, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"counts.{form}"
    write_file(path, count_rows(filled, "0", START_MS, END_MS, parse_period("1h"), ZONE), ZONE)
    expected = read_history(filled, "0", START_MS, END_MS, every="1h", time_zone="Europe/Berlin").to_pandas()
    frame = read_back(path)
    assert list(frame.columns) == list(expected.columns)
    assert len(frame) == 25
    assert [each.isoformat() for each in frame["start"]] == [each.isoformat() for each in expected["start"]]
    for name in expected.columns.drop(["start", "end"]):
        # pandas reads a column of JSON in which all is missing as objects
        found = frame[name].astype(expected[name].dtype)
        pd.testing.assert_series_equal(found, expected[name], check_dtype=False)
    assert frame["zone:desk:stay_mean_s"].isna().any()


def test_files_state_the_time_zone(filled: redis.Redis, tmp_path: Path) -> None:
    texts = {}
    for form in FORMATS:
        path = tmp_path / f"counts.{form}"
        write_file(path, count_rows(filled, "0", START_MS, END_MS, parse_period("1h"), ZONE), ZONE)
        texts[form] = path.read_bytes()
    assert pyarrow.parquet.read_schema(tmp_path / "counts.parquet").field("start").type.tz == "Europe/Berlin"
    assert b"\n2026-10-25T02:00:00.000+02:00,2026-10-25T02:00:00.000+01:00," in texts["csv"]
    lines = [json.loads(line) for line in texts["jsonl"].splitlines()]
    assert [each["start"] for each in lines[2:4]] == ["2026-10-25T02:00:00.000+02:00", "2026-10-25T02:00:00.000+01:00"]


def test_paths_are_those_of_the_visitors(filled: redis.Redis, simulated: Simulation, tmp_path: Path) -> None:
    write_file(tmp_path / "tracks.parquet", track_rows(filled, "0", START_MS, END_MS), ZONE)
    frame = pd.read_parquet(tmp_path / "tracks.parquet")
    assert len(frame) == 4 * len(simulated.times_ms)
    for row in (0, len(simulated.times_ms) // 2):
        part = frame[frame["track"] == row + 1]
        assert milliseconds(part["time"]) == simulated.times_ms[row].tolist()
        np.testing.assert_allclose(part[["x", "y"]].to_numpy(), simulated.points[row], atol=1e-4)


def test_paths_include_people_who_are_still_in_view(bare_client: redis.Redis) -> None:
    tracker = Tracker(next_id=3)
    for ts_ms in (9_000, 9_500):
        tracker.step([(10, 10, 40, 90, 0.9)], ts_ms, (400, 100))
    bare_client.set(schema.tracker_key("0"), SavedTracker("9-0", tracker.to_state()).to_text())
    parts = [columns for columns, _ in track_rows(bare_client, "0", 0, 10_000)]
    assert {int(each) for part in parts for each in part["track"]} == {3}


def test_an_export_is_made_of_small_parts_and_says_how_far_it_is(filled: redis.Redis) -> None:
    for rows in (
        sample_rows(filled, "0", START_MS, END_MS),
        track_rows(filled, "0", START_MS, END_MS),
        count_rows(filled, "0", START_MS + 2 * 3_600_000, END_MS, parse_period("10s"), ZONE),
    ):
        parts = list(rows)
        shares = [share for _, share in parts]
        assert shares == sorted(shares)
        assert 0.9 < shares[-1] <= 1.0
        assert max(len(next(iter(columns.values()))) for columns, _ in parts) <= 20_000


def test_an_export_without_rows_has_its_columns(bare_client: redis.Redis, tmp_path: Path) -> None:
    for form in FORMATS:
        assert write_file(tmp_path / f"none.{form}", track_rows(bare_client, "0", 0, 1), ZONE) == 0
    assert (tmp_path / "none.csv").read_text() == "track,time,x,y\n"
    assert (tmp_path / "none.jsonl").read_text() == ""
    assert pd.read_parquet(tmp_path / "none.parquet").columns.tolist() == ["track", "time", "x", "y"]


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield {"x": np.array([1.0])}, 0.5
        raise NoDataError("on purpose")

    (tmp_path / "old.csv").write_text("old")
    with pytest.raises(NoDataError):
        write_file(tmp_path / "old.csv", broken(), ZONE)
    assert [each.name for each in tmp_path.iterdir()] == ["old.csv"]
    assert (tmp_path / "old.csv").read_text() == "old"


def test_a_name_without_a_known_format_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'counts\.xls' does not say the format"):
        write_file(tmp_path / "counts.xls", [], ZONE)
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        write_file(tmp_path / "nowhere" / "counts.csv", [], ZONE)


def test_unknown_series_are_named(filled: redis.Redis) -> None:
    with pytest.raises(NoDataError, match=r"has no series wrong; it has .*people"):
        list(sample_rows(filled, "0", START_MS, END_MS, ["people", "wrong"]))


def test_texts_of_times_are_exact() -> None:
    times = np.array(["1999-12-31T23:59:59.999", "2026-10-25T00:30", "2026-10-25T01:30:00.001"], "datetime64[ms]")
    assert iso_texts(times, ZONE) == [
        "2000-01-01T00:59:59.999+01:00",
        "2026-10-25T02:30:00.000+02:00",
        "2026-10-25T02:30:00.001+01:00",
    ]
    assert iso_texts(times[:0], ZONE) == []


def test_rows_can_go_to_an_open_file(filled: redis.Redis) -> None:
    file = io.BytesIO()
    rows = write_text(file, "csv", sample_rows(filled, "0", START_MS, END_MS, ["seen"]), ZONE)
    assert len(file.getvalue().splitlines()) == rows + 1
