"""What `rededge top` shows: figures of the cameras over the last seconds.

The rates come from the series that the gear writes. Their samples have the capture times of the frames. The gear writes
`in_fps` and `out_fps` of a frame together, so frames that are still in progress do not look like dropped frames.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TextIO, cast

import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.counted import PEOPLE, Counted
from rededge_nb.control.provision import known_cameras
from rededge_nb.edge.client import server_errors
from rededge_nb.reading.counted import counted_now
from rededge_nb.reading.events import Event, silent_cameras
from rededge_nb.reading.scenes import newest_counts
from rededge_nb.reading.seen import midnight_ms, seen_since
from rededge_nb.reading.series import camera_ids, samples_with_labels
from rededge_nb.reading.too_few_frames import TooFewFrames, too_few_frames

STEPS = (*schema.STEPS, "total")
LATE_MS = 2_000
"""The state column shows a gear that is further behind its stream than this."""
IDLE_MS = 5_000
"""The state column shows a camera whose newest frame is older than this."""

_COLUMNS = (
    ("camera", 8), ("in/s", 6), ("out/s", 6), ("model/s", 8), ("drop/s", 7), ("fail/s", 7), ("people", 7), ("today", 7),
    *((step, max(6, len(step) + 1)) for step in STEPS), ("latency", 8),
)  # fmt: skip
_HIDE, _SHOW = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Escape codes: switch to the terminal's second screen and hide the cursor, and back."""


@dataclass(frozen=True)
class CameraFigures:
    """Figures of a camera over the last seconds; None where there are no samples.

    Attributes:
        in_fps: Frames per second that the gear read.
        out_fps: Frames per second that it processed.
        looked_fps: Frames per second for which the model ran.
        dropped_fps: Frames per second that it dropped because a newer frame was waiting.
        failed_fps: Frames per second that it could not process.
        people: Number of people, or of what else is counted, in the newest frame.
        seen_today: How many of them were seen for the first time since midnight; None without samples.
        ms: Mean milliseconds of each step, and `total`.
        latency_ms: Mean time from the capture of a frame until its detections are in Redis.
        behind_ms: Age difference between the newest frame and the last one that the gear read; None without a gear.
        idle_ms: Age of the newest frame; None without frames.
        counted: What the model in use counts.
        too_few: When the model saw too few frames today to follow people; None if that was never so.
        silent_ms: For how long the camera has been silent, if that is reported as an alarm; None if it is not silent.
        lines: By line the crossings since it was made, forward and backward.
        zones: By zone the people in it, the longest stay of those in seconds, entries and exits since it was made.
    """

    camera: str
    in_fps: float
    out_fps: float
    looked_fps: float
    dropped_fps: float
    failed_fps: float
    people: float | None
    seen_today: int | None
    ms: dict[str, float | None]
    latency_ms: float | None
    behind_ms: int | None
    idle_ms: int | None
    lines: dict[str, tuple[int, int]] = field(default_factory=dict)
    zones: dict[str, tuple[int, float, int, int]] = field(default_factory=dict)
    silent_ms: int | None = None
    counted: Counted = PEOPLE
    too_few: TooFewFrames | None = None

    @property
    def state(self) -> str:
        """A short description of the problems, or `ok`."""
        now, today = self._present_state, self.too_few_today
        return today if today and now == "ok" else "; ".join(filter(None, (now, today)))

    @property
    def too_few_today(self) -> str:
        """That the model saw too few frames today to follow people; empty if that was never so."""
        if self.too_few is None:
            return ""
        return f"too few frames to follow {self.counted.plural} today: {self.too_few.fps:.1f}/s"

    @property
    def _present_state(self) -> str:
        if self.silent_ms is not None:
            return f"SILENT for {self.silent_ms // 1000} s"
        if self.idle_ms is None:
            return "no frames"
        if self.behind_ms is None:
            return "no gear"
        if self.behind_ms > LATE_MS:
            return f"gear {self.behind_ms // 1000} s behind"
        return f"no frames for {self.idle_ms // 1000} s" if self.idle_ms > IDLE_MS else "ok"


