"""The runs in a folder: what each has found out, which still run, and which were killed; figures side by side.

A run holds a lock on a file in its folder, which the system releases however its process ends. So a run without a final
summary and without this lock was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rededge_nb.analytics.counted import counted_of
from rededge_nb.display.colors import BLUE
from rededge_nb.display.tables import Table
from rededge_nb.errors import ConfigurationError, NoDataError
from rededge_nb.time_zones import find_zone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUN_FOLDER = re.compile(r"\d{8}-\d{6}Z?\+*")
"""Names of the folders that runs make, with the time in UTC, so that they sort by age when the clocks change."""
SUMMARY = "summary.json"

_LOCK = ".running"
_NOT_COMPARED = (
    "schema_version",
    "people_over_time",
    "count_over_time",
    "heat_map",
    "notebooks",
    "versions",
    "attempt",
)


@dataclass(frozen=True)
class Run:
    """A run of the pipeline.

    Attributes:
        folder: Its folder, whose name is the name of the run.
        outcome: `done`, `failed`, `running` or `killed`.
        summary: What its summary.json has; see docs/reference/summary.md.
    """

    folder: Path
    outcome: str
    summary: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.folder.name

    def figures(self) -> dict[str, float]:
        """All numbers of the summary that can be compared, by their names there, such as `people.mean`."""
        return figures_of(self.summary)


class Runs(Sequence[Run]):
    """The runs in a folder, the newest first: a table in a notebook.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = list(runs)

    def __getitem__(self, index: Any) -> Any:
        """A run, or the runs of a slice."""
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def table(self) -> Table:
        """Each run with its start, outcome, and most important figures."""
        return Table(
            ("run", "outcome", "video", "camera", "seconds", "seen", "in view, mean", "error"),
            [_row(each) for each in self._runs],
        )

    def compare(self, *names: str) -> Table:
        """Figures of these runs side by side, or of all; with two runs the difference, too."""
        chosen = [self.named(name) for name in names] or list(reversed(self._runs))
        return compare(chosen)

    def plot(self, figure: str = "people.mean", *, ax: Axes | None = None) -> Axes:
        """Plot a figure over all runs that have it, by the time at which they started.

        Args:
            figure: Its name in the summary, such as `people.mean`, `lines.door.in` or `recorded.queue`.
            ax: Axes to draw in.

        Raises:
            NoDataError: no run has this figure.
        """
        from matplotlib.dates import date2num

        from rededge_nb.display.axes import axes_in, finish_times

        found = [
            (datetime.fromisoformat(each.summary["started"]), figures[figure])
            for each in reversed(self._runs)
            if figure in (figures := each.figures())
        ]
        if not found:
            known = ", ".join(sorted({name for each in self._runs for name in each.figures()})) or "none"
            raise NoDataError(f"no run has the figure {figure!r}; there are: {known}")
        times = date2num([at for at, _ in found])  # type: ignore[no-untyped-call]
        with axes_in(ax) as axes:
            axes.plot(times, [value for _, value in found], "o-", color=BLUE, markersize=4, linewidth=1)
            finish_times(axes, find_zone())
            axes.margins(x=0.02)
            axes.set_title(f"{figure} of {len(found)} runs")
        return axes

    def named(self, name: str) -> Run:
        """The run of this name; `latest` is the newest one.

        Raises:
            NoDataError: there is none.
        """
        if name == "latest" and self._runs:
            return self._runs[0]
        found = [each for each in self._runs if each.name == name]
        if not found:
            known = ", ".join(each.name for each in self._runs[:5]) or "none"
            raise NoDataError(f"there is no run {name}; the newest are: {known}")
        return found[0]

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_markdown_(self) -> str:
        return self.table()._repr_markdown_()


def figures_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """All numbers of a summary that can be compared, by their names there, such as `people.mean`."""
    chosen = {name: value for name, value in summary.items() if name not in _NOT_COMPARED}
    if isinstance(few := chosen.get("too_few_frames"), dict):  # its times are those of the run
        chosen["too_few_frames"] = {"frames_per_second": few.get("frames_per_second")}
    return dict(_numbers(chosen))


def read_runs(output: Path) -> Runs:
    """The runs that were made in a folder, the newest first.

    Raises:
        NoDataError: there is no such folder.
    """
    if not output.is_dir():
        raise NoDataError(
            f"there is no folder {output} of runs: name it with -o, or make a run (`rededge pipeline run`)"
        )
    folders = sorted(path for path in output.iterdir() if RUN_FOLDER.fullmatch(path.name) and path.is_dir())
    return Runs([_read(folder) for folder in reversed(folders)])


def compare(runs: Sequence[Run]) -> Table:
    """The figures of runs side by side, each in a row; figures that are the same in all runs come last.

    Raises:
        ConfigurationError: there are fewer than two runs.
    """
    if len(runs) < 2:
        raise ConfigurationError(f"{len(runs)} runs cannot be compared: name two or more")
    every = [each.figures() for each in runs]
    names = list(dict.fromkeys(name for figures in every for name in figures))
    values = {name: [figures.get(name) for figures in every] for name in names}
    names.sort(key=lambda name: len(set(values[name])) == 1)
    header, rows = ["figure", *(each.name for each in runs)], []
    for name in names:
        row = [name, *("-" if value is None else _text(value) for value in values[name])]
        if len(runs) == 2:
            before, after = values[name]
            row.append("-" if before is None or after is None else f"{after - before:+.6g}")
        rows.append(row)
    return Table([*header, "difference"] if len(runs) == 2 else header, rows)


@contextlib.contextmanager
def marked_as_running(folder: Path) -> Iterator[None]:
    """Let others see that the run in this folder goes on, until this block or this process ends."""
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            (folder / _LOCK).unlink(missing_ok=True)


def killed_run(output: Path, pid: int) -> str:
    """Name of the run that a process was making when it was killed; empty if it was making none."""
    for folder in sorted(output.glob(f"*/{_LOCK}"), reverse=True):
        with contextlib.suppress(OSError):
            if folder.read_text() == str(pid):
                return folder.parent.name
    return ""


def _read(folder: Path) -> Run:
    try:
        summary = json.loads((folder / SUMMARY).read_text())
        if not isinstance(summary, dict):
            raise TypeError("it is no JSON object")
    except FileNotFoundError:
        return Run(folder, "running" if _is_running(folder) else "killed", {})
    except (ValueError, TypeError, OSError) as error:
        return Run(folder, "failed", {"error": f"{folder / SUMMARY} cannot be read: {error}"})
    return Run(folder, str(summary.get("outcome", "failed")), summary)


def _is_running(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _row(run: Run) -> tuple[object, ...]:
    counted = counted_of(run.summary)
    people = run.summary.get(counted.series) or {}
    error = str(run.summary.get("error") or "").split("\n")[0][:80]
    known = (run.summary.get(name) for name in ("source", "camera", "seconds"))
    texts = ["-" if value is None else _text(value) for value in (*known, people.get("seen"), people.get("mean"))]
    if run.summary.get("too_few_frames"):
        texts[-2] += " (not reliable)"
    if not counted.is_people and texts[-1] != "-":
        texts[-1] += f" {counted.plural}"
    return (run.name, run.outcome, *texts, error)


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(inner, f"{path}.{name}".strip("."))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
