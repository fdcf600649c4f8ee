"""What `rededge top` shows: the cameras' figures of the last seconds, looked at again and again.

Rates come from the series that the gear writes, whose samples are at the frames' capture times. A frame is counted as
taken up and as processed in the same moment, so that frames still under way make no difference between the two.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from typing import Any, TextIO, cast

import redis

from rededge_nb import schema, streams
from rededge_nb.control.provision import known_cameras
from rededge_nb.reading.series import camera_ids

STEPS = (*schema.STEPS, "total")
LATE_MS = 2_000
"""How far the gear may be behind the stream before it is said."""
IDLE_MS = 5_000
"""How old the newest frame may be before it is said."""

_COLUMNS = (
    ("camera", 8), ("in/s", 6), ("out/s", 6), ("drop/s", 7), ("fail/s", 7), ("people", 7),
    *((step, max(6, len(step) + 1)) for step in STEPS), ("latency", 8),
)  # fmt: skip
_HIDE, _SHOW = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""To the terminal's other screen without cursor, and back."""


@dataclass(frozen=True)
class CameraFigures:
    """A camera's last seconds; None where there are no samples.

    Attributes:
        in_fps: Frames a second that the gear took up.
        out_fps: Frames a second that it processed.
        dropped_fps: Frames a second that it left out for newer ones.
        failed_fps: Frames a second that it could not process.
        people: Number of people in the newest frame.
        ms: Mean milliseconds of each step, and `total`.
        latency_ms: Mean time from capture to the detections being in Redis.
        behind_ms: How much older the last frame that the gear was given is than the newest; None without a gear.
        idle_ms: Age of the newest frame; None without frames.
    """

    camera: str
    in_fps: float
    out_fps: float
    dropped_fps: float
    failed_fps: float
    people: float | None
    ms: dict[str, float | None]
    latency_ms: float | None
    behind_ms: int | None
    idle_ms: int | None

    @property
    def state(self) -> str:
        """What is the matter, or `ok`."""
        if self.idle_ms is None:
            return "no frames"
        if self.behind_ms is None:
            return "no gear"
        if self.behind_ms > LATE_MS:
            return f"gear {self.behind_ms // 1000} s behind"
        return f"no frames for {self.idle_ms // 1000} s" if self.idle_ms > IDLE_MS else "ok"


def look(client: redis.Redis, *, cameras: list[str] | None = None, window: int = 5) -> list[CameraFigures]:
    """Figures of the last `window` complete seconds, for these cameras or all.

    Args:
        client: One from `connect`.
        cameras: Camera ids; default: all that have series or that the gear is registered for.
        window: Seconds.

    Raises:
        ConfigurationError: a camera id is not usable.
        MissingModuleError: the server lacks RedisTimeSeries.
        ServerUnavailableError: it went away.
    """
    with streams.server_errors(client):
        chosen = cameras or list(dict.fromkeys([*camera_ids(client), *known_cameras(client)]))
        seconds, microseconds = client.time()
        now_ms, end_ms = seconds * 1000 + microseconds // 1000, seconds * 1000
        start_ms = end_ms - window * 1000
        samples = _samples(client, start_ms, end_ms - 1)
        return [_figures(client, name, samples.get(name, {}), window, start_ms, now_ms) for name in chosen]


def watch(
    client: redis.Redis,
    *,
    cameras: list[str] | None,
    window: int,
    interval: float,
    looks: int | None,
    as_json: bool,
    stream: TextIO,
) -> None:
    """Write the figures every `interval` seconds until Ctrl-C, or for so many looks.

    On a terminal each look overwrites the one before.
    """
    live = stream.isatty() and looks is None and not as_json
    with _screen(stream) if live else nullcontext(), suppress(KeyboardInterrupt):
        done = 0
        while True:
            figures = look(client, cameras=cameras, window=window)
            stream.write(_as_json(figures) if as_json else _overwriting(figures) if live else as_table(figures) + "\n")
            stream.flush()
            done += 1
            if done == looks:
                return
            time.sleep(interval)


def as_table(figures: Iterable[CameraFigures]) -> str:
    """The figures as aligned text, a line a camera."""
    lines = ["".join(f"{name:>{width}}" for name, width in _COLUMNS) + "  state"]
    for row in figures:
        rates = (row.in_fps, row.out_fps, row.dropped_fps, row.failed_fps)
        people = "-" if row.people is None else f"{row.people:g}"
        cells = [row.camera, *map(_number, rates), people, *(_number(row.ms[step]) for step in STEPS)]
        cells.append(_number(row.latency_ms))
        texts = (f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
        lines.append("".join(texts) + f"  {row.state}")
    if len(lines) == 1:
        lines.append("no camera has series or a gear yet: `rededge init`, then `rededge capture SOURCE`")
    return "\n".join(lines)


def _samples(client: redis.Redis, start_ms: int, end_ms: int) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Samples of all cameras by camera and series: one call, and no matter which series there are."""
    names = ",".join(schema.raw_series_names())
    reply: Any = client.execute_command(
        "TS.MRANGE", start_ms, end_ms, "SELECTED_LABELS", "camera", "__name__", "FILTER", f"__name__=({names})"
    )
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for _, labels, points in reply:
        texts = {label.decode(): value.decode() for label, value in labels if value is not None}
        if "camera" in texts:
            values = [(int(at), float(value)) for at, value in points]
            found.setdefault(texts["camera"], {})[texts["__name__"]] = values
    return found


def _figures(
    client: redis.Redis,
    camera: str,
    samples: dict[str, list[tuple[int, float]]],
    window: int,
    start_ms: int,
    now_ms: int,
) -> CameraFigures:
    values = {name: [value for _, value in points] for name, points in samples.items()}
    frames_in, frames_out = sum(values.get(schema.IN_FPS, ())), sum(values.get(schema.OUT_FPS, ()))
    failed = _failed(client, camera, start_ms, start_ms + window * 1000)
    newest_ms, given_ms = _progress(client, schema.frames_key(camera))
    return CameraFigures(
        camera=camera,
        in_fps=frames_in / window,
        out_fps=frames_out / window,
        dropped_fps=max(0, frames_in - frames_out - failed) / window,
        failed_fps=failed / window,
        people=values[schema.PEOPLE][-1] if values.get(schema.PEOPLE) else None,
        ms={step: _mean(values.get(schema.step_series(step))) for step in STEPS},
        latency_ms=_mean(values.get(schema.LATENCY)),
        behind_ms=None if given_ms is None or newest_ms is None else max(0, newest_ms - given_ms),
        idle_ms=None if newest_ms is None else max(0, now_ms - newest_ms),
    )


def _failed(client: redis.Redis, camera: str, start_ms: int, end_ms: int) -> int:
    """Frames captured in this time that could not be processed."""
    found = streams.entries(client, schema.errors_key(camera), start=f"{start_ms}-0")
    captured = (streams.number(fields, schema.TS, streams.time_ms(entry_id)) for entry_id, fields in found)
    return sum(start_ms <= at < end_ms for at in captured)


def _progress(client: redis.Redis, key: str) -> tuple[int | None, int | None]:
    """When the newest frame was added, and the last one that the gear was given; milliseconds since the epoch."""
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
    rows = [asdict(row) | {"state": row.state} for row in figures]
    return json.dumps({"time": round(time.time(), 3), "cameras": rows}) + "\n"


def _overwriting(figures: list[CameraFigures]) -> str:
    """A look for a terminal: cut to its size, over what is there."""
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
