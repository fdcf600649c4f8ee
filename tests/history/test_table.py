"""A table for pandas, Arrow and NumPy: values, missing ones, and the time zone."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from rededge_nb.history.table import DataTable

TIMES = np.array(["2026-03-29T00:30", "2026-03-29T01:30"], "datetime64[ms]")


@pytest.fixture
def table() -> DataTable:
    columns = {"start": TIMES, "people": np.array([1.5, np.nan]), "source": np.array(["a", "b"], object)}
    return DataTable(columns, ZoneInfo("Europe/Berlin"), title="camera 0")


def test_pandas_has_the_time_zone_and_the_values(table: DataTable) -> None:
    frame = table.to_pandas()
    assert list(frame.columns) == ["start", "people", "source"]
    assert [each.isoformat() for each in frame["start"]] == ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]
    assert str(frame["start"].dt.tz) == "Europe/Berlin"
    assert frame["people"].isna().tolist() == [False, True]


def test_arrow_has_the_time_zone_and_nulls(table: DataTable) -> None:
    arrow = table.to_arrow()
    assert arrow.schema.field("start").type.tz == "Europe/Berlin"
    assert arrow["people"].to_pylist() == [1.5, None]
    assert [each.timestamp() for each in arrow["start"].to_pylist()] == (TIMES.astype(np.int64) / 1000).tolist()


def test_numpy_has_a_field_for_each_column(table: DataTable) -> None:
    array = table.to_numpy()
    assert array.dtype.names == ("start", "people", "source")
    assert array["start"].tolist() == TIMES.tolist()


def test_what_is_shown_has_local_times_and_names_the_time_zone(table: DataTable) -> None:
    shown = repr(table)
    assert "camera 0: 2 rows; times in Europe/Berlin, UTC+01:00 to UTC+02:00" in shown
    assert "2026-03-29 03:30:00" in shown
    assert "| 2026-03-29 01:30:00 | 1.5 | a |" in table._repr_markdown_()


def test_some_rows_and_columns(table: DataTable) -> None:
    part = table.select("source", "start").take(np.array([1]))
    assert (part.columns, len(part), part["source"].tolist()) == (["source", "start"], 1, ["b"])
    with pytest.raises(KeyError, match="no column 'wrong'"):
        table.select("wrong")


def test_a_column_that_is_not_there(table: DataTable) -> None:
    with pytest.raises(KeyError, match="no column 'wrong'; there are start, people, source"):
        table["wrong"]
