"""Channels: one per camera that is being watched.

A channel reads its camera once and renders each frame once, whatever the number of viewers, and only in the forms that
they need: a JPEG with boxes drawn in (MJPEG, snapshots), or JPEG and boxes apart (the page). Its thread does the slow
work and hands the result to the IO loop; if the loop is slow, only the newest result is delivered. A viewer decides
itself what it accepts, so a slow one never delays the others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import redis

from rededge_nb.errors import MissingModuleError, RedEdgeError, ServerUnavailableError
from rededge_nb.live import events as live_events
from rededge_nb.live.feed import Feed
from rededge_nb.live.follow import Follower, FrameWithDetections
from rededge_nb.live.scene import SceneReader
from rededge_nb.live.tiles import UPDATE_INTERVAL, TileReader, as_json
from rededge_nb.web.rendering import render_jpeg

HEARTBEAT = 2.0
"""Longest time in seconds between two status messages to a page."""
BOUNDARY = "rededge-frame"
MJPEG_HEAD = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
"""The bytes before each image in an MJPEG stream."""

INTERNAL_ERROR = "an error in the web server: see its log"

_READ_MS = 500
_NO_REDIS = "the Redis server does not answer: the video continues by itself when it does"

_log = logging.getLogger(__name__)


class State(Enum):
    """What a viewer of a camera sees."""

    FRAME = "a frame"
    NO_FRAMES = "no frames"
    NO_REDIS = "no Redis"


@dataclass(frozen=True)
class CameraView:
    """What a camera shows at one moment, in the forms that its viewers need.

    Attributes:
        jpeg: Image with boxes and notice; None if no viewer needs it.
        part: The same as a part of an MJPEG stream.
        message: Frame and detections for a page; None if there is no frame or no page needs it.
        status: The notice for a page.
        tiles: Figures for a page; None until they have been read.
        events: Events and active alarms for a page; None until they have been read.
        silent: Whether frames have stopped to arrive.
        scene: Lines and zones for a page, and whether the web server may change them; None until they have been read.
    """

    state: State
    frame: FrameWithDetections | None
    notice: str
    jpeg: bytes | None
    part: bytes | None
    message: bytes | None
    status: bytes
    tiles: bytes | None
    scene: dict[str, Any] | None = None
    events: dict[str, Any] | None = None
    silent: bool = False


class Viewer(Protocol):
    """A viewer of a camera. Its methods are called on the IO loop and must not wait."""

    rendered: bool
    """Whether it needs images with boxes drawn in; else it needs frame and boxes apart."""

    def offer(self, view: CameraView) -> None:
        """Accept the newest view, or skip it."""

    def stalled(self) -> bool:
        """Whether it has accepted no data for so long that it should be disconnected."""

    def close(self) -> None:
        """Close the connection."""


class Channel:
    """The channel of one camera. Its public methods are called on the IO loop; its thread reads and renders."""

    def __init__(self, client: redis.Redis, camera: str, loop: asyncio.AbstractEventLoop) -> None:
        self.camera = camera
        self.viewers: set[Viewer] = set()
        self._loop = loop
        self._follower = Follower(camera)
        self._tile_reader = TileReader(camera)
        self._tiles: bytes | None = None
        self._tiles_at = 0.0
        self._event_reader = live_events.EventReader([camera])
        self._events: dict[str, Any] | None = None
        self._events_at = 0.0
        self._scene_reader = SceneReader(camera)
        self._scene: dict[str, Any] | None = None
        self._frame: FrameWithDetections | None = None
        self._status_at = 0.0
        self._forms: frozenset[bool] = frozenset()
        self._view: CameraView | None = None
        self._posted = False
        self._lock = threading.Lock()
        self._feed = Feed(client, self._step, on_error=self._on_error, name=f"rededge web {camera}")

    def add(self, viewer: Viewer) -> None:
        """Add a viewer. It gets the last view at once."""
        self.viewers.add(viewer)
        self._forms = frozenset(each.rendered for each in self.viewers)
        if self._view is not None:
            viewer.offer(self._view)
        self._feed.start()

    def remove(self, viewer: Viewer) -> None:
        """Remove a viewer."""
        self.viewers.discard(viewer)
        self._forms = frozenset(each.rendered for each in self.viewers)

    def cancel(self) -> None:
        """Let the thread end soon, and do not wait for it."""
        self._feed.cancel()

    @property
    def ended(self) -> bool:
        """Whether the thread has ended."""
        return self._feed.ended

    def _step(self, client: redis.Redis) -> None:
        self._follower.read(client, block_ms=_READ_MS)
        if False in self._forms:
            self._read_tiles(client)
            self._read_events(client)
            self._scene = self._scene_reader.read(client) or self._scene
        self._frame = self._follower.next_frame(client) or self._frame
        if self._frame is not None:
            self._show(State.FRAME, self._follower.notice or self._scene_reader.problem)
        else:
            self._show(State.NO_FRAMES, self._follower.notice or "waiting for the next frame")

    def _read_tiles(self, client: redis.Redis) -> None:
        if time.monotonic() - self._tiles_at < UPDATE_INTERVAL:
            return
        self._tiles_at = time.monotonic()
        with suppress(MissingModuleError):  # there may be frames on a server without time series
            state = {"tiles": as_json(self._tile_reader.read(client))}
            self._tiles = pack("tiles", {"kind": "state", "state": state})

    def _read_events(self, client: redis.Redis) -> None:
        if time.monotonic() - self._events_at >= live_events.UPDATE_INTERVAL:
            self._events_at = time.monotonic()
            self._events = self._event_reader.read(client) or self._events

    def _on_error(self, error: Exception | None) -> None:
        if error is None:
            return
        self._follower.restart()
        if isinstance(error, ServerUnavailableError):
            self._show(State.NO_REDIS, _NO_REDIS)
        elif isinstance(error, RedEdgeError | redis.RedisError):
            self._show(State.NO_REDIS, str(error))
        else:
            _log.error("camera %s cannot be shown", self.camera, exc_info=error)
            self._show(State.NO_REDIS, INTERNAL_ERROR)

    def _show(self, state: State, notice: str) -> None:
        """Render the forms that viewers need and the last view does not have; post the view if anything is new."""
        forms, frame, last = self._forms, self._frame, self._view
        silent = state is State.NO_REDIS or self._follower.silent
        jpeg = part = message = None
        if last is not None and last.frame is frame:
            message = last.message
            if last.notice == notice and last.silent == silent:
                jpeg, part = last.jpeg, last.part
        if jpeg is None and True in forms:
            jpeg = render_jpeg(self.camera, frame, notice, silent)
            part = mjpeg_part(jpeg)
        if message is None and False in forms and frame is not None:
            message = pack("player", frame.as_message(), frame.frame.jpeg)
        same_text = last is not None and last.notice == notice and last.silent == silent
        same_status = same_text and time.monotonic() - self._status_at < HEARTBEAT
        if last is not None and same_status:
            status = last.status
        else:
            self._status_at = time.monotonic()
            content = {
                "kind": "status",
                "notice": notice,
                "silent": silent,
                "heartbeat": HEARTBEAT,
                "sender": "the server",
            }
            status = pack("player", content)
        view = CameraView(
            state, frame, notice, jpeg, part, message, status, self._tiles, self._scene, self._events, silent
        )
        if not same_status or view != last:
            self._post(view)

    def _post(self, view: CameraView) -> None:
        """Hand a view to the IO loop. If the last one was not delivered yet, the new one replaces it."""
        with self._lock:
            self._view = view
            if self._posted:
                return
            self._posted = True
        call_on(self._loop, self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            self._posted = False
            view = self._view
        if view is not None:
            for viewer in list(self.viewers):
                viewer.offer(view)


def call_on(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Call a function on a loop from another thread; does nothing if the loop is closed."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise


def mjpeg_part(jpeg: bytes) -> bytes:
    """An image in an MJPEG stream, and the head of the next one: browsers show an image when the next one begins."""
    return b"".join((jpeg, b"\r\n", MJPEG_HEAD))


def pack(receiver: str, content: dict[str, Any], data: bytes = b"") -> bytes:
    """A message to a page: the length of a JSON object (4 bytes, big-endian), the object, then binary data."""
    text = json.dumps({"to": receiver, **content}, allow_nan=False, separators=(",", ":")).encode()
    return struct.pack(">I", len(text)) + text + data
