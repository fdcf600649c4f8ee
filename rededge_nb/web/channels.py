"""Cameras that somebody watches: each is read once and rendered once, however many watch it, and not without."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import redis

from rededge_nb.errors import RedEdgeError, ServerUnavailableError
from rededge_nb.live.feed import Feed
from rededge_nb.live.follow import Follower, Picture
from rededge_nb.web.rendering import picture_jpeg

HEARTBEAT = 2.0
"""Seconds after which pages are told how things stand, even if nothing has changed."""
BOUNDARY = "rededge-frame"
MJPEG_HEAD = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
"""What begins each picture in an MJPEG stream."""

INTERNAL_ERROR = "an error in the web server: its log tells more"

_READ_MS = 500
_AWAY = "the Redis server does not answer: the picture comes back by itself when it does"

_log = logging.getLogger(__name__)


class State(Enum):
    """What there is to see of a camera."""

    PICTURE = "picture"
    EMPTY = "no frames"
    AWAY = "no Redis"


@dataclass(frozen=True)
class Shown:
    """A camera at one moment, ready for every kind of viewer.

    Attributes:
        jpeg: Rendered from picture and notice, None where nobody wants it.
        part: The same as a part of an MJPEG stream.
        message: Picture and detections for a page, None where there is no picture or nobody wants it.
        status: The notice for a page.
    """

    state: State
    picture: Picture | None
    notice: str
    jpeg: bytes | None
    part: bytes | None
    message: bytes | None
    status: bytes


class Viewer(Protocol):
    """One who watches. Its methods are called on the IO loop, and must not wait."""

    rendered: bool
    """Whether it wants pictures with boxes burnt in, instead of pictures and boxes."""

    def offer(self, shown: Shown) -> None:
        """Take what is shown now, or leave it."""

    def stalled(self) -> bool:
        """Whether it has taken nothing for so long that it is taken for gone."""

    def close(self) -> None:
        """End the connection."""


class Channel:
    """One camera that is watched. Its methods are called on the IO loop; a thread of its own reads and renders."""

    def __init__(self, client: redis.Redis, camera: str, loop: asyncio.AbstractEventLoop) -> None:
        self.camera = camera
        self.viewers: set[Viewer] = set()
        self._loop = loop
        self._follower = Follower(camera)
        self._picture: Picture | None = None
        self._told_at = 0.0
        self._wanted: frozenset[bool] = frozenset()
        self._shown: Shown | None = None
        self._posted = False
        self._lock = threading.Lock()
        self._feed = Feed(client, self._step, on_error=self._on_error, name=f"rededge web {camera}")

    def add(self, viewer: Viewer) -> None:
        """Let one more watch; it gets at once what was shown last."""
        self.viewers.add(viewer)
        self._wanted = frozenset(each.rendered for each in self.viewers)
        if self._shown is not None:
            viewer.offer(self._shown)
        self._feed.start()

    def remove(self, viewer: Viewer) -> None:
        """Let one watch no longer."""
        self.viewers.discard(viewer)
        self._wanted = frozenset(each.rendered for each in self.viewers)

    def close(self) -> None:
        """End the thread, and wait for that: not to be called on the IO loop."""
        self._feed.close()

    def _step(self, client: redis.Redis) -> None:
        self._follower.read(client, block_ms=_READ_MS)
        self._picture = self._follower.take(client) or self._picture
        if self._picture is not None:
            self._show(State.PICTURE, self._follower.notice)
        else:
            self._show(State.EMPTY, self._follower.notice or "waiting for the next frame")

    def _on_error(self, error: Exception | None) -> None:
        if error is None:
            return
        self._follower.restart()
        if isinstance(error, ServerUnavailableError):
            self._show(State.AWAY, _AWAY)
        elif isinstance(error, RedEdgeError | redis.RedisError):
            self._show(State.AWAY, str(error))
        else:
            _log.error("camera %s cannot be shown", self.camera, exc_info=error)
            self._show(State.AWAY, INTERNAL_ERROR)

    def _show(self, state: State, notice: str) -> None:
        """Make what viewers want and is not made yet, and hand it over if that is news."""
        wanted, picture, before = self._wanted, self._picture, self._shown
        jpeg = part = message = None
        if before is not None and before.picture is picture:
            message = before.message
            if before.notice == notice:
                jpeg, part = before.jpeg, before.part
        if jpeg is None and True in wanted:
            jpeg = picture_jpeg(self.camera, picture, notice)
            part = mjpeg_part(jpeg)
        if message is None and False in wanted and picture is not None:
            message = pack("player", picture.described(), picture.frame.jpeg)
        told = before is not None and before.notice == notice and time.monotonic() - self._told_at < HEARTBEAT
        if before is not None and told:
            status = before.status
        else:
            self._told_at = time.monotonic()
            content = {"kind": "status", "notice": notice, "heartbeat": HEARTBEAT, "sender": "the server"}
            status = pack("player", content)
        shown = Shown(state, picture, notice, jpeg, part, message, status)
        if not told or shown != before:
            self._post(shown)

    def _post(self, shown: Shown) -> None:
        """Hand over to the IO loop; when that is slow, only the newest."""
        with self._lock:
            self._shown = shown
            if self._posted:
                return
            self._posted = True
        call_on(self._loop, self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            self._posted = False
            shown = self._shown
        if shown is not None:
            for viewer in list(self.viewers):
                viewer.offer(shown)


def call_on(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Call a function on a loop from another thread; not at all if the loop has ended."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise


def mjpeg_part(jpeg: bytes) -> bytes:
    """A picture in an MJPEG stream, with what begins the next: browsers show one when they see the head of another."""
    return b"".join((jpeg, b"\r\n", MJPEG_HEAD))


def pack(receiver: str, content: dict[str, Any], data: bytes = b"") -> bytes:
    """A message for a page: the length of a JSON object (4 bytes, big-endian), the object, then raw data."""
    text = json.dumps({"to": receiver, **content}, allow_nan=False, separators=(",", ":")).encode()
    return struct.pack(">I", len(text)) + text + data
