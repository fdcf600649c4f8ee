"""One camera: its frames, detections, errors, series and captures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Unpack

import redis

from rededge_nb import schema, streams
from rededge_nb.capture.captures import Captures
from rededge_nb.capture.report import CaptureReport
from rededge_nb.capture.run import Capture, CaptureOptions, capture
from rededge_nb.errors import NoDataError
from rededge_nb.reading import detections as found
from rededge_nb.reading import frames
from rededge_nb.reading import series as time_series
from rededge_nb.reading import summary as summaries


class Camera:
    """One camera."""

    def __init__(self, client: redis.Redis, camera: object, captures: Captures) -> None:
        self.id = schema.camera_id(camera)
        self._client = client
        self._captures = captures

    def __repr__(self) -> str:
        return f"<Camera {self.id}: {self._client.xlen(schema.frames_key(self.id))} frames in its stream>"

    def capture(self, source: Any, **options: Unpack[CaptureOptions]) -> CaptureReport:
        """Add the frames of a source, and return when that has ended; options as of `capture.capture`."""
        options["camera"] = self.id
        return capture(self._client, source, **options)

    def start_capture(self, source: Any, **options: Unpack[CaptureOptions]) -> Capture:
        """Add the frames of a source in the background; `close()` of the workbench stops it."""
        options["camera"] = self.id
        return self._captures.start(source, **options)

    def ensure_detections(self, source: Any, *, seconds: float) -> str:
        """Capture some of a source unless a frame with detections is in the stream, so that there is something to see.

        Returns:
            A sentence that says which was the case.
        """
        try:
            latest = found.latest_detected_frame(self._client, self.id)[1]
        except NoDataError:
            return str(self.capture(source, seconds=seconds, pace="asap"))
        return f"camera {self.id} has detections already, the newest of {latest.time}"

    def latest(self) -> tuple[frames.Frame, found.Detections]:
        """The newest frame that has its detections, with these."""
        return found.latest_detected_frame(self._client, self.id)

    def frame(self, entry_id: str) -> frames.Frame:
        """The frame with this entry id; a detection's is its `ref`."""
        return frames.read_frame(self._client, self.id, entry_id)

    def recent(self) -> list[found.Detections]:
        """Detections of the frames that are still in the stream, oldest first."""
        oldest = streams.entries(self._client, schema.frames_key(self.id), count=1)
        if not oldest:
            return []
        first = oldest[0][0]
        # detections are younger than their frame, but some that are younger than this one belong to older frames
        later = found.read_detections(self._client, self.id, start=first)
        return [each for each in later if streams.id_order(each.ref) >= streams.id_order(first)]

    def recent_frames(self, count: int = 100) -> list[tuple[frames.Frame, found.Detections]]:
        """The newest frames that have detections, with these, oldest first: to keep, as frames leave their stream."""
        pairs = []
        for each in self.recent()[-count:]:
            with contextlib.suppress(NoDataError):  # it has left meanwhile
                pairs.append((self.frame(each.ref), each))
        return pairs

    def marker(self) -> summaries.Marker:
        """Now, to give to `summary` later."""
        return summaries.start_marker(self._client, self.id)

    def summary(self, since: summaries.Marker) -> summaries.Summary:
        """What became of the frames since a marker: how many, with how many people, in how much time."""
        return summaries.summarize(self._client, self.id, since)

    def detections(self, *, start: str = "-", end: str = "+", count: int | None = None) -> list[found.Detections]:
        """Detections whose own entry ids (not those of their frames) are in a range, oldest first."""
        return found.read_detections(self._client, self.id, start=start, end=end, count=count)

    def follow(self, *, seconds: float | None = None, frames: int | None = None) -> Iterator[found.Detections]:
        """Detections as they come, from this call on, for so many seconds or frames, whichever ends first."""
        return found.follow_detections(self._client, self.id, seconds=seconds, frames=frames)

    def errors(self) -> list[frames.FailedFrame]:
        """The frames that could not be processed, with the reasons."""
        return frames.read_errors(self._client, self.id)

    def series(self, name: str, **options: Any) -> time_series.Series:
        """One series, such as `people`, `in_fps`, `prf_model`; options as of `series.read_series`."""
        return time_series.read_series(self._client, self.id, name, **options)

    def many_series(self, names: Iterable[str], **options: Any) -> dict[str, time_series.Series]:
        """Several series at once, by name; options as of `series.read_many`."""
        return time_series.read_many(self._client, self.id, list(names), **options)
