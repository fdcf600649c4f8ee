"""A table with columns of numbers and times, for pandas, Arrow and NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from rededge_nb.display.tables import Table
from rededge_nb.errors import ConfigurationError
from rededge_nb.time_zones import local_time, zone_note

_SHOWN = 20
"""Rows that a notebook or a terminal shows."""


class DataTable:
    """Columns of the same length, by name.

    `table["people_mean"]` is a NumPy array. Times are `datetime64[ms]` in UTC; `to_pandas` and `to_arrow` give them the
    time zone, and so does what is shown. A missing number is NaN.

    Args:
        columns: One-dimensional arrays by name.
        zone: The time zone of whoever asked.
        title: What the table is, in words.
        note: What is to be known about its figures, which is shown above them.

    Attributes:
        time_zone: Name of the time zone.
        note: As given.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]], zone: ZoneInfo, *, title: str = "", note: str = "") -> None:
        self._columns = dict(columns)
        self._zone = zone
        self._title = title
        self.note = note
        self.time_zone = zone.key

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column.

        Raises:
            KeyError: there is none of this name; the message lists those that there are.
        """
        if name not in self._columns:
            raise KeyError(f"there is no column {name!r}; there are {', '.join(self._columns)}")
        return self._columns[name]

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def take(self, rows: NDArray[Any]) -> DataTable:
        """The rows with these numbers, or those where a boolean array is true."""
        chosen = {name: values[rows] for name, values in self._columns.items()}
        return DataTable(chosen, self._zone, title=self._title, note=self.note)

    def select(self, *columns: str) -> DataTable:
        """Only these columns, in this order.

        Raises:
            KeyError: one of them does not exist.
        """
        return DataTable({name: self[name] for name in columns}, self._zone, title=self._title, note=self.note)

    def to_numpy(self) -> NDArray[Any]:
        """A structured array: one record for each row, with the columns as its fields."""
        array = np.empty(len(self), [(name, values.dtype) for name, values in self._columns.items()])
        for name, values in self._columns.items():
            array[name] = values
        return array

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`; times have the time zone.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        pandas = import_library("pandas")
        frame = pandas.DataFrame(self._columns)
        for name, values in self._columns.items():
            if values.dtype.kind == "M":
                frame[name] = pandas.Series(values).dt.tz_localize("UTC").dt.tz_convert(self._zone)
        return frame

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`; times have the time zone.

        Raises:
            ConfigurationError: pyarrow is not installed.
        """
        arrow = import_library("pyarrow")
        return arrow.table({name: arrow_column(arrow, values, self._zone) for name, values in self._columns.items()})

    def __repr__(self) -> str:
        return f"{self._caption()}\n{self._table()!r}"

    def _repr_markdown_(self) -> str:
        return f"{self._caption()}\n\n{self._table()._repr_markdown_()}"

    def _caption(self) -> str:
        note = f"{len(self)} row{'' if len(self) == 1 else 's'}"
        note += f", the first {_SHOWN} are shown" if len(self) > _SHOWN else ""
        times = [values for values in self._columns.values() if values.dtype.kind == "M" and len(values)]
        moments = [int(values[at].astype(np.int64)) for values in times for at in (0, -1)]
        caption = f"{self._title}: {note}; times in {zone_note(self._zone, *moments)}".removeprefix(": ")
        return f"{caption}; {self.note}" if self.note else caption

    def _table(self) -> Table:
        columns = [[self._shown(value) for value in values[:_SHOWN]] for values in self._columns.values()]
        return Table(list(self._columns), zip(*columns, strict=True))

    def _shown(self, value: Any) -> object:
        if isinstance(value, np.datetime64):
            return f"{local_time(int(value.astype(np.int64)), self._zone):%Y-%m-%d %H:%M:%S}"
        if isinstance(value, np.floating):
            return "-" if np.isnan(value) else round(float(value), 2) if value % 1 else int(value)
        return value.item() if isinstance(value, np.generic) else value


def arrow_column(arrow: Any, values: NDArray[Any], zone: ZoneInfo) -> Any:
    """A column as pyarrow has it: times with the time zone, and NaN as null."""
    if values.dtype.kind == "M":
        return arrow.array(values.astype("datetime64[ms]"), arrow.timestamp("ms", tz=zone.key))
    if values.dtype.kind == "f":
        return arrow.array(values, mask=np.isnan(values))
    return arrow.array(values.tolist(), arrow.string()) if values.dtype.kind in "OU" else arrow.array(values)


def import_library(name: str) -> Any:
    """A library of the extra `history`.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"this needs {error.name}: pip install 'rededge_nb[history]'") from error
