"""The figures above the video: people now, people seen, longest stay, peak today, frames per second, latency.

Those of a recording are about the recording, up to the frame that the player shows, and have positions in it.

Tiles are made from the camera's time series and tracks by the functions in `SOURCES`. To add tiles, add a function
there: it is called once per camera and returns a function that reads the tiles. Dashboard and web page show whatever
these return.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.errors import GearError, NoDataError, SceneError
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.counted import counted_now
from rededge_nb.reading.detections import read_latest_detections
from rededge_nb.reading.present import Present, local_time_of, present_of
from rededge_nb.reading.scenes import read_scene
from rededge_nb.reading.seen import different_since, seen_between, seen_since
from rededge_nb.reading.series import Series, newest_times, read_many, read_series
from rededge_nb.reading.too_few_frames import too_few_frames
from rededge_nb.reading.tracks import parse_track

UPDATE_INTERVAL = 1.0
"""Seconds between two updates of the tiles."""
PRESENT_MS = 5_000
"""A sample that is older does not show the present."""

_WINDOW_MS = 10_000
_SEEN_INTERVAL_MS = 5_000
"""The people seen are counted again after this time, and it is read again whether they can be followed."""
_PEAK_INTERVAL_MS = 10_000
"""The peak of the day is read again after this time: its series has one sample per minute."""
_PEAK_BUCKETS = 2_000
"""The peak of a recording is found in that many parts of it at most."""
_TREND_STEPS = 60
_TREND_STEP_MS = 5_000
_UNKNOWN = "\N{EN DASH}"
_UNRELIABLE = "not reliable"


@dataclass(frozen=True)
class Tile:
    """One figure.

    Attributes:
        key: Identifies the tile on the page.
        label: What is shown, such as `people now`.
        value: The figure as text; a dash if it is not known now.
        detail: A second, smaller line.
        trend: Values of the last minutes, drawn as a small line: oldest first, None where there are none; may be empty.
        level: `warning` if the figure needs attention.
        note: Why, in a sentence, for who points at the tile.
    """

    key: str
    label: str
    value: str
    detail: str = ""
    trend: tuple[float | None, ...] = ()
    level: Literal["info", "warning"] = "info"
    note: str = ""


Source = Callable[[redis.Redis, Present], list[Tile]]
"""Reads tiles with a client; the second argument says what time it is."""


class TileReader:
    """Reads the tiles of one camera. It has no thread: all reads happen in the caller's."""

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self._recording = ""
        self._sources = [make(camera) for make in SOURCES]

    def read(self, client: redis.Redis) -> list[Tile]:
        """The tiles as they are now; those whose series do not exist are left out."""
        present = present_of(client, self.camera)
        recording = present.recording.capture if present.recording else ""
        if recording != self._recording:  # what the sources remember is about another time
            self._recording, self._sources = recording, [make(self.camera) for make in SOURCES]
        tiles: list[Tile] = []
        for source in self._sources:
            try:
                tiles += source(client, present)
            except NoDataError:
                continue
        return tiles


def as_json(tiles: list[Tile]) -> list[dict[str, Any]]:
    """Tiles as tiles.js takes them."""
    return [asdict(tile) for tile in tiles]


def _people_now(camera: str) -> Source:
    trends = {name: _trend(camera, name, "avg") for name in (schema.PEOPLE, schema.OTHER_COUNT)}

    def read(client: redis.Redis, present: Present) -> list[Tile]:
        counted = counted_now(client)
        names = (counted.series, schema.compaction_name("avg", 1, series=counted.series))
        start_ms = present.now_ms - 2 * schema.MINUTE_MS
        people, average = read_many(client, camera, names, start_ms=start_ms, end_ms=present.end_ms).values()
        value = detail = ""
        if len(people) and present.is_newest(int(people.timestamps_ms[-1]), PRESENT_MS):
            value = f"{people.latest:.0f}"
            detail = f"average, 1 min: {average.latest:.1f}" if len(average) else ""
        when = f"at {present.shown(present.now_ms)}" if present.recording else "now"
        trend = trends[counted.series](client, present)
        tile = Tile("people", f"{counted.plural} {when}", value or _UNKNOWN, detail, trend)
        return [tile if value or present.recording else _with_reason(client, camera, present, tile, counted.series)]

    return read


