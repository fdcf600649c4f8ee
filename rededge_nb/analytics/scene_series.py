"""The time series of lines and zones: names, labels, compactions, and the commands that create and rename them.

A series is named by its key without that of the camera: `line:door:forward` of camera 0 has the key
`camera:0:line:door:forward`. Its labels are `camera`, `line` or `zone` with the name, and `__name__`, which is the same
for all lines: `line_forward`. So `TS.MRANGE … FILTER __name__=line_forward` finds all doors of a building.

The commands are words for Redis; whoever sends them decides when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rededge_nb.analytics.scene import Scene

Command = tuple[str | int | float, ...]

LINE_SERIES: Final = ("forward", "backward")
"""Crossings of a line, summed in each second."""
ZONE_SERIES: Final = ("people", "dwell")
"""People in a zone, in each frame; and the seconds that each of them stayed, at the time they left."""

COMPACTION_MINUTES: Final = (1, 15, 60)
MINUTE_MS: Final = 60_000
RAW_RETENTION_MS: Final = 24 * 60 * MINUTE_MS
COMPACTION_RETENTION_MS: Final = 90 * 24 * 60 * MINUTE_MS


def line_series(name: str) -> tuple[str, ...]:
    """The series of a line: forward and backward."""
    return tuple(f"line:{name}:{what}" for what in LINE_SERIES)


def zone_series(name: str) -> tuple[str, ...]:
    """The series of a zone: people and dwell times."""
    return tuple(f"zone:{name}:{what}" for what in ZONE_SERIES)


def series_of(scene: Scene) -> tuple[str, ...]:
    """The series of all lines and zones of a scene."""
    lines = [series for line in scene.lines for series in line_series(line.name)]
    return (*lines, *(series for zone in scene.zones for series in zone_series(zone.name)))


def sums(series: str) -> bool:
    """Whether what happens in one second is added to one sample."""
    return series.startswith("line:")


def keys_of(camera_key: str, series: str) -> list[tuple[str, int]]:
    """The key of a series and those of its compactions, each with its retention in milliseconds."""
    compactions = [(key, COMPACTION_RETENTION_MS) for key, _, _, _ in _compactions(camera_key, series)]
    return [(f"{camera_key}:{series}", RAW_RETENTION_MS), *compactions]


def create_commands(camera_key: str, series: str) -> Iterator[Command]:
    """The commands that create a series, its compactions and their rules."""
    key, policy = f"{camera_key}:{series}", "SUM" if sums(series) else "LAST"
    labels = _labels(camera_key, series)
    yield ("TS.CREATE", key, "RETENTION", RAW_RETENTION_MS, "DUPLICATE_POLICY", policy, "LABELS", *labels)
    for compaction, suffix, aggregation, minutes in _compactions(camera_key, series):
        labels = _labels(camera_key, series, suffix)
        yield ("TS.CREATE", compaction, "RETENTION", COMPACTION_RETENTION_MS, "LABELS", *labels)
        yield ("TS.CREATERULE", key, compaction, "AGGREGATION", aggregation, minutes * MINUTE_MS)


def rename_commands(camera_key: str, series: str, new: str) -> Iterator[Command]:
    """The commands that give a series, and its compactions, another name; all data and rules stay."""
    suffixes = ["", *(suffix for _, suffix, _, _ in _compactions(camera_key, series))]
    for (old_key, _), (new_key, _), suffix in zip(
        keys_of(camera_key, series), keys_of(camera_key, new), suffixes, strict=True
    ):
        yield ("RENAME", old_key, new_key)
        yield ("TS.ALTER", new_key, "LABELS", *_labels(camera_key, new, suffix))


def _compactions(camera_key: str, series: str) -> list[tuple[str, str, str, int]]:
    """Of each compaction: the key, the end of its name, the aggregation and the minutes."""
    aggregations: Sequence[str] = ("sum",) if sums(series) else ("avg", "max")
    if series.endswith(":dwell"):
        aggregations = (*aggregations, "sum", "count")  # how many stays there were, and their mean over a longer time
    return [
        (f"{camera_key}:{series}:{aggregation}:{minutes}m", f"_{aggregation}_{minutes}m", aggregation, minutes)
        for minutes in COMPACTION_MINUTES
        for aggregation in aggregations
    ]


def _labels(camera_key: str, series: str, suffix: str = "") -> Command:
    kind, name, what = series.split(":")
    return ("camera", camera_key.split(":", 1)[1], "__name__", f"{kind}_{what}{suffix}", kind, name)
