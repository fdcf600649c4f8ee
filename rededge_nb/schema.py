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

PROVISIONING_KEY = "rededge:provisioning"
"""Lease of the process that provisions the server: one at a time does."""

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
CAPTURE = "capture"
"""Id of the capture that added the frame. The gear copies it to the entries that it writes for the frame."""
RUN_IDS_END = "ids_end"
"""In `camera:<id>:run`: the end of the ids of all attempts of the run."""
CAPTURED = "captured"
"""When the frame was read from its recording, in milliseconds since the epoch, if TS is a time of the recording."""

# Fields of a detection entry (`camera:<id>:yolo`), besides TS, CAPTURE and CAPTURED, which it copies from the frame.
REF = "ref"
"""Entry id of the frame."""
BOXES = "boxes"
"""Flat JSON list `[x1, y1, x2, y2, …]`, pixels of the frame."""
PEOPLE = "people"
"""Number of people, one box for each."""
OTHER_COUNT = "count"
"""The same if objects of another class are counted; `class` and `plural` are beside it, see `analytics.counted`."""
CONFIDENCE = "confidence"
"""JSON list with one number for each box, 0 to 1; 0 for a person who is not seen for a moment."""
TRACKS = "tracks"
"""JSON list with one track id for each box, from gears with a tracker."""
SINCE = "since"
"""JSON list with one time for each box: when the person was first seen, in milliseconds since the epoch."""
MODEL = "model"
"""Key of the model."""
MS = "ms"
"""Milliseconds from reading the frame to its boxes."""
SCENE = "scene"
"""Version of the scene that the frame was counted with; this and the next two only if the camera has a scene."""
LINES = "lines"
"""JSON object with `[forward, backward]` for each line: crossings since the line was made."""
ZONES = "zones"
"""JSON object with `[people, longest, entries, exits]` for each zone: people in it now, seconds that the one who
entered first has been in it, and how many have entered and left since the zone was made."""

PREDICTED = "predicted"
"""1 where the model did not run for the frame (nothing had moved, or people are where they are expected), else 0."""

# Fields of an entry for a person who has left (`camera:<id>:tracks`).
TRACK = "track"
"""Id of the track."""
FIRST, LAST = "first", "last"
"""When the person was first and last seen, in milliseconds since the epoch."""
PATH = "path"
"""JSON list `[[ts, x, y], …]`: where the person stood; 0 to 1 of the frame's width and height, simplified.

Where the camera has a scene, there are LINES, too, a JSON object with `[forward, backward]` for each line that the
person crossed, and ZONES, with the seconds in each zone."""

ACKNOWLEDGED = "acknowledged"
"""Of an active alarm in `camera:<id>:alarms`: when somebody acknowledged it, in milliseconds since the epoch."""

SERVER_EVENTS_KEY = "rededge:events"
"""Stream of the events that belong to no camera."""

FORGET = "forget"
"""Field of the hash `camera:<id>:removed`: the people in view belong to a count that was deleted."""

_DEAD_LETTERS = "rededge:dead_letters:"

# Fields of an error entry (`camera:<id>:errors`), besides REF, TS, CAPTURE and CAPTURED.
REASON = "reason"

DETECTED = "detected"
"""Series of the boxes that the model found in each frame, before tracking."""
SEEN = "seen"
"""Series of the people who were seen for the first time, in each second."""
DIFFERENT = "different"
"""Series of those among them who look like nobody who left a short time ago; only if the gear's setting is on."""

IN_FPS, OUT_FPS = "in_fps", "out_fps"
"""Series of the frames that arrived, and that were processed, in each second."""
LOOKED_FPS = "looked_fps"
"""Series of the frames for which the model ran, in each second; what is processed without has predicted boxes."""
TOO_FEW_FRAMES = "too_few_frames"
"""Series of the frames a second that the model saw, where that is too few to follow people; the gear makes it then."""
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
SUM_MINUTES = (1, 15, 60)
"""Series that sum have compactions of this length."""
RAW_RETENTION_MS = 24 * 60 * MINUTE_MS
COMPACTION_RETENTION_MS = 90 * 24 * 60 * MINUTE_MS

CLOCK_SLACK_MS = MINUTE_MS
"""The clock of a capture may be ahead of the server's by so much. What is later is not of the present, such as a
recording whose times lie in the future."""

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

    `duplicate_policy` is `LAST` for measurements. It is `SUM` for what is counted in each second, where each frame adds
    to the sample of its second.
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


def tracks_key(camera: object) -> str:
    """Stream of the people who have left the camera's view, with their paths."""
    return f"{frames_key(camera)}:tracks"


