"""The samples that a frame adds to the series of its camera, as words for Redis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from rededge_nb.analytics import scene_series
from rededge_nb.analytics.scene_series import Command

SUMMED: Final = ("in_fps", "out_fps", "looked_fps", "seen", "different")
"""Series of a camera in which what happens in one second is added to one sample (duplicate policy SUM)."""


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


def create_commands(camera_key: str, series: str) -> Iterator[Command]:
    """The commands that create a series which the camera does not have."""
    if ":" in series:
        yield from scene_series.create_commands(camera_key, series)
    else:
        policy = "SUM" if series in SUMMED else "LAST"
        labels = ("LABELS", "camera", camera_key.split(":", 1)[1], "__name__", series)
        yield ("TS.CREATE", f"{camera_key}:{series}", "DUPLICATE_POLICY", policy, *labels)
