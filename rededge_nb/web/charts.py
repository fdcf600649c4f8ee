"""The charts of a camera's last minutes: read once, however many pages show them."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Protocol

import redis

from rededge_nb.errors import RedEdgeError
from rededge_nb.live import chart_page
from rededge_nb.live.chart_data import ChartData
from rededge_nb.live.feed import Feed
from rededge_nb.web.channels import INTERNAL_ERROR, call_on, pack

_RENEW_BYTES = 65_536

_log = logging.getLogger(__name__)


class ChartViewer(Protocol):
    """One page. The method is called on the IO loop, and must not wait."""

    def on_charts(self) -> None:
        """Look whether there is something to take."""


class ChartChannel:
    """Charts that are watched: a history, and what came since.

    Each viewer takes the messages in its own time, and begins with the history again when that was renewed meanwhile.
    It is renewed when what came since has grown larger than it: so much memory does it take, whoever is slow.

    Attributes:
        log: The history and everything that came since, in order.
        generation: Number of the history.
        notice: What is wrong, empty where nothing is.
    """

    def __init__(self, client: redis.Redis, camera: str, minutes: float, loop: asyncio.AbstractEventLoop) -> None:
        self.camera = camera
        self.minutes = minutes
        self.viewers: set[ChartViewer] = set()
        self.log: list[bytes] = []
        self.generation = 0
        self.notice = ""
        self._loop = loop
        self._data = ChartData(camera, minutes)
        self._sequence = 0
        self._size = 0
        self._history_wanted = threading.Event()
        self._history_wanted.set()
        self._feed = Feed(client, self._step, on_error=self._on_error, name=f"rededge web charts {camera}")

    def add(self, viewer: ChartViewer) -> None:
        """Let one more watch."""
        self.viewers.add(viewer)
        self._feed.start()
        viewer.on_charts()

    def remove(self, viewer: ChartViewer) -> None:
        """Let one watch no longer."""
        self.viewers.discard(viewer)

    def close(self) -> None:
        """End the thread, and wait for that: not to be called on the IO loop."""
        self._feed.close()

    def _step(self, client: redis.Redis) -> None:
        message = self._data.history(client) if self._history_wanted.is_set() else self._data.update(client)
        if message is not None:
            packed = pack("charts", {**message.content, "seq": self._sequence}, message.buffer)
            self._sequence += 1
            remedy = f"`rededge init --camera {self.camera}` makes them"
            notice = chart_page.about_missing(self._data, remedy=remedy)
            is_history = message.content["kind"] == "history"
            if is_history:
                self._history_wanted.clear()
            call_on(self._loop, self._append, packed, is_history, notice)
        self._feed.wait(chart_page.UPDATE_INTERVAL)

    def _append(self, packed: bytes, is_history: bool, notice: str) -> None:
        if is_history:
            self.generation += 1
            self.log = []
            self._size = 0
        self.log.append(packed)
        self.notice = notice
        self._size += len(packed)
        if self._size > 2 * len(self.log[0]) + _RENEW_BYTES:
            self._history_wanted.set()
        self._tell()

    def _on_error(self, error: Exception | None) -> None:
        if error is None:
            return
        notice = str(error)
        if not isinstance(error, RedEdgeError | redis.RedisError):
            _log.error("the charts of camera %s cannot be made", self.camera, exc_info=error)
            notice = INTERNAL_ERROR
        self._history_wanted.set()
        call_on(self._loop, self._set_notice, notice)

    def _set_notice(self, notice: str) -> None:
        self.notice = notice
        self._tell()

    def _tell(self) -> None:
        for viewer in list(self.viewers):
            viewer.on_charts()
