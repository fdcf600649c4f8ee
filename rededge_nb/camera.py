"""One camera: its frames, detections, tracks, events, errors, series and captures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Unpack

import numpy as np
import redis

from rededge_nb import schema, streams
from rededge_nb.capture.captures import Captures
from rededge_nb.capture.report import CaptureReport
from rededge_nb.capture.run import Capture, CaptureOptions, capture
from rededge_nb.clips.clip import AFTER, BEFORE, Clip, make_clip
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.errors import CameraInUseError, NoDataError
from rededge_nb.history import by_period
from rededge_nb.history.by_period import time_span
from rededge_nb.history.places import heatmap_image
from rededge_nb.history.table import DataTable
from rededge_nb.images import Image
from rededge_nb.reading import detections as found
from rededge_nb.reading import events as happened
from rededge_nb.reading import frames, scenes
from rededge_nb.reading import series as time_series
from rededge_nb.reading import summary as summaries
from rededge_nb.reading import tracks as paths
from rededge_nb.reading.captures import CaptureRecord, current_capture, ended_captures
from rededge_nb.reading.recordings import with_positions
from rededge_nb.reading.trails import Trail, read_trails
from rededge_nb.time_zones import Moment, find_zone, moment_ms

_DETECTIONS_TIMEOUT = 60.0
"""Seconds to wait for the first detections of a camera that another capture feeds."""
_POLL = 0.2


class Camera:
    """One camera of a workbench: see `Workbench.camera`.

    Attributes:
        id: Camera id.
        scene: Its lines, zones and masks, to show and to change.
    """

    def __init__(self, client: redis.Redis, camera: object, captures: Captures) -> None:
        self.id = schema.camera_id(camera)
        self.scene = CameraScene(client, self.id)
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
            only_if_silent: Do nothing if another capture feeds the camera. Otherwise it is replaced.

        Returns:
            The capture; None if none was started.
        """
        if minutes <= 0 or (only_if_silent and self._is_fed()):
            return None
        try:
            # it is there to be looked at: whoever wants the camera for something else gets it
            return self.start_capture(source, loop=True, seconds=60 * minutes, replace=not only_if_silent, yields=True)
        except CameraInUseError:
            return None

    def ensure_detections(self, source: Any, *, seconds: float) -> str:
        """Capture a part of a source unless the stream has a frame with detections, so that there is something to see.

        Args:
            source: Whatever `open_source` takes.
            seconds: Length of that part.

        Returns:
            A sentence that says what was done.

        Raises:
            NoDataError: another capture feeds the camera, but its frames get no detections.
        """
        report = ""
        deadline = time.monotonic() + _DETECTIONS_TIMEOUT
        while True:
            try:
                latest = found.latest_detected_frame(self._client, self.id)[1]
            except NoDataError:
                if time.monotonic() > deadline:
                    raise
            else:
                return report or f"camera {self.id} has detections already, the newest of {latest.time}"
            if self._is_fed():
                time.sleep(_POLL)  # its detections are there soon
            else:
                with contextlib.suppress(CameraInUseError):
                    report = str(self.capture(source, seconds=seconds, pace="asap", yields=True))

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

    def fed_by(self) -> CaptureRecord | None:
        """The capture that feeds the camera now, here or in another process; None if there is none."""
        return current_capture(self._client, self.id)

    def captures(self) -> list[CaptureRecord]:
        """The captures of the camera, the newest first: the one that feeds it now, and those that have ended.

        `start_ms` of a recording is the time of its position 0, and `show_positions` draws plots in its time.
        """
        current = self.fed_by()
        return [*([current] if current else []), *ended_captures(self._client, self.id)]

    def summary(self, *captures: CaptureReport | Capture | CaptureRecord | str) -> summaries.Summary:
        """Figures of captures: how many frames they added, with how many people, and how long each step took.

        Args:
            captures: Captures of this camera, their reports, or their ids.
        """
        return summaries.summarize(self._client, self.id, [_id_of(each) for each in captures])

    def _is_fed(self) -> bool:
        """Whether a capture feeds the camera, or another client adds frames."""
        return self.fed_by() is not None or frames.next_frame_arrives(self._client, self.id)

    def detections(self, *, start: str = "-", end: str = "+", count: int | None = None) -> list[found.Detections]:
        """Detections whose own entry ids (not those of their frames) are in a range, oldest first."""
        return found.read_detections(self._client, self.id, start=start, end=end, count=count)

    def follow(self, *, seconds: float | None = None, frames: int | None = None) -> Iterator[found.Detections]:
        """Detections as they arrive after this call; ends after so many seconds or frames, whichever comes first."""
        return found.follow_detections(self._client, self.id, seconds=seconds, frames=frames)

    def tracks(
        self,
        start: Moment | timedelta | None = None,
        end: Moment | None = None,
        *,
        time_zone: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[paths.Track]:
        """The people who were in view between two times, by id, with their paths; see `reading.tracks.read_tracks`.

        `too_few_frames` of a track says if the model saw too few frames to follow people meanwhile.

        Args:
            start: Whoever left earlier is left out; as in `history`, and default: no limit.
            end: Whoever came later is left out; default: no limit.
            time_zone: Name of the time zone of `start` and `end`; default: that of this computer.
            start_ms: The same as `start`, in milliseconds since the epoch.
            end_ms: The same as `end`.
        """
        zone = find_zone(time_zone)
        if isinstance(start, timedelta):
            start_ms, end_ms = time_span(self._client, self.id, start, end, zone)
        else:
            start_ms = start_ms if start is None else moment_ms(start, zone)
            end_ms = end_ms if end is None else moment_ms(end, zone)
        return paths.read_tracks(self._client, self.id, start_ms=start_ms, end_ms=end_ms)

    def history(
        self,
        start: Moment | timedelta | None = None,
        end: Moment | None = None,
        *,
        every: str = "15min",
        time_zone: str | None = None,
    ) -> DataTable:
        """What was counted in each period of a time: people, crossings, occupancy and stays.

        `to_pandas()`, `to_arrow()` and `to_numpy()` convert the table. Columns, arguments and errors are those of
        `history.by_period.read_history`: `cam.history("2026-03-01", "2026-04-01", every="1d")`.
        """
        return by_period.read_history(self._client, self.id, start, end, every=every, time_zone=time_zone)

    def busiest(
        self,
        start: Moment | timedelta | None = None,
        end: Moment | None = None,
        *,
        every: str = "1h",
        by: str | None = None,
        count: int = 5,
        time_zone: str | None = None,
    ) -> DataTable:
        """The busiest periods of a time, the busiest first.

        Args:
            start: As in `history`.
            end: As in `history`.
            every: Length of a period.
            by: The column of `history` that decides, such as `seen` or `line:door:forward`; default: the mean number in
                view.
            count: Number of periods at most.
            time_zone: Name of the time zone; default: that of this computer.
        """
        table = self.history(start, end, every=every, time_zone=time_zone)
        return by_period.busiest_periods(table, by=by, count=count)

    def heatmap(
        self,
        start: Moment | timedelta | None = None,
        end: Moment | None = None,
        *,
        image: Image | None = None,
        time_zone: str | None = None,
    ) -> Image:
        """An image of where people were, weighted by time, over a frame of the camera; for `plot_frame`.

        It says so at its lower edge if the model saw too few frames to follow people.

        Args:
            start: As in `history`.
            end: As in `history`.
            image: A frame to draw over; default: the newest one.
            time_zone: Name of the time zone; default: that of this computer.

        Raises:
            NoDataError: nobody was in view.
        """
        start_ms, end_ms = time_span(self._client, self.id, start, end, find_zone(time_zone))
        return heatmap_image(self._client, self.id, start_ms, end_ms, image)

    def trails(self, detections: found.Detections) -> list[Trail]:
        """Where the person in each box has walked in the last seconds, for `draw_detections`."""
        return read_trails(self._client, detections)

    def crossings(self, *, start_ms: int | None = None, end_ms: int | None = None) -> list[scenes.Crossings]:
        """How often people crossed each line, in a range of times or in the last 24 hours."""
        return scenes.read_crossings(self._client, self.id, start_ms=start_ms, end_ms=end_ms)

    def zones(self, *, start_ms: int | None = None, end_ms: int | None = None) -> list[scenes.ZoneVisits]:
        """Who is in each zone, and how long people stayed, in a range of times or in the last 24 hours."""
        return scenes.read_zones(self._client, self.id, start_ms=start_ms, end_ms=end_ms)

    def events(
        self, *, start: str = "-", end: str = "+", kinds: Collection[str] | None = None, limit: int | None = None
    ) -> list[happened.Event]:
        """What happened at the camera, the newest first; see `reading.events.read_events`.

        `position_s` of an event in a recording says where in the recording it happened.
        """
        found = happened.read_events(self._client, self.id, start=start, end=end, kinds=kinds, limit=limit)
        return with_positions(self._client, found)

    def alarms(self) -> list[happened.Event]:
        """The alarms that were raised and are not cleared, the newest first."""
        return with_positions(self._client, happened.active_alarms(self._client, self.id))

    def acknowledge(self, alarm: str) -> happened.Event:
        """Note that somebody has seen an active alarm.

        Raises:
            NoDataError: the camera has no active alarm of that id.
        """
        return happened.acknowledge_alarm(self._client, self.id, alarm)

    def clip(
        self,
        when: happened.Event | int | datetime | np.datetime64,
        *,
        before: float = BEFORE,
        after: float = AFTER,
        boxes: bool = True,
        max_width: int | None = None,
    ) -> Clip:
        """The video of what happened around an event or a time; see `clips.clip.make_clip`."""
        return make_clip(self._client, self.id, when, before=before, after=after, boxes=boxes, max_width=max_width)

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


def _id_of(capture: CaptureReport | Capture | CaptureRecord | str) -> str:
    if isinstance(capture, str):
        return capture
    return capture.report.capture if isinstance(capture, Capture) else capture.capture
