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
    """One camera of a workbench: see `Workbench.camera`."""

    def __init__(self, client: redis.Redis, camera: object, captures: Captures) -> None:
        self.id = schema.camera_id(camera)
        self._client = client
        self._captures = captures

    def __repr__(self) -> str:
        return f"<Camera {self.id}: {self._client.xlen(schema.frames_key(self.id))} frames in its stream>"

    def capture(self, source: Any, **options: Unpack[CaptureOptions]) -> CaptureReport:
        """Add the frames of a source and wait for its end.

        Options and errors are those of `rededge_nb.capture.run.capture`.
        """
        options["camera"] = self.id
        return capture(self._client, source, **options)

    def start_capture(self, source: Any, **options: Unpack[CaptureOptions]) -> Capture:
        """Add the frames of a source in the background; options as of `capture`.

        Closing the workbench stops it.
        """
        options["camera"] = self.id
        return self._captures.start(source, **options)

    def play(self, source: Any, *, minutes: float, only_if_silent: bool = True) -> Capture | None:
        """Play a source in the background, again and again, so that live views have something to show.

        Args:
            source: Whatever `open_source` takes.
            minutes: Ends after this time; 0 does nothing.
            only_if_silent: Do nothing if another capture feeds the camera: two would alternate in the video.

        Returns:
            The capture; None if none was started.
        """
        if minutes <= 0 or (only_if_silent and frames.next_frame_arrives(self._client, self.id)):
            return None
        return self.start_capture(source, loop=True, seconds=60 * minutes)

    def ensure_detections(self, source: Any, *, seconds: float) -> str:
        """Capture a part of a source unless the stream has a frame with detections, so that there is something to see.

        Args:
            source: Whatever `open_source` takes.
            seconds: Length of that part.

        Returns:
            A sentence that says what was done.
        """
        try:
            latest = found.latest_detected_frame(self._client, self.id)[1]
        except NoDataError:
            return str(self.capture(source, seconds=seconds, pace="asap"))
        return f"camera {self.id} has detections already, the newest of {latest.time}"

    def latest(self) -> tuple[frames.Frame, found.Detections]:
        """The newest frame that has detections, together with these.

        Raises:
            NoDataError: there is none.
        """
        return found.latest_detected_frame(self._client, self.id)

    def frame(self, entry_id: str) -> frames.Frame:
        """The frame with this entry id, such as the `ref` of a detection.

        Raises:
            NoDataError: it is not in the stream (any more).
        """
        return frames.read_frame(self._client, self.id, entry_id)

    def recent(self) -> list[found.Detections]:
        """Detections of the frames that are still in the stream, oldest first."""
        oldest = streams.entries(self._client, schema.frames_key(self.id), count=1)
        if not oldest:
            return []
        first = oldest[0][0]
        # Detections are written after their frame. Some that were written after the oldest frame belong to frames
        # that were even older and have left the stream.
        later = found.read_detections(self._client, self.id, start=first)
        return [each for each in later if streams.id_order(each.ref) >= streams.id_order(first)]

    def recent_frames(self, count: int = 100) -> list[tuple[frames.Frame, found.Detections]]:
        """The newest frames that have detections, together with these, oldest first.

        Keep the result: frames leave their stream after a while.
        """
        pairs = []
        for each in self.recent()[-count:]:
            with contextlib.suppress(NoDataError):  # the frame has left its stream meanwhile
                pairs.append((self.frame(each.ref), each))
        return pairs

    def marker(self) -> summaries.Marker:
        """The present moment, to pass to `summary` later."""
        return summaries.start_marker(self._client, self.id)

    def summary(self, since: summaries.Marker) -> summaries.Summary:
        """Figures of the frames since a marker: how many, with how many people, and how long each step took."""
        return summaries.summarize(self._client, self.id, since)

    def detections(self, *, start: str = "-", end: str = "+", count: int | None = None) -> list[found.Detections]:
        """Detections whose own entry ids (not those of their frames) are in a range, oldest first."""
        return found.read_detections(self._client, self.id, start=start, end=end, count=count)

    def follow(self, *, seconds: float | None = None, frames: int | None = None) -> Iterator[found.Detections]:
        """Detections as they arrive after this call; ends after so many seconds or frames, whichever comes first."""
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

    def step_series(self, **options: Any) -> dict[str, time_series.Series]:
        """Milliseconds of each step of the gear, in the order of the steps, and in total.

        Options are those of `series.read_many`.
        """
        return self.many_series((*map(schema.step_series, schema.STEPS), schema.TOTAL), **options)
