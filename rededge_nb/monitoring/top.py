"""What `rededge top` shows: figures of the cameras over the last seconds.

The rates come from the series that the gear writes. Their samples have the capture times of the frames. The gear writes
`in_fps` and `out_fps` of a frame together, so frames that are still in progress do not look like dropped frames.

The series of a recording have the times of the recording. Its figures are about the seconds before the last frame that
was processed. They say which share of the frames was dropped; how many frames a second of the clock has, the capture
says.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, TextIO, cast

import redis

from rededge_nb import schema, streams
from rededge_nb.analytics.counted import PEOPLE, Counted
from rededge_nb.control.provision import known_cameras
from rededge_nb.edge.client import server_errors
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.counted import counted_now
from rededge_nb.reading.events import Event, silent_cameras
from rededge_nb.reading.present import Present, present_of
from rededge_nb.reading.scenes import newest_counts
from rededge_nb.reading.seen import midnight_ms, seen_between, seen_since
from rededge_nb.reading.series import camera_ids, samples_with_labels
from rededge_nb.reading.too_few_frames import TooFewFrames, too_few_frames
from rededge_nb.time_zones import position_text

STEPS = (*schema.STEPS, "total")
LATE_MS = 2_000
"""The state column shows a gear that is further behind its stream than this."""
IDLE_MS = 5_000
"""The state column shows a camera whose newest frame is older than this."""

_COLUMNS = (
    ("camera", 8), ("in/s", 6), ("out/s", 6), ("model/s", 8), ("drop/s", 7), ("fail/s", 7), ("people", 7), ("seen", 7),
    *((step, max(6, len(step) + 1)) for step in STEPS), ("latency", 8),
)  # fmt: skip
_HIDE, _SHOW = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Escape codes: switch to the terminal's second screen and hide the cursor, and back."""


@dataclass(frozen=True)
class RecordingFigures:
    """The recording that a camera was last fed with.

    Attributes:
        capture: Id of its capture.
        source: What was captured, in words.
        running: Whether the capture feeds the camera now.
        position_s: Where in the recording the last frame is that was processed, in seconds.
        seen: How many people, or of what else is counted, were seen for the first time in it; None without samples.
    """

    capture: str
    source: str
    running: bool
    position_s: float
    seen: int | None

    @property
    def position(self) -> str:
        """The position as views show it."""
        return position_text(self.position_s)


@dataclass(frozen=True)
class CameraFigures:
    """Figures of a camera over the last seconds, of the clock or of its recording; None where there are no samples.

    Attributes:
        in_fps: Frames per second that the gear read.
        out_fps: Frames per second that it processed.
        looked_fps: Frames per second for which the model ran.
        dropped_fps: Frames per second that it dropped because a newer frame was waiting.
        failed_fps: Frames per second that it could not process.
        people: Number of people, or of what else is counted, in the newest frame.
        seen_today: How many of them were seen for the first time since midnight; None without samples, and for a
            recording.
        ms: Mean milliseconds of each step, and `total`.
        latency_ms: Mean time from the capture of a frame until its detections are in Redis.
        behind_ms: Age difference between the newest frame and the last one that the gear read; None without a gear.
        idle_ms: Age of the newest frame; None without frames.
        counted: What the model in use counts.
        too_few: When the model saw too few frames today, or in the recording, to follow people; None if that was never
            so.
        silent_ms: For how long the camera has been silent, if that is reported as an alarm; None if it is not silent.
        lines: By line the crossings since it was made, forward and backward.
        zones: By zone the people in it, the longest stay of those in seconds, entries and exits since it was made.
        recording: The recording that the figures are about; None for a live source.
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
    recording: RecordingFigures | None = None

    @property
    def state(self) -> str:
        """A short description of the problems, or `ok`; for a recording the position in it."""
        now, too_few = self._present_state, self.too_few_text
        return too_few if too_few and now == "ok" else "; ".join(filter(None, (now, too_few)))

    @property
    def too_few_text(self) -> str:
        """That the model saw too few frames to follow people; empty if that was never so today, or in the recording."""
        if self.too_few is None:
            return ""
        when = "today" if self.recording is None else "in the recording"
        return f"too few frames to follow {self.counted.plural} {when}: {self.too_few.fps:.1f}/s"

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
        if self.recording is not None and not self.recording.running:
            return f"recording ended at {self.recording.position}"
        if self.idle_ms > IDLE_MS:
            return f"no frames for {self.idle_ms // 1000} s"
        return "ok" if self.recording is None else f"recording at {self.recording.position}"


def snapshot(client: redis.Redis, *, cameras: list[str] | None = None, window: int = 5) -> list[CameraFigures]:
    """Return the figures of the last `window` complete seconds; of a recording, those before the last processed frame.

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
        now_ms = seconds * 1000 + microseconds // 1000
        last_seconds = _Span((seconds - window) * 1000, seconds * 1000 - 1)
        live = _samples(client, last_seconds)
        counted, today_ms = counted_now(client), midnight_ms(now_ms)
        seen = seen_since(client, today_ms, now_ms)
        too_few = too_few_frames(client, today_ms, now_ms + schema.CLOCK_SLACK_MS)
        silent = silent_cameras(client, chosen)
        found = []
        for name in chosen:
            present = present_of(client, name)
            if present.recording is None:
                row = _figures(client, name, live.get(name, {}), last_seconds, now_ms, counted)
                row = replace(row, seen_today=seen.get(name), too_few=too_few.get(name))
            else:
                row = _of_recording(client, name, present, present.recording, window, counted)
            found.append(replace(row, silent_ms=_silent_ms(silent.get(name), now_ms)))
        return found


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
        seen = row.recording.seen if row.recording else row.seen_today
        people = ("-" if value is None else f"{value:g}" for value in (row.people, seen))
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