def snapshot(client: redis.Redis, *, cameras: list[str] | None = None, window: int = 5) -> list[CameraFigures]:
    """Return the figures of the last `window` complete seconds.

    Args:
        client: One from `connect`.
        cameras: Camera ids; default: all cameras that have series or that the gear is registered for.
        window: Seconds.

    Raises:
        ConfigurationError: a camera id is not usable.
        MissingModuleError: the server lacks RedisTimeSeries.
        ServerUnavailableError: the connection was lost.
    """
    with server_errors(client):
        chosen = cameras or list(dict.fromkeys([*camera_ids(client), *known_cameras(client)]))
        seconds, microseconds = client.time()
        now_ms, end_ms = seconds * 1000 + microseconds // 1000, seconds * 1000
        start_ms = end_ms - window * 1000
        samples = _samples(client, start_ms, end_ms - 1)
        counted, today_ms = counted_now(client), midnight_ms(now_ms)
        seen, too_few = seen_since(client, today_ms), too_few_frames(client, today_ms)
        silent = silent_cameras(client, chosen)
        figures = [
            _figures(client, name, samples.get(name, {}), seen.get(name), window, start_ms, now_ms, counted)
            for name in chosen
        ]
        return [
            replace(row, silent_ms=_silent_ms(silent.get(row.camera), now_ms), too_few=too_few.get(row.camera))
            for row in figures
        ]


def watch(
    client: redis.Redis,
    *,
    cameras: list[str] | None,
    window: int,
    interval: float,
    count: int | None,
    as_json: bool,
    stream: TextIO,
) -> None:
    """Write the figures every `interval` seconds, `count` times or until Ctrl-C.

    On a terminal each table overwrites the one before.
    """
    live = stream.isatty() and count is None and not as_json
    with _screen(stream) if live else nullcontext(), suppress(KeyboardInterrupt):
        done = 0
        while True:
            figures = snapshot(client, cameras=cameras, window=window)
            stream.write(_as_json(figures) if as_json else _overwriting(figures) if live else as_table(figures) + "\n")
            stream.flush()
            done += 1
            if done == count:
                return
            time.sleep(interval)


def as_table(figures: Iterable[CameraFigures]) -> str:
    """Format the figures as a table with one line per camera."""
    rows = list(figures)
    word = rows[0].counted.plural if rows else PEOPLE.plural
    columns = [
        (word, max(width, len(word) + 1)) if name == PEOPLE.plural else (name, width) for name, width in _COLUMNS
    ]
    lines = ["".join(f"{name:>{width}}" for name, width in columns) + "  state"]
    for row in rows:
        rates = (row.in_fps, row.out_fps, row.looked_fps, row.dropped_fps, row.failed_fps)
        people = ("-" if value is None else f"{value:g}" for value in (row.people, row.seen_today))
        cells = [row.camera, *map(_number, rates), *people, *(_number(row.ms[step]) for step in STEPS)]
        cells.append(_number(row.latency_ms))
        texts = (f"{cell:>{width}}" for cell, (_, width) in zip(cells, columns, strict=True))
        counts = [f"{name} {forward}/{backward}" for name, (forward, backward) in row.lines.items()]
        counts += [f"{name} {now}" for name, (now, *_) in row.zones.items()]
        lines.append("".join(texts) + "  ".join(["", row.state, *counts]))
    if len(lines) == 1:
        lines.append("no camera has series or a gear yet: run `rededge init`, then `rededge capture SOURCE`")
    return "\n".join(lines)


def _silent_ms(event: Event | None, now_ms: int) -> int | None:
    return None if event is None else max(0, now_ms - (event.since_ms or event.ts_ms))