def _with_reason(client: redis.Redis, camera: str, present: Present, tile: Tile, series: str) -> Tile:
    """A tile without a figure that says so if the newest frames have times that are not of the present."""
    key = schema.series_key(camera, series)
    ahead_ms = newest_times(client, f"camera={camera}", f"__name__={series}").get(key, 0) - present.now_ms
    if ahead_ms <= schema.CLOCK_SLACK_MS:
        return tile
    note = "the newest frames that were counted have times in the future: `rededge doctor` says what to do"
    return replace(tile, detail=f"frames {_duration(ahead_ms)} ahead", level="warning", note=note)


def _peak_today(camera: str) -> Source:
    """The day begins at midnight in the time zone of this process."""
    known: Tile
    read_at = 0

    def read(client: redis.Redis, present: Present) -> list[Tile]:
        nonlocal known, read_at
        if present.clock_ms - read_at >= _PEAK_INTERVAL_MS:
            label = "peak of the recording" if present.recording else "peak today"
            highest = _highest(client, camera, present)
            read_at = present.clock_ms
            known = Tile("peak", label, _UNKNOWN)
            if len(highest):
                at = int(np.argmax(highest.values))
                when = f"at {present.shown(int(highest.timestamps_ms[at]))}"
                known = Tile("peak", label, f"{highest.values[at]:.0f}", when)
        return [known]

    return read


