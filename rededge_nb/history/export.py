"""Write rows to a file: Parquet, CSV or JSON Lines. Times keep their moment, and the file states the time zone.

In Parquet, times have the type timestamp with the time zone. In CSV and JSON Lines, they are ISO 8601 with the
difference to UTC, such as `2026-03-29T03:30:00.000+02:00`.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from rededge_nb.errors import ConfigurationError
from rededge_nb.history.export_rows import Part
from rededge_nb.history.table import arrow_column, import_library
from rededge_nb.time_zones import local_time

FORMATS = ("csv", "jsonl", "parquet")

_QUARTER_MS = 900_000

Columns = dict[str, NDArray[Any]]


def format_of(path: Path) -> str:
    """The format that the end of a file's name says.

    Raises:
        ConfigurationError: it says none.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise ConfigurationError(f"{path.name!r} does not say the format: let it end in .csv, .jsonl or .parquet")
    return suffix


def write_file(
    path: Path, parts: Iterable[Part], zone: ZoneInfo, *, progress: Callable[[float], object] | None = None
) -> int:
    """Write rows to a file, which is there only when it is complete; one of this name is replaced.

    Args:
        path: Its name ends in `.csv`, `.jsonl` or `.parquet`.
        parts: Such as those of `export_rows`.
        zone: Time zone in which times are written.
        progress: Called with the share that is done, 0 to 1.

    Returns:
        Number of rows.

    Raises:
        ConfigurationError: the name says no format, the file cannot be written, or pyarrow is not installed.
    """
    write = {"csv": _write_csv, "jsonl": _write_json_lines, "parquet": _write_parquet}[format_of(path)]
    try:
        with _replacing(path) as file:
            return write(file, _watched(parts, progress), zone)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from error


def write_text(file: IO[bytes], form: str, parts: Iterable[Part], zone: ZoneInfo) -> int:
    """Write rows as `csv` or `jsonl` to an open file; returns their number."""
    write = {"csv": _write_csv, "jsonl": _write_json_lines}[form]
    return write(file, (columns for columns, _ in parts), zone)


def iso_texts(times: NDArray[Any], zone: ZoneInfo) -> list[str]:
    """Times as ISO 8601 with milliseconds and the difference to UTC.

    Args:
        times: `datetime64[ms]`, UTC.
        zone: The time zone.
    """
    moments = times.astype("datetime64[ms]").astype(np.int64)
    # no time zone has changed its difference to UTC within a quarter of an hour since 1972
    quarters, of_quarter = np.unique(moments // _QUARTER_MS, return_inverse=True)
    locals_ = [local_time(int(each) * _QUARTER_MS, zone) for each in quarters]
    offsets = np.array([round(1000 * (each.utcoffset() or timedelta()).total_seconds()) for each in locals_], np.int64)
    suffixes = np.array([each.isoformat()[-6:] for each in locals_], "U6")
    if not len(moments):
        return []
    texts = np.datetime_as_string((moments + offsets[of_quarter]).astype("datetime64[ms]"), unit="ms")
    joined: list[str] = np.char.add(texts, suffixes[of_quarter]).tolist()
    return joined


def _write_csv(file: IO[bytes], parts: Iterator[Columns], zone: ZoneInfo) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer, rows = csv.writer(text, lineterminator="\n"), 0
    started = False
    for columns in parts:
        if not started:
            writer.writerow(columns)
            started = True
        lists = _values(columns, zone, missing="")
        writer.writerows(zip(*lists, strict=True))
        rows += len(lists[0])
    text.detach()
    return rows


def _write_json_lines(file: IO[bytes], parts: Iterator[Columns], zone: ZoneInfo) -> int:
    rows = 0
    for columns in parts:
        lists = _values(columns, zone, missing=None)
        lines = [json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in zip(*lists, strict=True)]
        file.write("".join(lines).encode())
        rows += len(lines)
    return rows


def _write_parquet(file: IO[bytes], parts: Iterator[Columns], zone: ZoneInfo) -> int:
    arrow, parquet = import_library("pyarrow"), import_library("pyarrow.parquet")
    writer, rows = None, 0
    try:
        for columns in parts:
            table = arrow.table({name: arrow_column(arrow, values, zone) for name, values in columns.items()})
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _values(columns: Columns, zone: ZoneInfo, *, missing: str | None) -> list[list[Any]]:
    """The values of each column as CSV and JSON have them."""
    return [
        iso_texts(values, zone)
        if values.dtype.kind == "M"
        else [missing if value != value else value for value in values.tolist()]  # NaN differs from itself
        for values in columns.values()
    ]


def _watched(parts: Iterable[Part], progress: Callable[[float], object] | None) -> Iterator[Columns]:
    for columns, share in parts:
        yield columns
        if progress is not None:
            progress(share)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when all is written."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
