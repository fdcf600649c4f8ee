"""Key names, stream fields, series names and labels. No other module of the package spells them.

The names of EdgeRealtimeVideoAnalytics are kept, so that tools written for it find their data. In a Redis Cluster, keys
that do not belong to a camera get the tag of the shard (`edge.client.shard.key_here`). Gear scripts must not depend on
the package and spell the names themselves; a test compares them with this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rededge_nb.errors import ConfigurationError

CAMERAS_KEY = "cameras"
"""Set of the camera ids that the people counter is registered for."""

GEAR_SETTINGS_KEY = "people_counter:settings"
"""Hash with the settings of the running gear: model key, input size, thresholds."""

OWN_GEAR_KEY = "gear:people_counter"
"""The script that a user gave in place of the bundled people counter. The user `viewer` must not read it."""

# Fields of a frame entry (`camera:<id>`).
COUNT = "count"
"""Number of the frame, counted from 1, as decimal text."""
IMAGE = "image"
"""The encoded image; JPEG, unless the capture was given other files."""
TS = "ts"
"""Capture time in milliseconds since the epoch."""
KEEP = "keep"
"""`1` if the gear must not drop this frame, however late it is."""

# Fields of a detection entry (`camera:<id>:yolo`), besides TS, which it copies from the frame.
REF = "ref"
"""Entry id of the frame."""
BOXES = "boxes"
"""Flat JSON list `[x1, y1, x2, y2, …]`, pixels of the frame."""
PEOPLE = "people"
"""Number of boxes."""
CONFIDENCE = "confidence"
"""JSON list with one number for each box, 0 to 1."""
TRACKS = "tracks"
"""JSON list with one track id for each box, from gears with a tracker."""
MODEL = "model"
"""Key of the model."""
MS = "ms"
"""Milliseconds from reading the frame to its boxes."""

# Fields of an error entry (`camera:<id>:errors`), besides REF and TS.
REASON = "reason"

IN_FPS, OUT_FPS = "in_fps", "out_fps"
"""Series of the frames that arrived, and that were processed, in each second."""
LATENCY = "latency"
"""Series of the milliseconds from capture to result."""
GEAR_GROUP = "__gears_consumer_group__"
"""Name of the consumer group with which gears read streams; RedisGears uses the same."""

STEPS = ("read", "resize", "model", "script", "boxes", "store")
"""The steps of the gear, in order. Each has a series `prf_<step>`; `prf_total` is their sum."""
TOTAL = "prf_total"

MINUTE_MS = 60_000
COMPACTION_MINUTES = (1, 5, 15)
COMPACTION_AGGREGATIONS = ("avg", "min", "max")
RAW_RETENTION_MS = 24 * 60 * MINUTE_MS
COMPACTION_RETENTION_MS = 90 * 24 * 60 * MINUTE_MS

_CAMERA_ID = re.compile(r"[A-Za-z0-9_{}.-]{1,64}")


@dataclass(frozen=True)
class CompactionRule:
    """A series that RedisTimeSeries fills by aggregating another one.

    `bucket_ms` is in milliseconds. (EdgeRealtimeVideoAnalytics passed seconds, so each bucket had one sample.)
    """

    key: str
    name: str
    aggregation: str
    bucket_ms: int
    retention_ms: int


@dataclass(frozen=True)
class SeriesSpec:
    """How a series of a camera is created.

    `duplicate_policy` is `LAST` for measurements, so that a frame that is processed twice counts once. It is `SUM` for
    frames per second, where each frame adds 1 to the sample of its second.
    """

    key: str
    name: str
    labels: dict[str, str]
    duplicate_policy: str
    retention_ms: int
    rules: tuple[CompactionRule, ...] = ()


def camera_id(value: object) -> str:
    """Return `value` as a camera id.

    Raises:
        ConfigurationError: It is empty, too long, or has a character that is not allowed in a key or a label filter.
    """
    text = str(value)
    if not _CAMERA_ID.fullmatch(text):
        raise ConfigurationError(
            f"camera id {text!r} cannot be used: write 1 to 64 letters, digits, '_', '-', '.', '{{' or '}}'"
        )
    return text


def frames_key(camera: object) -> str:
    """Stream of the camera's frames."""
    return f"camera:{camera_id(camera)}"


def detections_key(camera: object) -> str:
    """Stream of the detections in the camera's frames."""
    return f"{frames_key(camera)}:yolo"


def errors_key(camera: object) -> str:
    """Stream of the camera's frames that could not be processed."""
    return f"{frames_key(camera)}:errors"


def series_key(camera: object, name: str) -> str:
    """Key of the camera's series `name`, such as `people`, `in_fps`, `prf_model`."""
    return f"{frames_key(camera)}:{name}"


def step_series(step: str) -> str:
    """Name of the series of a step's milliseconds."""
    return f"prf_{step}"


def compaction_name(aggregation: str, minutes: int) -> str:
    """Name of the compaction of `people`, such as `people_avg_1m`."""
    return f"{PEOPLE}_{aggregation}_{minutes}m"


def compaction_key(camera: object, aggregation: str, minutes: int) -> str:
    """Key of the compaction of `people`, such as `camera:0:people:avg:1m`."""
    return f"{series_key(camera, PEOPLE)}:{aggregation}:{minutes}m"


def labels(camera: object, name: str) -> dict[str, str]:
    """The labels of a series."""
    return {"camera": camera_id(camera), "__name__": name}


def raw_series_names() -> tuple[str, ...]:
    """Names of the series that the gear writes for every camera."""
    return (PEOPLE, IN_FPS, OUT_FPS, *map(step_series, STEPS), TOTAL, LATENCY)


def series_specs(camera: object) -> tuple[SeriesSpec, ...]:
    """All series of a camera, with their compaction rules."""
    rules = tuple(
        CompactionRule(
            key=compaction_key(camera, aggregation, minutes),
            name=compaction_name(aggregation, minutes),
            aggregation=aggregation,
            bucket_ms=minutes * MINUTE_MS,
            retention_ms=COMPACTION_RETENTION_MS,
        )
        for minutes in COMPACTION_MINUTES
        for aggregation in COMPACTION_AGGREGATIONS
    )
    return tuple(
        SeriesSpec(
            key=series_key(camera, name),
            name=name,
            labels=labels(camera, name),
            duplicate_policy="SUM" if name.endswith("_fps") else "LAST",
            retention_ms=RAW_RETENTION_MS,
            rules=rules if name == PEOPLE else (),
        )
        for name in raw_series_names()
    )
