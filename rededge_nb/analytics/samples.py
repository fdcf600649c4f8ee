"""The samples that a frame adds to the series of its camera, as words for Redis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from rededge_nb.analytics import scene_series
from rededge_nb.analytics.counted import COUNT_SERIES, PEOPLE, Counted
from rededge_nb.analytics.pace import TOO_FEW_FRAMES
from rededge_nb.analytics.scene_series import COMPACTION_RETENTION_MS, MINUTE_MS, RAW_RETENTION_MS, Command

SUMMED: Final = ("in_fps", "out_fps", "looked_fps", "seen", "different")
"""Series of a camera in which what happens in one second is added to one sample (duplicate policy SUM)."""

OF_CLASS: Final = (COUNT_SERIES, "seen", "detected", "different")
"""Series of a camera that say something about what is counted, besides `people` and those of lines and zones."""
_COMPACTIONS: Final = {
    COUNT_SERIES: tuple((aggregation, minutes) for minutes in (1, 5, 15) for aggregation in ("avg", "min", "max")),
    "seen": tuple(("sum", minutes) for minutes in (1, 15, 60)),
    TOO_FEW_FRAMES: (("min", 1),),
}
"""Aggregations and minutes of the compactions of a series; `rededge init` gives `people` those of `count`."""


class Sample(NamedTuple):
    """One sample.

    Attributes:
        series: Name of the series: its key without that of the camera.
        at_ms: The time.
        value: The value.
    """

    series: str
    at_ms: int
    value: float


def second_of(ts_ms: int) -> int:
    """The second that a time belongs to, in milliseconds."""
    return ts_ms // 1000 * 1000


def frame_samples(ts_ms: int, values: Mapping[str, float]) -> list[Sample]:
    """The samples of a frame, by series, at the frame's time; what is summed, at the second of that time."""
    return [Sample(name, second_of(ts_ms) if name in SUMMED else ts_ms, value) for name, value in values.items()]


def add_command(camera_key: str, samples: Iterable[Sample]) -> Command:
    """The command that adds samples; its reply has an error for each series that is missing."""
    words: list[str | int | float] = ["TS.MADD"]
    for series, at_ms, value in samples:
        words += (f"{camera_key}:{series}", at_ms, value)
    return tuple(words)


def create_commands(camera_key: str, series: str, counted: Counted = PEOPLE) -> Iterator[Command]:
    """The commands that create a series which the camera does not have.

    Args:
        camera_key: Key of the camera's frames.
        series: Name of the series.
        counted: What is counted. The series that depend on it say so in their labels.
    """
    what = tuple(word for pair in counted.fields.items() for word in pair)
    if ":" in series:
        for command in scene_series.create_commands(camera_key, series):
            yield (*command, *what) if "LABELS" in command else command
        return
    key, policy = f"{camera_key}:{series}", "SUM" if series in SUMMED else "LAST"
    what = what if series in OF_CLASS else ()
    retention = ("RETENTION", RAW_RETENTION_MS) if series in (*OF_CLASS, *_COMPACTIONS) else ()
    labels = ("camera", camera_key.split(":", 1)[1], "__name__")
    yield ("TS.CREATE", key, *retention, "DUPLICATE_POLICY", policy, "LABELS", *labels, series, *what)
    for aggregation, minutes in _COMPACTIONS.get(series, ()):
        compaction, name = f"{key}:{aggregation}:{minutes}m", f"{series}_{aggregation}_{minutes}m"
        yield ("TS.CREATE", compaction, "RETENTION", COMPACTION_RETENTION_MS, "LABELS", *labels, name, *what)
        yield ("TS.CREATERULE", key, compaction, "AGGREGATION", aggregation, minutes * MINUTE_MS)
