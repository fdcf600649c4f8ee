"""The captures that one owner has started, such as a workbench: to look at them, and to end them together."""

from __future__ import annotations

from typing import Any, Unpack

import redis

from rededge_nb import schema
from rededge_nb.capture.run import Capture, CaptureOptions, start_capture


class Captures:
    """Starts captures in the background and remembers them. Safe to use from any thread."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._started: list[Capture] = []

    def start(self, source: Any, **options: Unpack[CaptureOptions]) -> Capture:
        """Start a capture; arguments and errors are those of `start_capture`."""
        capture = start_capture(self._client, source, **options)
        self._started.append(capture)
        return capture

    def of(self, camera: object) -> list[Capture]:
        """The captures that were started for a camera, oldest first, with those that have ended."""
        name = schema.camera_id(camera)
        return [capture for capture in tuple(self._started) if capture.report.camera == name]

    def close(self) -> None:
        """End all captures and wait for them; may be called again."""
        while self._started:
            self._started.pop().close()