class _Span(NamedTuple):
    """Milliseconds since the epoch, both included."""

    start_ms: int
    end_ms: int


def _samples(client: redis.Redis, span: _Span, *chosen: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return the samples of all cameras, by camera and series, with one command; missing series are no error."""
    names = ",".join((*schema.raw_series_names(), schema.OTHER_COUNT))
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for _, labels, points in samples_with_labels(client, *span, "FILTER", f"__name__=({names})", *chosen):
        if "camera" in labels:
            found.setdefault(labels["camera"], {})[labels["__name__"]] = points
    return found


def _of_recording(
    client: redis.Redis, camera: str, present: Present, recording: CaptureRecord, window: int, counted: Counted
) -> CameraFigures:
    """Figures of the last seconds of a recording that were processed; frames per second are those of the clock."""
    # the series of the rates have a sample for each second
    start_ms = max(present.now_ms - window * 1000, recording.start_ms) // 1000 * 1000
    span = _Span(start_ms, present.now_ms)
    samples = _samples(client, span, f"camera={camera}").get(camera, {})
    row = _figures(client, camera, samples, span, present.clock_ms, counted, added_ms=recording.started_ms)
    # the capture waits for the gear, so that the gear reads as many frames as the capture adds
    scale = recording.fps / row.in_fps if recording.running and row.in_fps else 0.0
    rates = (row.in_fps, row.out_fps, row.looked_fps, row.dropped_fps, row.failed_fps)
    in_fps, out_fps, looked_fps, dropped_fps, failed_fps = (round(each * scale, 2) for each in rates)
    return replace(
        row,
        in_fps=in_fps,
        out_fps=out_fps,
        looked_fps=looked_fps,
        dropped_fps=dropped_fps,
        failed_fps=failed_fps,
        too_few=too_few_frames(client, recording.start_ms, present.now_ms, camera=camera).get(camera),
        recording=RecordingFigures(
            capture=recording.capture,
            source=recording.source,
            running=recording.running,
            position_s=(present.now_ms - recording.start_ms) / 1000,
            seen=seen_between(client, recording.start_ms, present.now_ms, camera=camera),
        ),
    )


def _figures(
    client: redis.Redis,
    camera: str,
    samples: dict[str, list[tuple[int, float]]],
    span: _Span,
    now_ms: int,
    counted: Counted,
    *,
    added_ms: int | None = None,
) -> CameraFigures:
    """Figures of a span of time.

    Args:
        client: One from `connect`.
        camera: Camera id.
        samples: The camera's samples of that time, by series.
        span: The time of the frames.
        now_ms: The server's time.
        counted: What the model in use counts.
        added_ms: When the first of the frames was added, by the server's clock, if its time is not of this clock.
    """
    seconds = (span.end_ms + 1 - span.start_ms) / 1000
    values = {name: [value for _, value in points] for name, points in samples.items()}
    frames_in, frames_out = sum(values.get(schema.IN_FPS, ())), sum(values.get(schema.OUT_FPS, ()))
    failed = _failed(client, camera, span, span.start_ms if added_ms is None else added_ms)
    lines, zones = newest_counts(client, camera)
    newest_ms, read_ms = _progress(client, schema.frames_key(camera))
    return CameraFigures(
        camera=camera,
        in_fps=frames_in / seconds,
        out_fps=frames_out / seconds,
        looked_fps=sum(values.get(schema.LOOKED_FPS, ())) / seconds,
        dropped_fps=max(0, frames_in - frames_out - failed) / seconds,
        failed_fps=failed / seconds,
        people=values[counted.series][-1] if values.get(counted.series) else None,
        counted=counted,
        seen_today=None,
        ms={step: _mean(values.get(schema.step_series(step))) for step in STEPS},
        latency_ms=_mean(values.get(schema.LATENCY)),
        behind_ms=None if read_ms is None or newest_ms is None else max(0, newest_ms - read_ms),
        idle_ms=None if newest_ms is None else max(0, now_ms - newest_ms),
        lines=lines,
        zones=zones,
    )


def _failed(client: redis.Redis, camera: str, span: _Span, added_ms: int) -> int:
    """Count the frames of this time that could not be processed; `added_ms` is when the first of them was added."""
    found = streams.entries(client, schema.errors_key(camera), start=f"{added_ms}-0")
    captured = (streams.number(fields, schema.TS, streams.time_ms(entry_id)) for entry_id, fields in found)
    return sum(span.start_ms <= at <= span.end_ms for at in captured)


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