def _highest(client: redis.Redis, camera: str, present: Present) -> Series:
    """The largest numbers of the day, by minute, or of the recording, by second or longer."""
    name = counted_now(client).series
    if not present.recording:
        series = schema.compaction_name("max", 1, series=name)
        return read_series(client, camera, series, start_ms=present.day_ms, end_ms=present.end_ms)
    bucket_ms = max(1000, (present.now_ms - present.day_ms) // _PEAK_BUCKETS)
    span = {"start_ms": present.day_ms, "end_ms": present.now_ms, "bucket_ms": bucket_ms}
    return read_series(client, camera, name, aggregation="max", **span)


def _seen(camera: str) -> Source:
    """Of the last hour, with the number of the day below; or of the recording."""
    trend, doubt = _trend(camera, schema.SEEN, "sum"), _doubt(camera)
    known: Tile
    read_at = 0

    def read(client: redis.Redis, present: Present) -> list[Tile]:
        nonlocal known, read_at
        if present.clock_ms - read_at >= _SEEN_INTERVAL_MS:
            read_at = present.clock_ms
            known = (
                _seen_in_recording(client, camera, present)
                if present.recording
                else _seen_today(client, camera, present)
            )
        return [_doubted(replace(known, trend=trend(client, present)), doubt(client, present))]

    return read


def _seen_today(client: redis.Redis, camera: str, present: Present) -> Tile:
    hour = seen_since(client, present.hour_ms, present.now_ms, camera=camera).get(camera)
    day = seen_since(client, present.day_ms, present.now_ms, camera=camera).get(camera, 0)
    value = _UNKNOWN if hour is None else f"{hour}"
    different = different_since(client, present.day_ms, present.now_ms, camera=camera)
    estimate = "" if different is None else f", about {different} different"
    return Tile("seen", "seen in the last hour", value, f"{day} today{estimate}")


def _seen_in_recording(client: redis.Redis, camera: str, present: Present) -> Tile:
    seen = seen_between(client, present.day_ms, present.now_ms, camera=camera)
    return Tile("seen", "seen in the recording", _UNKNOWN if seen is None else f"{seen}")


def _longest_stay(camera: str) -> Source:
    """Of everybody who was in view during the last hour, or in the recording."""
    doubt = _doubt(camera)
    left: list[tuple[int, int, int]] = []
    after = "-"

    def read(client: redis.Redis, present: Present) -> list[Tile]:
        nonlocal left, after
        oldest_ms = present.hour_ms
        during = "in the recording" if present.recording else "in the last hour"
        if after == "-":
            after = f"{oldest_ms}-0"
        for entry in streams.entries(client, schema.tracks_key(camera), start=f"({after}"):
            after = entry[0]
            with contextlib.suppress(GearError):  # whoever reads the tracks themselves reports it
                track = parse_track(camera, entry)
                left.append((track.last_ms - track.first_ms, track.last_ms, track.id))
        left = [each for each in left if oldest_ms <= each[1] <= present.end_ms]
        here = _in_view(client, camera, present)
        longest = max((*left, *here), default=None)
        if longest is None and not client.exists(schema.detections_key(camera)):
            return []
        if longest is None:
            return [Tile("stay", "longest stay", _UNKNOWN, during)]
        stay_ms, last_ms, track_id = longest
        until = "still here" if longest in here else f"until {present.shown(last_ms)}"
        tile = Tile("stay", "longest stay", _duration(stay_ms), f"#{track_id}, {until}")
        return [_doubted(tile, doubt(client, present))]

    return read


def _in_view(client: redis.Redis, camera: str, present: Present) -> list[tuple[int, int, int]]:
    """Stay, last time and id of each person in the newest frame, if that shows the present."""
    found = read_latest_detections(client, camera)
    if found is None or found.tracks is None or found.since_ms is None:
        return []
    if not present.is_newest(found.ts_ms, PRESENT_MS):
        return []
    people = zip(found.tracks.tolist(), found.since_ms.tolist(), strict=True)
    return [(found.ts_ms - since, found.ts_ms, track) for track, since in people]


def _frames_per_second(camera: str) -> Source:
    trend = _trend(camera, schema.OUT_FPS, "sum", scale=1000 / _TREND_STEP_MS)
    names = (schema.IN_FPS, schema.OUT_FPS, schema.LOOKED_FPS)

    def read(client: redis.Redis, present: Present) -> list[Tile]:
        if present.recording:  # its series have frames per second of the recording
            return [_recorded_frames(present.recording)]
        now_ms = present.now_ms
        # the present second is incomplete, and frames of the second before it may still be processed
        end_ms = now_ms - now_ms % 1000 - 1_000
        series = read_many(client, camera, names, start_ms=end_ms - _WINDOW_MS, end_ms=end_ms - 1)
        arrived, processed, looked = (float(each.values.sum()) * 1000 / _WINDOW_MS for each in series.values())
        if not arrived:
            newest = streams.last_id(client, schema.frames_key(camera))
            since = "" if newest == "0-0" else f"silent since {local_time_of(streams.time_ms(newest)):%H:%M:%S}"
            detail = since or "no frames arrive"
            return [Tile("fps", "frames per second", _UNKNOWN, detail, trend(client, present), "warning")]
        dropped = max(0.0, 1 - processed / arrived)
        detail = f"{dropped:.0%} dropped, model {looked:.1f}"
        level: Literal["info", "warning"] = "warning" if dropped > 0.5 else "info"
        return [Tile("fps", "frames per second", f"{processed:.1f}", detail, trend(client, present), level)]

    return read


def _recorded_frames(recording: CaptureRecord) -> Tile:
    frames = f"{recording.frames} {'frame' if recording.frames == 1 else 'frames'}"
    if recording.running:
        return Tile("fps", "frames per second", f"{recording.fps:.1f}", f"{frames} so far")
    return Tile("fps", "frames per second", _UNKNOWN, f"{frames}, ended")


def _latency(camera: str) -> Source:
    trend = _trend(camera, schema.LATENCY, "avg")

    def read(client: redis.Redis, present: Present) -> list[Tile]:
        start_ms = present.now_ms - _WINDOW_MS
        latency = read_series(client, camera, schema.LATENCY, start_ms=start_ms, end_ms=present.end_ms)
        value, detail = _UNKNOWN, ""
        if len(latency):
            median, p95 = np.percentile(latency.values, [50, 95])
            value, detail = _milliseconds(median), f"95 % below {_milliseconds(p95)}"
        return [Tile("latency", "capture to result", value, detail, trend(client, present))]

    return read


def _lines_and_zones(camera: str) -> Source:
    """A tile for each line and zone of the scene: counts since it was made, and who is in the zone now."""
    doubt = _doubt(camera)

    def read(client: redis.Redis, present: Present) -> list[Tile]:
        try:
            found, scene = read_latest_detections(client, camera), read_scene(client, camera)
        except (GearError, SceneError):  # the player reports it
            return []
        if found is None:
            return []
        tiles = []
        for line in scene.lines:
            forward, backward = found.lines.get(line.name, (0, 0))
            names = f"{line.name}: {line.forward} / {line.backward}"
            tiles.append(Tile(f"line-{line.name}", names, f"{forward} / {backward}", "since it was drawn"))
        for zone in scene.zones:
            now, _, entries, exits = found.zones.get(zone.name, (0, 0.0, 0, 0))
            value = f"{now}" if present.is_newest(found.ts_ms, PRESENT_MS) else _UNKNOWN
            tiles.append(Tile(f"zone-{zone.name}", f"in {zone.name}", value, f"{entries} in, {exits} out"))
        why = doubt(client, present) if tiles else ""
        return [_doubted(tile, why) for tile in tiles]

    return read


def _doubt(camera: str) -> Callable[[redis.Redis, Present], str]:
    """Why people could not be followed in the day, or in the recording; empty if they could."""
    known = ""
    read_at = 0

    def read(client: redis.Redis, present: Present) -> str:
        nonlocal known, read_at
        if present.clock_ms - read_at >= _SEEN_INTERVAL_MS:
            read_at = present.clock_ms
            found = too_few_frames(client, present.day_ms, present.end_ms, camera=camera).get(camera)
            known = "" if found is None else found.reason(counted_now(client))
        return known

    return read


def _doubted(tile: Tile, why: str) -> Tile:
    """A tile that says that its figure is not reliable, if there is a reason."""
    if not why:
        return tile
    detail = f"{_UNRELIABLE}; {tile.detail}" if tile.detail else _UNRELIABLE
    return replace(tile, detail=detail, level="warning", note=f"{_UNRELIABLE}: {why}")


SOURCES: tuple[Callable[[str], Source], ...] = (
    _people_now, _seen, _lines_and_zones, _longest_stay, _peak_today, _frames_per_second, _latency,
)  # fmt: skip
"""What makes the tiles, in the order in which they are shown."""


def _trend(
    camera: str, name: str, aggregation: str, *, scale: float = 1.0
) -> Callable[[redis.Redis, Present], tuple[float | None, ...]]:
    """Reads the last minutes of a series, in steps of some seconds; again only when a step is complete."""
    known: tuple[float | None, ...] = ()
    known_end_ms = 0

    def read(client: redis.Redis, present: Present) -> tuple[float | None, ...]:
        nonlocal known, known_end_ms
        end_ms = present.now_ms - present.now_ms % _TREND_STEP_MS
        if end_ms != known_end_ms:
            start_ms = end_ms - _TREND_STEPS * _TREND_STEP_MS
            span = {"start_ms": start_ms, "end_ms": end_ms - 1, "bucket_ms": _TREND_STEP_MS}
            series = read_series(client, camera, name, aggregation=aggregation, **span)
            values: list[float | None] = [None] * _TREND_STEPS
            for at, value in zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True):
                # what was before a recording is of another source
                if present.recording is None or at + _TREND_STEP_MS > present.day_ms:
                    values[(at - start_ms) // _TREND_STEP_MS] = round(value * scale, 2)
            known, known_end_ms = tuple(values), end_ms
        return known

    return read


def _duration(milliseconds: int) -> str:
    """Two numbers at most, and one from ten minutes: a tile has no space for more."""
    seconds = round(milliseconds / 1000)
    minutes = seconds // 60
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    if minutes >= 10:
        return f"{minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value < 9_995 else f"{value / 1000:.0f} s"
