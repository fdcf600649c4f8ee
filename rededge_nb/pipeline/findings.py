"""What a run found out, for the first page of its report: people over time, the peak, and where people walked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from rededge_nb import schema, streams
from rededge_nb.analytics.presence import seconds_in_cells
from rededge_nb.analytics.scene import Scene
from rededge_nb.capture.masking import masked
from rededge_nb.capture.sources import RecordedSource, open_source
from rededge_nb.display.heatmap import grid_of
from rededge_nb.errors import NoDataError, RedEdgeError, SourceError
from rededge_nb.history.counts import Counts, read_counts
from rededge_nb.images import Image, decode_image
from rededge_nb.reading.captures import CaptureRecord
from rededge_nb.reading.detections import Detections, parse_detections
from rededge_nb.reading.frames import latest_frame, read_frame
from rededge_nb.reading.scenes import read_scene
from rededge_nb.reading.series import read_series
from rededge_nb.reading.tracks import Track, read_tracks
from rededge_nb.time_zones import find_zone, local_time

_PERIODS_MOST = 120
"""Columns of the chart of people over time."""
_LENGTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_SAME_FRAME_S = 0.005
"""Positions that differ by less belong to the same frame."""
_PAGE = 1000


@dataclass(frozen=True)
class Peak:
    """The moment with the most people.

    Attributes:
        people: How many.
        ts_ms: When: the middle of the longest time with so many, within the first period that has so many.
        detections: The detections of that frame; None if they have left their stream.
        image: The frame; None if it has left its stream and cannot be read from its file.
    """

    people: int
    ts_ms: int
    detections: Detections | None = field(default=None, repr=False)
    image: Image | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Findings:
    """What the captures of a run found out.

    Attributes:
        start_ms: Time of the beginning of the recording, or of the first frame.
        end_ms: Time of the last frame.
        recorded: Whether times are those of a recording, so that a position in it is what readers look for.
        period_s: Length of a period of `counts` in seconds.
        counts: People in each period; periods in which none of the captures had frames are NaN.
        peak: The moment with the most people; None if no frame was processed.
        tracks: The people who were in view.
        background: A frame of the camera; None if there is none any more.
    """

    start_ms: int
    end_ms: int
    recorded: bool
    period_s: int
    counts: Counts
    peak: Peak | None
    tracks: list[Track] = field(repr=False)
    background: Image | None = field(repr=False)

    @property
    def scene(self) -> Scene:
        """Lines and zones."""
        return self.counts.scene

    def position(self, ts_ms: float) -> float:
        """Seconds from the start."""
        return (ts_ms - self.start_ms) / 1000

    def presence(self) -> NDArray[np.float64]:
        """Seconds that people spent in each cell of a grid over the frame; float64 of shape (rows, columns)."""
        grid_wh = (64, 36) if self.background is None else grid_of(self.background)
        paths = ((track.times_ms, track.path) for track in self.tracks)
        return seconds_in_cells(paths, grid_wh, start_ms=self.start_ms, end_ms=self.end_ms)

    def as_dict(self) -> dict[str, Any]:
        """The figures as summary.json has them."""
        series = self.counts.counted.series
        values = {name: self.counts.figures[f"{series}_{name}"] for name in ("mean", "min", "max")}
        presence = self.presence()
        rows, columns = presence.shape
        figures: dict[str, Any] = {
            "video": {
                "seconds": round(self.position(self.end_ms), 3),
                "first_frame": _utc(self.start_ms),
                "recorded": self.recorded,
            },
            "peak": None,
            f"{series}_over_time": {
                "period_seconds": self.period_s,
                "start_seconds": self.position(int(self.counts.edges_ms[0])),
                **{name: [_rounded(each, 3) for each in every] for name, every in values.items()},
            },
            "heat_map": {
                "columns": columns,
                "rows": rows,
                "seconds": [_rounded(each, 2) for each in presence.ravel()],
            },
        }
        if self.peak is not None:
            at = self.peak.ts_ms
            figures["peak"] = {series: self.peak.people, "seconds": self.position(at), "time": _utc(at)}
        return figures


def read_findings(
    client: redis.Redis, camera: object, records: Sequence[CaptureRecord], source: Path | None
) -> Findings | None:
    """What some captures of a camera found out; None if they added no frames.

    Args:
        client: Connected to the server.
        camera: Camera id.
        records: The captures.
        source: The file that was captured, from which a frame is read again that has left its stream.

    Raises:
        NoDataError: the camera has no series.
        MissingModuleError: the server lacks RedisTimeSeries.
    """
    records = [each for each in records if each.first_ms and each.last_ms]
    if not records:
        return None
    start_ms = min(each.start_ms or each.first_ms for each in records)
    end_ms = max(each.last_ms for each in records)
    period_s, edges = _periods(start_ms, end_ms)
    counts = read_counts(client, camera, edges)
    _forget_what_was_between(counts, records)
    peak = _find_peak(client, camera, counts, records, source)
    tracks = read_tracks(client, camera, start_ms=start_ms, end_ms=end_ms)
    recorded = all(each.start_ms for each in records)
    background = peak.image if peak and peak.image is not None else _newest_image(client, camera)
    return Findings(start_ms, end_ms, recorded, period_s, counts, peak, tracks, background)


def _periods(start_ms: int, end_ms: int) -> tuple[int, NDArray[np.int64]]:
    """Length of the periods in seconds, and their edges."""
    length_s = (end_ms + 1 - start_ms) / 1000
    period_s = next((each for each in _LENGTHS_S if length_s / each <= _PERIODS_MOST), None)
    if period_s is None:
        period_s = 3600 * int(1 + length_s / 3600 / _PERIODS_MOST)
    if period_s >= 60:
        start_ms -= start_ms % schema.MINUTE_MS  # of what is older than a day, there are only whole minutes
    count = max(1, -(-(end_ms + 1 - start_ms) // (1000 * period_s)))
    return period_s, start_ms + 1000 * period_s * np.arange(count + 1, dtype=np.int64)


def _forget_what_was_between(counts: Counts, records: Sequence[CaptureRecord]) -> None:
    """What another run captured between two captures of this one is not its finding."""
    starts, ends = counts.edges_ms[:-1], counts.edges_ms[1:]
    own = np.zeros(len(starts), bool)
    for each in records:
        own |= (starts <= each.last_ms) & (ends > each.first_ms)
    for values in counts.figures.values():
        values[~own] = np.nan


def _find_peak(
    client: redis.Redis, camera: object, counts: Counts, records: Sequence[CaptureRecord], source: Path | None
) -> Peak | None:
    highest = counts.figures[f"{counts.counted.series}_max"]
    if np.isnan(highest).all():
        return None
    at = int(np.nanargmax(highest))
    start_ms, end_ms = int(counts.edges_ms[at]), int(counts.edges_ms[at + 1]) - 1
    people = round(float(highest[at]))
    series = read_series(client, camera, counts.counted.series, start_ms=start_ms, end_ms=end_ms)
    ts_ms = _middle_of_longest(series.timestamps_ms, series.values == highest[at])
    if ts_ms is None:
        return Peak(people, start_ms)
    detections = _detections_at(client, camera, ts_ms, records)
    if detections is None:
        return Peak(people, ts_ms)
    return Peak(people, ts_ms, detections, _image_of(client, camera, detections, records, source))


def _middle_of_longest(times_ms: NDArray[np.int64], chosen: NDArray[np.bool_]) -> int | None:
    """The time of the middle sample of the longest unbroken sequence of chosen ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(int)))
    if not len(edges):
        return None
    firsts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - firsts))
    return int(times_ms[(firsts[longest] + ends[longest] - 1) // 2])


def _detections_at(
    client: redis.Redis, camera: object, ts_ms: int, records: Sequence[CaptureRecord]
) -> Detections | None:
    first = min((each.first_id for each in records if each.first_id), key=streams.id_order, default="")
    at = first.split("-")[0] if first else "+"
    key = schema.detections_key(camera)
    while page := streams.entries(client, key, start=at, count=_PAGE):
        for entry in page:
            if streams.number(entry[1], schema.TS, 0) == ts_ms:
                return parse_detections(schema.camera_id(camera), entry)
        at = f"({page[-1][0]}"
    return None


def _image_of(
    client: redis.Redis,
    camera: object,
    detections: Detections,
    records: Sequence[CaptureRecord],
    source: Path | None,
) -> Image | None:
    try:
        return read_frame(client, camera, detections.ref).image()
    except NoDataError:
        record = next((each for each in records if each.first_ms <= detections.ts_ms <= each.last_ms), None)
        if source is None or record is None or not (record.start_ms and record.content_id):
            return None
    except SourceError:
        return None
    position = (detections.ts_ms - record.start_ms) / 1000
    return _image_in_file(client, camera, source, record.content_id, position)


def _image_in_file(client: redis.Redis, camera: object, source: Path, content_id: str, position: float) -> Image | None:
    """The frame at a position of a recording, with the camera's masks; None if the file is another one by now."""
    try:
        scene = read_scene(client, camera)
        if scene.boxes_only:
            return None  # no image of this camera is ever stored
        shape = latest_frame(client, camera).image().shape
        with open_source(source) as video:
            if not isinstance(video, RecordedSource) or video.content_id() != content_id:
                return None
            while (captured := video.read()) is not None and captured.position < position - _SAME_FRAME_S:
                pass
        if captured is None or captured.position > position + _SAME_FRAME_S:
            return None
        image = decode_image(captured.image, f"a frame of {source}")
    except RedEdgeError:
        return None  # the report does without this picture
    # frames that were made smaller for the capture do not fit their boxes
    return masked(image, scene.masks) if image.shape == shape else None


def _newest_image(client: redis.Redis, camera: object) -> Image | None:
    try:
        return latest_frame(client, camera).image()
    except (NoDataError, SourceError):
        return None


def _utc(ms: int) -> str:
    return local_time(ms, find_zone("UTC")).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(value: Any, digits: int) -> float | None:
    return None if np.isnan(value) else round(float(value), digits)
