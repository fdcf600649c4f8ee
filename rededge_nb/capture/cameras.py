"""Several cameras from one process, as a YAML file describes them.

    cameras:
      - id: door
        source: rtsp://viewer:${DOOR_PASSWORD}@192.168.1.20/stream1
        fps: 10
        size: 1280x720
      - id: desk
        source: 0
        flip: true

`id` and `source` are required; all else are options of `rededge_nb.capture.capture`, but for `wait`, which cameras of
a file always do. Paths are seen from the file's folder. `${NAME}` in a source stands for a variable of the environment,
so that the file need not hold a password.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import redis

from rededge_nb.analytics.scene import Scene
from rededge_nb.capture.camera_file import CameraConfig, read_cameras
from rededge_nb.capture.capturing import Resume
from rededge_nb.capture.report import CaptureReport
from rededge_nb.capture.run import Capture
from rededge_nb.capture.sources import backoff
from rededge_nb.control.scenes import save_scene
from rededge_nb.edge.client import server_errors
from rededge_nb.errors import ConfigurationError, RedEdgeError, SceneError
from rededge_nb.reading.scenes import read_scene

__all__ = ["CameraConfig", "CameraState", "capture_cameras", "read_cameras"]

logger = logging.getLogger(__name__)

_LOOK_INTERVAL = 0.2


@dataclass(frozen=True)
class CameraState:
    """The state of one camera's capture.

    Attributes:
        camera: Camera id.
        state: `starting` until its first frame, `capturing`, `waiting` when it has a problem and is tried again,
            `ended` for good.
        problem: What is wrong, and when it is tried again; None when all is well. Without credentials.
        report: What was captured so far, over all tries.
    """

    camera: str
    state: Literal["starting", "capturing", "waiting", "ended"]
    problem: str | None
    report: CaptureReport


def capture_cameras(
    client: redis.Redis,
    path: str | Path,
    *,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    on_change: Callable[[CameraState], None] | None = None,
) -> list[CaptureReport]:
    """Capture from all cameras of a file at once, each in a thread of its own, until all have ended.

    A camera that fails is tried again, at first soon and then less often, whatever the reason; the others do not
    notice. Only a file without `loop`, or one with `seconds` or `frames`, ends by itself.

    Args:
        client: Tells where the server is; each capture makes a connection of its own.
        path: The YAML file.
        seconds: End all of them after so many seconds.
        stop: Ends all of them soon after it is set.
        on_change: Told, in the caller's thread, when a camera's state or problem changes.

    Returns:
        One report a camera, in the order of the file.

    Raises:
        ConfigurationError: the file is not as it should be; nothing was started then.
    """
    cameras = [_Camera(client, config) for config in read_cameras(path)]
    stop = stop or threading.Event()
    deadline = None if seconds is None else time.monotonic() + seconds
    known: dict[str, tuple[str, str | None]] = {}
    try:
        while True:
            for camera in cameras:
                state = camera.look()
                if known.get(state.camera) != (state.state, state.problem):
                    known[state.camera] = (state.state, state.problem)
                    logger.info("camera %s: %s", state.camera, state.problem or state.state)
                    if on_change is not None:
                        on_change(state)
            if all(camera.ended for camera in cameras) or (deadline is not None and time.monotonic() >= deadline):
                break
            if stop.wait(_LOOK_INTERVAL):
                break
    finally:
        for camera in cameras:
            camera.end()
        for camera in cameras:
            camera.wait()
    return [camera.report for camera in cameras]


class _Camera:
    """One camera's captures, one after the other."""

    def __init__(self, client: redis.Redis, config: CameraConfig) -> None:
        self.ended = False
        self._client = client
        self._config = config
        self._capture: Capture | None = None
        self._before = CaptureReport(config.camera, config.shown, 0, 0, 0.0, 0, None, None)
        self._problem: str | None = None
        self._resume: Resume | None = None
        self._delays = backoff.delays()
        self._again_at = 0.0
        self._scene = config.scene

    @property
    def report(self) -> CaptureReport:
        """What all captures did together."""
        return self._before if self._capture is None else _together(self._before, self._capture.report)

    def look(self) -> CameraState:
        """Start a capture if it is time to, take note of one that has ended, and say how things are."""
        if self._capture is None and not self.ended and time.monotonic() >= self._again_at:
            self._start()
        elif self._capture is not None and not self._capture.running:
            self._note_end(self._capture)
        problem = self._problem
        if self._capture is not None:
            if self._capture.report.frames:
                self._problem = problem = None
            problem = self._capture.problem or problem
        report = self.report
        if self.ended:
            return CameraState(self._config.camera, "ended", None, report)
        if problem is not None:
            return CameraState(self._config.camera, "waiting", problem, report)
        return CameraState(self._config.camera, "capturing" if report.frames else "starting", None, report)

    def end(self) -> None:
        """Let the capture end soon."""
        if self._capture is not None:
            self._capture.request_stop()

    def wait(self) -> None:
        """Wait until it has."""
        if self._capture is not None:
            self._capture.close()

    def _start(self) -> None:
        try:
            self._save_scene()
            self._capture = Capture(self._client, self._config.source, resume=self._resume, **self._config.options)
        except RedEdgeError as error:
            self._try_again_later(error)

    def _save_scene(self) -> None:
        """Store the scene of the file, before the first frame: masks must be in force for that, too."""
        if self._scene is None:
            return
        with server_errors(self._client):
            try:
                stored = read_scene(self._client, self._config.camera)
            except SceneError:  # it is replaced
                stored = Scene()
            if not stored.version or replace(stored, version=0) != replace(self._scene, version=0):
                try:
                    save_scene(self._client, self._config.camera, self._scene, version=None)
                except redis.exceptions.NoPermissionError as error:
                    raise ConfigurationError(
                        f"the scene of camera {self._config.camera} is not stored: this user of Redis may not change "
                        "it; store it as another one (`rededge scene import`), or leave `scene` out of the file"
                    ) from error
        self._scene = None

    def _note_end(self, capture: Capture) -> None:
        self._before = _together(self._before, capture.report)
        self._capture = None
        if capture.error is None:
            self.ended = True
        else:
            if capture.report.frames:
                self._delays = backoff.delays()
                self._resume = capture.resume
            self._try_again_later(capture.error)

    def _try_again_later(self, error: Exception) -> None:
        delay = next(self._delays)
        self._again_at = time.monotonic() + delay
        self._problem = f"{error}; trying again in {delay:.1f} s"


def _together(first: CaptureReport, second: CaptureReport) -> CaptureReport:
    return replace(
        second,
        frames=first.frames + second.frames,
        skipped=first.skipped + second.skipped,
        seconds=first.seconds + second.seconds,
        bytes=first.bytes + second.bytes,
        first_id=first.first_id or second.first_id,
        last_id=second.last_id or first.last_id,
        refused=first.refused + second.refused,
        problems=tuple(dict.fromkeys((*first.problems, *second.problems))),
    )
