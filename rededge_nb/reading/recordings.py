"""Where in its recording a frame is: live views show that, and not the time of the clock, for a video file with `asap`.

A frame says which capture has added it, and the capture says when its recording began. The first second of a capture is
an exception: its description does not have that yet.
"""

from __future__ import annotations

import redis

from rededge_nb.reading.captures import current_capture, ended_captures, newest_capture


class RecordingPositions:
    """Tells the positions of a camera's frames, and remembers when each recording began.

    Args:
        camera: Camera id.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._start_ms: dict[str, int] = {}

    def position_s(self, client: redis.Redis, capture: str, ts_ms: int, read_ms: int | None) -> float | None:
        """Seconds from the beginning of the recording; None if the frame has the time of the clock.

        Args:
            client: Connected to the server.
            capture: Id of the frame's capture.
            ts_ms: Time of the frame.
            read_ms: When it was read from its recording; None if `ts_ms` is not a time of a recording.
        """
        if read_ms is None:
            return None
        start_ms = self._start_ms.get(capture)
        if start_ms is None:
            start_ms = self._find(client, capture)
        return max(0, ts_ms - start_ms) / 1000 if start_ms else None

    def _find(self, client: redis.Redis, capture: str) -> int:
        current = current_capture(client, self._camera)
        if current is not None and current.capture == capture:
            if current.start_ms:
                self._start_ms[capture] = current.start_ms
            return current.start_ms
        ended = (each.start_ms for each in ended_captures(client, self._camera) if each.capture == capture)
        self._start_ms[capture] = next(ended, 0)
        return self._start_ms[capture]


def newest_recording_ms(client: redis.Redis, camera: str) -> int | None:
    """When the recording began that a camera was last fed with; None if it was last fed with a live source."""
    newest = newest_capture(client, camera)
    return newest.start_ms or None if newest is not None else None
