"""The rows of the table: value, bar, and whether the bar was met; as text, Markdown and JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy
import onnxruntime

from rededge_nb import __version__
from rededge_nb.edge import processors

RESULTS = Path(__file__).parent / "results"
"""Where the results go, with `.md` and `.json` added."""


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        value: None where it could not be measured; the name says why then.
        bar: What it is held to, if anything.
        good: Whether more is better, or less.
    """

    name: str
    value: float | None
    unit: str
    bar: float | None = None
    good: Literal["more", "less"] = "less"

    @property
    def met(self) -> bool | None:
        """Whether the bar was met; None without a bar."""
        if self.bar is None:
            return None
        if self.value is None:
            return False
        # bool: NumPy's numbers compare to NumPy's truth, which JSON does not know
        return bool(self.value >= self.bar if self.good == "more" else self.value <= self.bar)

    def cells(self) -> tuple[str, str, str]:
        """Name, value and outcome, as text."""
        value = "-" if self.value is None else f"{self.value:,.4g}" if self.value < 1000 else f"{self.value:,.0f}"
        if self.bar is None:
            return self.name, f"{value} {self.unit}".strip(), ""
        limit = f"at {'least' if self.good == 'more' else 'most'} {self.bar:g}"
        return self.name, f"{value} {self.unit}".strip(), f"{limit}: {'met' if self.met else 'MISSED'}"


def as_text(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    cells = [row.cells() for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    return "".join(f"{name:<{widths[0]}}  {value:>{widths[1]}}  {bar}".rstrip() + "\n" for name, value, bar in cells)


def as_markdown(rows: Sequence[Row], seconds: float) -> str:
    """The table with machine, versions and date."""
    missed = sum(row.met is False for row in rows)
    lines = [
        "# What `make bench` measured",
        "",
        f"{time.strftime('%Y-%m-%d %H:%M %Z')}, in {seconds / 60:.1f} minutes. {machine()}. {versions()}.",
        "",
        f"{missed} of {sum(row.met is not None for row in rows)} bars missed." if missed else "All bars met.",
        "[README](README.md) says what each row is.",
        "",
        "| what | measured | bar |",
        "| --- | ---: | --- |",
        *("| {} | {} | {} |".format(*row.cells()) for row in rows),
        "",
    ]
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> str:
    """The rows as a list of objects."""
    fields = [
        {
            "name": row.name,
            "value": None if row.value is None else float(row.value),
            "bar": row.bar,
            "unit": row.unit,
            "met": row.met,
        }
        for row in rows
    ]
    return json.dumps(fields, indent=2) + "\n"


def write(rows: Sequence[Row], seconds: float, target: Path = RESULTS) -> None:
    """Write `results.md` and `results.json`."""
    target.with_suffix(".md").write_text(as_markdown(rows, seconds))
    target.with_suffix(".json").write_text(as_json(rows))


def machine() -> str:
    """Processor, cores that may be used, memory, system."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{_processor()}, {processors.count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def versions() -> str:
    """What ran."""
    return (
        f"rededge_nb {__version__}, Python {platform.python_version()}, ONNX Runtime {onnxruntime.__version__}, "
        f"NumPy {numpy.__version__}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