def events_key(camera: object) -> str:
    """Stream of what happened at the camera: crossings, alarms, silence."""
    return f"{frames_key(camera)}:events"


def dead_letters_key(target: str) -> str:
    """Stream of the events that a target of the notifier has refused."""
    return _DEAD_LETTERS + target


def alarms_key(camera: object) -> str:
    """Hash of the camera's active alarms, by id: the fields of the event that raised it, as JSON."""
    return f"{frames_key(camera)}:alarms"


def still_key(camera: object) -> str:
    """Image, as JPEG, on which boxes are drawn where no image of the camera is stored."""
    return f"{frames_key(camera)}:still"


def watched_key(camera: object) -> str:
    """What the worker that watches the cameras has reported of this one, as JSON; internal."""
    return f"{frames_key(camera)}:watched"


def scene_key(camera: object) -> str:
    """Lines, zones, masks and rules of the camera, as JSON."""
    return f"{frames_key(camera)}:scene"


def removed_key(camera: object) -> str:
    """Hash of what was deleted from the series of lines and zones; the gear takes it from their totals.

    By the series' name without the camera: crossings, or stays in a zone; and FORGET.
    """
    return f"{frames_key(camera)}:removed"


def tracker_key(camera: object) -> str:
    """State of the tracker after the last frame, with that frame's id."""
    return f"{frames_key(camera)}:tracker"


def last_track_key(camera: object) -> str:
    """The last id that the tracker has given to a person."""
    return f"{frames_key(camera)}:last_track"


def capture_key(camera: object) -> str:
    """Hash that describes the capture which feeds the camera; it expires soon after the capture ends."""
    return f"{frames_key(camera)}:capture"


def captures_key(camera: object) -> str:
    """Stream with one entry for each capture of the camera that has ended."""
    return f"{frames_key(camera)}:captures"


def run_key(camera: object) -> str:
    """Hash that says which run of the pipeline the camera belongs to; it expires soon after the run ends."""
    return f"{frames_key(camera)}:run"


def series_key(camera: object, name: str) -> str:
    """Key of the camera's series `name`, such as `people`, `in_fps`, `prf_model`."""
    return f"{frames_key(camera)}:{name}"


def step_series(step: str) -> str:
    """Name of the series of a step's milliseconds."""
    return f"prf_{step}"


def compaction_name(aggregation: str, minutes: int, *, series: str = PEOPLE) -> str:
    """Name of the compaction of a series, such as `people_avg_1m`."""
    return f"{series}_{aggregation}_{minutes}m"


def compaction_key(camera: object, aggregation: str, minutes: int, *, series: str = PEOPLE) -> str:
    """Key of the compaction of a series, such as `camera:0:people:avg:1m`."""
    return f"{series_key(camera, series)}:{aggregation}:{minutes}m"


def labels(camera: object, name: str) -> dict[str, str]:
    """The labels of a series."""
    return {"camera": camera_id(camera), "__name__": name}


def raw_series_names() -> tuple[str, ...]:
    """Names of the series that the gear writes for every camera."""
    return (PEOPLE, DETECTED, SEEN, IN_FPS, OUT_FPS, LOOKED_FPS, *map(step_series, STEPS), TOTAL, LATENCY)


def sums(name: str) -> bool:
    """Whether each frame adds to the sample of its second, instead of having a sample of its own."""
    return name in (IN_FPS, OUT_FPS, LOOKED_FPS, SEEN, DIFFERENT)


def series_specs(camera: object) -> tuple[SeriesSpec, ...]:
    """All series of a camera, with their compaction rules."""
    rules = {
        PEOPLE: _rules(camera, PEOPLE, COMPACTION_AGGREGATIONS, COMPACTION_MINUTES),
        SEEN: _rules(camera, SEEN, ("sum",), SUM_MINUTES),
    }
    return tuple(
        SeriesSpec(
            key=series_key(camera, name),
            name=name,
            labels=labels(camera, name),
            duplicate_policy="SUM" if sums(name) else "LAST",
            retention_ms=RAW_RETENTION_MS,
            rules=rules.get(name, ()),
        )
        for name in raw_series_names()
    )


def _rules(
    camera: object, series: str, aggregations: tuple[str, ...], minutes: tuple[int, ...]
) -> tuple[CompactionRule, ...]:
    return tuple(
        CompactionRule(
            key=compaction_key(camera, aggregation, each, series=series),
            name=compaction_name(aggregation, each, series=series),
            aggregation=aggregation,
            bucket_ms=each * MINUTE_MS,
            retention_ms=COMPACTION_RETENTION_MS,
        )
        for each in minutes
        for aggregation in aggregations
    )
