"""Writes the clips of alarms whose rule says `clip: true`, as they are raised.

It reads the events of all cameras as a consumer group. An event that asks for a clip is acknowledged when its file is
complete, so a recorder that was killed writes the clip when it is started again. The frames of an event stay in their
stream for a minute or less, so each clip is begun at once, in a thread of its own, which then waits for the frames
after the event. A file gets its name only when it is complete.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import redis

from rededge_nb import schema, settings
from rededge_nb.clips.clip import moment_of, write_clip
from rededge_nb.clips.folder import find_clip, is_clip_name, keep_small, unfinished
from rededge_nb.control.provision import known_cameras
from rededge_nb.edge.client import client_from_url, is_transient
from rededge_nb.errors import RedEdgeError
from rededge_nb.reading.events import Event, event_of

GROUP = "rededge:clips"
"""The consumer group; it has one consumer, so that the events of a recorder that was killed are found again."""
MAX_WIDTH = 1280
"""Wider frames are made smaller: clips are for looking at what happened."""
AT_A_TIME = 16
"""Clips that are written at a time; most of the time each waits for frames."""
BLOCK_MS = 1000
"""Milliseconds of one wait for events."""
CAMERAS_INTERVAL = 2.0
"""Seconds between two looks for new cameras."""
LOOK_BACK_MS = 120_000
"""Frames of events that are older when a camera is seen first have left their stream."""

_CONSUMER = "recorder"

_log = logging.getLogger(__name__)


def run(url: str, folder: Path, stop: threading.Event, *, on_step: Callable[[Exception | None], None]) -> None:
    """Write clips until `stop` is set.

    Args:
        url: Address of the server.
        folder: Where the clips are written.
        stop: Setting it ends the recorder. Clips that are being written are begun again by the next one.
        on_step: Is called about once a second, with the error if the server does not answer.

    Raises:
        ConfigurationError: a limit of the folder in the environment cannot be used.
        redis.RedisError: the server refuses the commands.
    """
    client = client_from_url(url, timeout=5.0, name="rededge-clips")
    recorder = Recorder(client, folder, max_bytes=settings.clips_size(), max_age=86_400 * settings.clips_days())
    failed = False
    try:
        while not stop.is_set():
            try:
                recorder.step()
            except redis.RedisError as error:
                if not is_transient(error):
                    raise
                if not failed:
                    _log.warning("the events cannot be read, trying again: %s", error)
                failed = True
                on_step(error)
                stop.wait(BLOCK_MS / 1000)
            else:
                failed = False
                on_step(None)
    finally:
        recorder.close()
        client.close()


class Recorder:
    """Writes clips until it is stopped.

    Args:
        client: A client from `blocking_client()` or `client_from_url()`.
        folder: Where the clips are written; it is created.
        max_bytes: Size of all clips, above which the oldest ones are deleted.
        max_age: Seconds after which a clip is deleted.
    """

    def __init__(self, client: redis.Redis, folder: Path, *, max_bytes: int, max_age: float) -> None:
        self._client = client
        self._folder = folder
        self._limits = {"max_bytes": max_bytes, "max_age": max_age}
        self._pool = ThreadPoolExecutor(AT_A_TIME, "rededge clip")
        self._lock = threading.Lock()
        self._writing: set[tuple[str, str]] = set()
        self._cameras: dict[str, str] = {}
        self._looked_at = float("-inf")
        self._begin_again = True

    def step(self) -> None:
        """Wait a moment for events, and begin their clips.

        Raises:
            redis.RedisError: the server does not answer; the next step begins again.
        """
        try:
            self._find_cameras()
            if not self._cameras:
                time.sleep(BLOCK_MS / 1000)
                return
            if self._begin_again:
                self._begin_again = False
                self._read("0", block_ms=None)
            self._read(">", block_ms=BLOCK_MS)
        except redis.ResponseError as error:
            # somebody has deleted the keys, for example with FLUSHALL
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            self._cameras, self._looked_at, self._begin_again = {}, float("-inf"), True
        except redis.RedisError:
            self._begin_again = True
            raise

    def close(self) -> None:
        """Begin no more clips, and do not wait for those that are being written: the next recorder writes them."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _find_cameras(self) -> None:
        """Look for new cameras now and then. A stream of events that does not exist yet has no consumer group."""
        if time.monotonic() - self._looked_at < CAMERAS_INTERVAL:
            return
        self._looked_at = time.monotonic()
        seconds, _ = self._client.time()
        for camera in known_cameras(self._client):
            key = schema.events_key(camera)
            if key in self._cameras or not self._client.exists(key):
                continue
            with contextlib.suppress(redis.ResponseError):  # it has the group already
                self._client.xgroup_create(key, GROUP, id=f"{max(0, seconds * 1000 - LOOK_BACK_MS)}-0")
            self._cameras[key] = camera
        keep_small(self._folder, **self._limits)  # type: ignore[arg-type]

    def _read(self, start: str, *, block_ms: int | None) -> None:
        wanted: Any = dict.fromkeys(self._cameras, start)
        reply: Any = self._client.xreadgroup(GROUP, _CONSUMER, wanted, count=1000, block=block_ms)
        for key, entries in reply or ():
            camera = self._cameras[key.decode()]
            done = []
            for entry_id, fields in entries:
                event = event_of(camera, (entry_id.decode(), fields or {}))
                if event.raises and event.clip:
                    self._begin(event)
                else:
                    done.append(entry_id)
            if done:
                self._client.xack(key, GROUP, *done)

    def _begin(self, event: Event) -> None:
        name = (event.camera, event.id)
        with self._lock:
            if name in self._writing:
                return
            self._writing.add(name)
        self._pool.submit(self._write, event)

    def _write(self, event: Event) -> None:
        try:
            try:
                self._write_file(event)
            except Exception as error:
                if is_transient(error):
                    raise
                unexpected = not isinstance(error, RedEdgeError | OSError)
                what = "camera %s: there is no clip of alarm %s: %s"
                _log.warning(what, event.camera, event.alarm, error, exc_info=unexpected)
            self._client.xack(schema.events_key(event.camera), GROUP, event.id)
        except Exception as error:  # noqa: BLE001  the event is not acknowledged, so it is read once more
            _log.warning("camera %s: the clip of alarm %s is begun again: %s", event.camera, event.alarm, error)
            self._begin_again = True
        finally:
            with self._lock:
                self._writing.discard((event.camera, event.id))

    def _write_file(self, event: Event) -> None:
        if not is_clip_name(event.clip):
            _log.warning("camera %s: event %s names no file for its clip", event.camera, event.id)
            return
        if find_clip(self._folder, event.clip) is not None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = unfinished(self._folder, event.clip)
        try:
            video = write_clip(part, self._client, event.camera, moment_of(event), max_width=MAX_WIDTH)
            _sync(part)
            part.replace(self._folder / event.clip)
        finally:
            part.unlink(missing_ok=True)
        keep_small(self._folder, **self._limits)  # type: ignore[arg-type]
        seconds = video.duration_ms / 1000
        _log.info("camera %s: %s has %d frames, %.1f s", event.camera, event.clip, video.frames, seconds)


def _sync(file: Path) -> None:
    """The content is on the disk before the file has its name, even after a power loss."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
