"""Chart channels: the charts of a camera's last minutes are read once, whatever the number of pages that show them."""

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
    """A page that shows charts. The method is called on the IO loop and must not wait."""

    def on_charts(self) -> None:
        """Called when there are new messages in the log, or the notice has changed."""


class ChartChannel:
    """The charts of one camera and one length: a log that starts with a history, and continues with updates.

    Each viewer reads the log at its own speed. When the updates have become larger than the history, the log starts
    again with a new history, and so does every viewer. This bounds the memory, even if a viewer is slow.

    Attributes:
        log: The history and all updates since, in order.
        generation: Number of the history; a change tells a viewer that the log has started again.
        notice: What is wrong; empty if nothing is.
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
        """Add a viewer."""
        self.viewers.add(viewer)
        self._feed.start()
        viewer.on_charts()

    def remove(self, viewer: ChartViewer) -> None:
        """Remove a viewer."""
        self.viewers.discard(viewer)

    def cancel(self) -> None:
        """Let the thread end soon, and do not wait for it."""
        self._feed.cancel()

    @property
    def ended(self) -> bool:
        """Whether the thread has ended."""
        return self._feed.ended

    def _step(self, client: redis.Redis) -> None:
        message = self._data.history(client) if self._history_wanted.is_set() else self._data.update(client)
        if message is not None:
            packed = pack("charts", {**message.content, "seq": self._sequence}, message.buffer)
            self._sequence += 1
            remedy = f"`rededge init --camera {self.camera}` creates them"
            notice = chart_page.missing_series_notice(self._data, remedy=remedy)
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
        self._notify()

    def _on_error(self, error: Exception | None) -> None:
        if error is None:
            return
        notice = str(error)
        if not isinstance(error, RedEdgeError | redis.RedisError):
            _log.error("the charts of camera %s failed", self.camera, exc_info=error)
            notice = INTERNAL_ERROR
        self._history_wanted.set()
        call_on(self._loop, self._set_notice, notice)

    def _set_notice(self, notice: str) -> None:
        self.notice = notice
        self._notify()

    def _notify(self) -> None:
        for viewer in list(self.viewers):
            viewer.on_charts()
