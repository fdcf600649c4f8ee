"""What views take for the present of a camera: the time of the clock, or the position in a recording."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import redis

from rededge_nb import schema
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import GearError
from rededge_nb.reading.captures import CaptureRecord, newest_capture
from rededge_nb.reading.detections import read_latest_detections
from rededge_nb.reading.seen import midnight_ms
from rededge_nb.time_zones import position_text


@dataclass(frozen=True)
class Present:
    """The present of a camera.

    Attributes:
        now_ms: The server's time; for a recording, the time of the last frame that was processed.
        clock_ms: The server's time, in milliseconds since the epoch.
        recording: The capture of the recording that the camera was last fed with; None for a live source.
    """

    now_ms: int
    clock_ms: int
    recording: CaptureRecord | None = None

    @property
    def end_ms(self) -> int:
        """The time after which samples are those of another source, such as a recording with times in the future."""
        return self.now_ms if self.recording else self.now_ms + schema.CLOCK_SLACK_MS

    @property
    def last_ms(self) -> int:
        """The same; but for a recording the time of its newest frame, processed or not."""
        return max(self.now_ms, self.recording.last_ms) if self.recording else self.end_ms

    @property
    def day_ms(self) -> int:
        """When the day began, in the time zone of this process, or the recording."""
        return self.recording.start_ms if self.recording else midnight_ms(self.now_ms)

    @property
    def hour_ms(self) -> int:
        """An hour ago, or when the recording began."""
        return self.recording.start_ms if self.recording else self.now_ms - 60 * schema.MINUTE_MS

    def is_newest(self, time_ms: int, within_ms: int) -> bool:
        """Whether a sample of that time shows the present: it is not older than `within_ms`, and not of the future."""
        return self.now_ms - within_ms < time_ms <= self.end_ms

    def newest_of(self, newest_ms: int) -> int:
        """The time of the newest sample of the present; `newest_ms` is that of the newest one at all."""
        if self.recording:
            return self.last_ms
        return newest_ms if newest_ms <= self.end_ms else self.now_ms

    def age_ms(self, time_ms: int) -> int:
        """How long ago that was. After the end of a recording, its frames get older by the clock."""
        ended_ms = self.recording.ended_ms if self.recording else 0
        return self.now_ms - time_ms + (max(0, self.clock_ms - ended_ms) if ended_ms else 0)

    def shown(self, time_ms: int) -> str:
        """A time as views show it: the clock's hour and minute, or the position in the recording."""
        if self.recording:
            return position_text(max(0, time_ms - self.recording.start_ms) / 1000)
        return f"{local_time_of(time_ms):%H:%M}"


def present_of(client: redis.Redis, camera: str) -> Present:
    """The present of a camera.

    Args:
        client: Connected to the camera's server.
        camera: Camera id.
    """
    with server_errors(client):
        seconds, microseconds = client.time()
    clock_ms = seconds * 1000 + microseconds // 1000
    newest = newest_capture(client, camera)
    if newest is None or not newest.start_ms:
        return Present(clock_ms, clock_ms)
    try:
        found = read_latest_detections(client, camera)
    except GearError:  # the player reports it
        found = None
    processed_ms = 0 if found is None else found.ts_ms
    now_ms = processed_ms if newest.start_ms <= processed_ms <= newest.last_ms + schema.MINUTE_MS else newest.start_ms
    return Present(now_ms, clock_ms, newest)


def local_time_of(time_ms: int) -> datetime:
    """A time in the time zone of this process."""
    return datetime.fromtimestamp(time_ms / 1000).astimezone()