def _samples(client: redis.Redis, start_ms: int, end_ms: int) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return the samples of all cameras, by camera and series, with one command; missing series are no error."""
    names = ",".join((*schema.raw_series_names(), schema.OTHER_COUNT))
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for _, labels, points in samples_with_labels(client, start_ms, end_ms, "FILTER", f"__name__=({names})"):
        if "camera" in labels:
            found.setdefault(labels["camera"], {})[labels["__name__"]] = points
    return found


def _figures(
    client: redis.Redis,
    camera: str,
    samples: dict[str, list[tuple[int, float]]],
    seen_today: int | None,
    window: int,
    start_ms: int,
    now_ms: int,
    counted: Counted,
) -> CameraFigures:
    values = {name: [value for _, value in points] for name, points in samples.items()}
    frames_in, frames_out = sum(values.get(schema.IN_FPS, ())), sum(values.get(schema.OUT_FPS, ()))
    failed = _failed(client, camera, start_ms, start_ms + window * 1000)
    lines, zones = newest_counts(client, camera)
    newest_ms, read_ms = _progress(client, schema.frames_key(camera))
    return CameraFigures(
        camera=camera,
        in_fps=frames_in / window,
        out_fps=frames_out / window,
        looked_fps=sum(values.get(schema.LOOKED_FPS, ())) / window,
        dropped_fps=max(0, frames_in - frames_out - failed) / window,
        failed_fps=failed / window,
        people=values[counted.series][-1] if values.get(counted.series) else None,
        counted=counted,
        seen_today=seen_today,
        ms={step: _mean(values.get(schema.step_series(step))) for step in STEPS},
        latency_ms=_mean(values.get(schema.LATENCY)),
        behind_ms=None if read_ms is None or newest_ms is None else max(0, newest_ms - read_ms),
        idle_ms=None if newest_ms is None else max(0, now_ms - newest_ms),
        lines=lines,
        zones=zones,
    )


def _failed(client: redis.Redis, camera: str, start_ms: int, end_ms: int) -> int:
    """Count the frames captured in this time that could not be processed."""
    found = streams.entries(client, schema.errors_key(camera), start=f"{start_ms}-0")
    captured = (streams.number(fields, schema.TS, streams.time_ms(entry_id)) for entry_id, fields in found)
    return sum(start_ms <= at < end_ms for at in captured)


def _progress(client: redis.Redis, key: str) -> tuple[int | None, int | None]:
    """Return the times of the newest frame and of the last frame that the gear read, in ms since the epoch."""
    if not client.exists(key):
        return None, None
    newest = streams.time_ms(client.xinfo_stream(key)["last-generated-id"].decode())
    for group in cast(Iterable[dict[str, Any]], client.xinfo_groups(key)):
        if group["name"].decode() == schema.GEAR_GROUP:
            return newest, streams.time_ms(group["last-delivered-id"].decode())
    return newest, None


def _mean(values: list[float] | None) -> float | None:
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def _as_json(figures: list[CameraFigures]) -> str:
    rows = [_with_class(row) | {"state": row.state} for row in figures]
    return json.dumps({"time": round(time.time(), 3), "cameras": rows}) + "\n"


def _with_class(row: CameraFigures) -> dict[str, Any]:
    """The figures for JSON; their number is called `count`, and the class is named, if people are not counted."""
    found = asdict(row)
    del found["counted"]
    return found if row.counted.is_people else row.counted.fields | {row.counted.series: found.pop("people")} | found


def _overwriting(figures: list[CameraFigures]) -> str:
    """Format the table for a terminal: cut to its size, and overwriting what it shows."""
    size = shutil.get_terminal_size()
    title = f"rededge top  {time.strftime('%H:%M:%S')}  (milliseconds per step; Ctrl-C ends)"
    lines = [title, "", *as_table(figures).splitlines()][: size.lines - 1]
    return "\x1b[H" + "".join(f"{line[: size.columns]}\x1b[K\n" for line in lines) + "\x1b[J"


@contextmanager
def _screen(stream: TextIO) -> Iterator[None]:
    stream.write(_HIDE)
    try:
        yield
    finally:
        stream.write(_SHOW)
        stream.flush()
