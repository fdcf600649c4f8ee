"""The timeline of a recording: frames of a file that is processed `asap` have the times of the video, not of the run.

So a one-minute average is a minute of the video, however fast it was processed, and what happened at 0:42 is found
there. A camera has one count for each time: counting a recording again replaces its samples, or the series that sum
would double. No samples but those are replaced unless the recording says when it was made, or the user does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import redis

from rededge_nb import schema
from rededge_nb.capture.options import Settings
from rededge_nb.capture.sources import Captured, RecordedSource, Source
from rededge_nb.errors import ConfigurationError
from rededge_nb.reading.captures import CaptureRecord, ended_captures
from rededge_nb.reading.samples import (
    delete_samples,
    forget_people,
    free_time_ms,
    has_samples,
    newest_time_ms,
    oldest_allowed_ms,
)
from rededge_nb.reading.track_removal import TrackRemoval

_SECOND_MS = 1000


@dataclass(frozen=True)
class RecordingTime:
    """The times of one recording.

    Attributes:
        start_ms: Time of its first frame, in milliseconds since the epoch.
        end_ms: Time after its last frame; None where that is not known.
        content_id: Tells the recording from others; may be empty.
        counted_before: Whether the camera has an earlier count of this recording with these times.
        moved_from: Times of an earlier count of it, whose samples were deleted: pairs of the first one and the end.
    """

    start_ms: int
    end_ms: int | None
    content_id: str = ""
    counted_before: bool = False
    moved_from: tuple[tuple[int, int], ...] = ()

    def apply(self, frames: Iterator[Captured]) -> Iterator[Captured]:
        """The frames with the times of the recording, no two of which are the same."""
        last = 0
        for captured in frames:
            last = max(self.start_ms + round(1000 * captured.position), last + 1)
            yield captured._replace(ts_ms=last, read_ms=captured.ts_ms)


class Replacement:
    """Deletes what a camera has from the time of a recording, second by second, as its frames come.

    This concerns its samples, and the people who left its view at that time.
    So a capture that ends early leaves the rest as it was.
    """

    def __init__(self, client: redis.Redis, camera: str, times: RecordingTime) -> None:
        self._count = 0
        self._times = times
        self._tracks = TrackRemoval(client, camera)
        self._client = client
        self._camera = camera
        self._done_ms: int | None = None
        end_ms = times.end_ms or time.time_ns() // 1_000_000
        self._needed = has_samples(client, camera, times.start_ms, end_ms)

    def make_room(self, captured: Captured) -> None:
        """Delete the samples that the camera has where a frame and those after it belong."""
        start_ms = captured.ts_ms if self._done_ms is None else self._done_ms
        if captured.ts_ms < start_ms:
            return
        # a whole second, to which the gear adds nothing yet
        end_ms = captured.ts_ms - captured.ts_ms % _SECOND_MS + _SECOND_MS
        if self._times.end_ms is not None and captured.ts_ms < self._times.end_ms:
            end_ms = min(end_ms, self._times.end_ms)
        if self._needed:
            self._count += delete_samples(self._client, self._camera, start_ms, end_ms)
        if self._needed or self._times.moved_from:
            self._tracks.remove(lambda last_ms: self._is_replaced(last_ms, start_ms, end_ms))
        self._done_ms = end_ms

    def _is_replaced(self, last_ms: int, start_ms: int, end_ms: int) -> bool:
        """Whether somebody who was last seen at a time is one of an earlier count.

        The tracker notes with the first frame that those have left who were there at the end of the earlier count.
        """
        if start_ms <= last_ms < end_ms:
            return True
        # nobody was seen at such a time in this count
        other = last_ms < self._times.start_ms or last_ms >= end_ms
        return other and any(first <= last_ms < end for first, end in self._times.moved_from)

    @property
    def note(self) -> str:
        """What is to be said about it: nothing if the recording was counted again."""
        if not self._count or self._times.counted_before:
            return ""
        return f"{self._count} samples that camera {self._camera} had from the time of the recording were replaced"


def recording_time(client: redis.Redis, source: Source, options: Settings) -> RecordingTime | None:
    """The times of a recording; None where frames get the time at which they are read.

    That is the start that was asked for, else the creation time in the file, else such that the recording ends now, or
    before other samples of the camera that are in the way. A camera, a drawn scene, and a recording that is played
    again and again have times of their own only if a start was asked for. The samples of an earlier count of the same
    recording are deleted, as far as it will be counted now, if that had other times.

    Raises:
        ConfigurationError: the series of the camera do not take samples of this time any more, or have no free time.
    """
    if options.pace != "asap" or not isinstance(source, RecordedSource):
        return None
    length_ms = _length_ms(source, options)
    if options.start_ms is None and length_ms is None:
        return None
    content_id, camera = source.content_id(), options.camera
    start_ms = _given_start_ms(client, source, options, length_ms)
    if length_ms is None:
        return None if start_ms is None else RecordingTime(start_ms, None, content_id)
    earlier = _earlier_counts(client, camera, content_id) if content_id else []
    moved_from = _delete_counts(client, camera, earlier, start_ms, length_ms)
    counted_before = any(record.start_ms == start_ms for record, _ in earlier)
    if start_ms is None:
        start_ms = _free_start_ms(client, source, camera, length_ms)
    return RecordingTime(start_ms, start_ms + length_ms, content_id, counted_before, moved_from)


def _length_ms(source: RecordedSource, options: Settings) -> int | None:
    """How much of a recording will be counted."""
    length = source.measure_duration()
    if length is not None:
        length = min(length, options.seconds or length, (options.frames or length / source.interval) * source.interval)
    return None if length is None else round(1000 * length)


def _given_start_ms(
    client: redis.Redis, source: RecordedSource, options: Settings, length_ms: int | None
) -> int | None:
    """The start that the user or the file gives; None if there is none that can be used."""
    if options.start_ms is not None:
        _check(client, options.camera, options.start_ms)
        return options.start_ms
    if source.created is None:
        return None
    created_ms = round(source.created.timestamp() * 1000)
    try:
        if created_ms + (length_ms or 0) > _now_ms():
            raise ConfigurationError(f"it would end in the future, as its creation time is {_shown(created_ms)}")
        _check(client, options.camera, created_ms)
    except ConfigurationError as error:
        source.problems.remark(f"the frames do not get the times of the recording: {error}")
        return None
    return created_ms


def _free_start_ms(client: redis.Redis, source: RecordedSource, camera: str, length_ms: int) -> int:
    """The latest start at which a recording of this length has ended by now, and replaces no samples."""
    now_ms = _now_ms()
    start_ms = free_time_ms(client, camera, length_ms, now_ms)
    if start_ms is None:
        raise ConfigurationError(
            f"camera {camera} has samples of all the time that it keeps them, and the recording does not say when it "
            "was made: say so (--start), which replaces the samples of that time, or capture it into another camera"
        )
    if start_ms + length_ms < now_ms:
        source.problems.remark(
            f"the frames got times from {_shown(start_ms)} to {_shown(start_ms + length_ms)}, because the camera has "
            "other samples after that: --start says when a recording began"
        )
    return start_ms


def _earlier_counts(
    client: redis.Redis, camera: str, content_id: str
) -> list[tuple[CaptureRecord, list[tuple[int, int]]]]:
    """The captures that have counted a recording, with those of their times that no capture has counted since."""
    newer: list[CaptureRecord] = []
    found = []
    for record in ended_captures(client, camera):
        if record.first_ms and record.last_ms:
            if record.content_id == content_id:
                found.append((record, _parts_without(record, newer)))
            newer.append(record)
    return found


def _delete_counts(
    client: redis.Redis,
    camera: str,
    earlier: list[tuple[CaptureRecord, list[tuple[int, int]]]],
    start_ms: int | None,
    length_ms: int,
) -> tuple[tuple[int, int], ...]:
    """Delete the samples of earlier counts of a recording that had other times, as far as it is counted again."""
    times = [
        (first, min(last + 1, record.start_ms + length_ms))
        for record, parts in earlier
        if record.start_ms != start_ms
        for first, last in parts
    ]
    times = [(first, end) for first, end in times if first < end]
    newest_ms = newest_time_ms(client, camera)
    for first, end in times:
        delete_samples(client, camera, first, end)
    if any(first <= newest_ms < end for first, end in times):
        forget_people(client, camera)
    if times:
        TrackRemoval(client, camera).remove(lambda last_ms: any(first <= last_ms < end for first, end in times))
    return tuple(times)


def _parts_without(record: CaptureRecord, others: list[CaptureRecord]) -> list[tuple[int, int]]:
    """The times of a capture that have not been those of another one since: pairs of the first and the last one."""
    parts = [(record.first_ms, record.last_ms)]
    for other in others:
        parts = [
            (first, last)
            for start, end in parts
            for first, last in ((start, min(end, other.first_ms - 1)), (max(start, other.last_ms + 1), end))
            if first <= last
        ]
    return parts


def _check(client: redis.Redis, camera: str, start_ms: int) -> None:
    oldest_ms = oldest_allowed_ms(client, camera)
    if start_ms < oldest_ms:
        raise ConfigurationError(
            f"camera {camera} takes no samples from before {_shown(oldest_ms)}, because it has newer ones and keeps "
            f"{schema.RAW_RETENTION_MS // 3_600_000} hours, and the recording begins at {_shown(start_ms)}: capture it "
            "into a camera of its own, or give another --start"
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _shown(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
