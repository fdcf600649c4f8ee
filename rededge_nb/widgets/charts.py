"""Live charts of a camera's time series in a notebook.

While a cell runs, the kernel does not read messages from the browser, so it cannot know that a page shows the charts.
Therefore charts that were just displayed send the history a few times without being asked (`UNHEARD_INTERVALS`), until
a page answers.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

import anywidget
import redis
import traitlets

from rededge_nb import schema
from rededge_nb.errors import ConfigurationError, RedEdgeError
from rededge_nb.live import chart_page, front_end
from rededge_nb.live.chart_data import ChartData, Message
from rededge_nb.live.chart_page import MINUTES, UPDATE_INTERVAL
from rededge_nb.live.feed import Feed
from rededge_nb.widgets.chart_snapshot import draw_charts
from rededge_nb.widgets.snapshot import Bundle, CellOutput

PAGE_TIMEOUT = 300.0
"""Seconds of silence after which a page is forgotten. It reports every 20 s, but reports wait while a cell runs."""
UNHEARD_INTERVALS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each history that is sent before any page has answered; the last one is repeated."""


@dataclass(frozen=True)
class ChartsStats:
    """What charts have sent.

    Attributes:
        messages: Messages of any kind.
        histories: Messages with everything in the window.
        bytes: Size of all messages.
        last_bytes: Size of the last one.
    """

    messages: int = 0
    histories: int = 0
    bytes: int = 0
    last_bytes: int = 0


class Charts(anywidget.AnyWidget):
    """Live charts: people with their average, minimum and maximum; frames per second; milliseconds per step.

    A page receives the history once, and then only new samples. Nothing is read or sent while no page shows the charts.
    If there are too many samples to draw, the server averages them in buckets.

    `minutes`, `average` and `camera` may be set at any time, the first two also in the page.

    Args:
        client: Defines the server to connect to; the charts have a connection of their own.
        camera: Camera id.
        minutes: Time that the charts show, 1 to 60.

    Attributes:
        average: Minutes of the averages of people: 1, 5 or 15.

    Raises:
        ConfigurationError: the camera id is not usable, or `minutes` out of range.
    """

    _esm = front_end.script("charts")
    _css = front_end.style("charts")

    camera = traitlets.Unicode("0").tag(sync=True)
    minutes = traitlets.Float(5.0).tag(sync=True)
    average = traitlets.Int(schema.COMPACTION_MINUTES[0]).tag(sync=True)
    _setup = traitlets.Dict().tag(sync=True)
    _notice = traitlets.Unicode("").tag(sync=True)

    _feed: Feed | None = None

    def __init__(self, client: redis.Redis, camera: object = "0", *, minutes: float = 5.0) -> None:
        self._redis = client
        self._lock = threading.Lock()
        self._pages: dict[str, float] = {}
        self._unheard_since: float | None = None
        self._unheard_sent = 0
        self._unheard_due = 0.0
        self._history_wanted = threading.Event()
        self._stats = ChartsStats()
        self._sent_at = 0.0
        super().__init__(camera=schema.camera_id(camera), minutes=minutes, _setup=chart_page.setup("the kernel"))
        self._data = ChartData(self.camera, self.minutes)
        self._output = CellOutput(self, self.snapshot)
        self._feed = Feed(client, self._step, on_error=self._on_feed_error, name=f"rededge charts {self.camera}")
        self.on_msg(self._on_page)
        self.observe(self._on_window_change, ["camera", "minutes"])

    def stats(self) -> ChartsStats:
        """Number and size of the messages that were sent."""
        return self._stats

    def snapshot(self) -> Bundle:
        """An image of the charts: what is shown where the widget is not, as in a saved notebook or a report."""
        try:
            png = draw_charts(self._redis, self.camera, minutes=self.minutes, average=self.average)
        except RedEdgeError as error:
            return {"text/plain": f"Camera {self.camera} has nothing to chart: {error}"}
        return {"text/plain": repr(self), "image/png": base64.b64encode(png).decode()}

    def close(self) -> None:
        """End the charts. Where they were shown, an image of them stays. May be called again."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()
            self._output.replace()
        super().close()

    def __repr__(self) -> str:
        state = "closed" if self._feed is None else "seen" if self._pages else "unseen"
        return (
            f"<Charts camera {self.camera}, {self.minutes:g} min, {state}: "
            f"{self._stats.messages} messages, {self._stats.bytes} bytes sent>"
        )

    @traitlets.validate("minutes")
    def _valid_minutes(self, proposal: dict[str, Any]) -> float:
        low, high = MINUTES
        if not low <= proposal["value"] <= high:
            raise ConfigurationError(f"minutes is {proposal['value']!r}: take {low:g} to {high:g}")
        return float(proposal["value"])

    @traitlets.validate("average")
    def _valid_average(self, proposal: dict[str, Any]) -> int:
        if proposal["value"] not in schema.COMPACTION_MINUTES:
            choices = ", ".join(map(str, schema.COMPACTION_MINUTES))
            raise ConfigurationError(f"average is {proposal['value']!r}: take one of {choices}")
        return int(proposal["value"])

    @traitlets.validate("camera")
    def _valid_camera(self, proposal: dict[str, Any]) -> str:
        return schema.camera_id(proposal["value"])

    def _ipython_display_(self) -> None:
        self._output.display()
        # The page that shows the charts now cannot answer while the cell runs.
        with self._lock:
            if self._feed is not None and not self._pages and self._unheard_since is None:
                self._unheard_since = time.monotonic()
                self._unheard_sent, self._unheard_due = 0, UNHEARD_INTERVALS[0]
                self._feed.start()

    def _on_page(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        feed, page, kind = self._feed, str(content.get("page")), content.get("kind")
        if feed is None:
            return
        with self._lock:
            self._unheard_since = None
            if kind == "hidden":
                self._pages.pop(page, None)
            elif kind in ("ready", "visible"):
                self._pages[page] = time.monotonic()
                if kind == "ready":
                    self._history_wanted.set()
                feed.start()

    def _on_window_change(self, _change: object) -> None:
        self._history_wanted.set()

    def _on_feed_error(self, error: Exception | None) -> None:
        self._notice = "" if error is None else str(error)
        self._history_wanted.set()

    def _step(self, client: redis.Redis) -> None:
        feed = self._feed
        if feed is None or not self._shown(feed):
            return
        message: Message | None
        if self._history_wanted.is_set() or (self._data.camera, self._data.minutes) != (self.camera, self.minutes):
            self._history_wanted.clear()
            self._data = ChartData(self.camera, self.minutes)
            message = self._data.history(client)
        else:
            message = self._data.update(client)
        if message is None and time.monotonic() - self._sent_at > chart_page.HEARTBEAT:
            self._sent_at = time.monotonic()
            self.send({"kind": "alive"}, [])
        if message is not None:
            self._sent_at = time.monotonic()
            self._notice = _missing_series_notice(self._data)
            content = {**message.content, "seq": self._stats.messages}
            size = len(json.dumps(content, separators=(",", ":"))) + len(message.buffer)
            before = self._stats
            self._stats = ChartsStats(
                before.messages + 1,
                before.histories + (message.content["kind"] == "history"),
                before.bytes + size,
                size,
            )
            self.send(content, [message.buffer])
        feed.wait(UPDATE_INTERVAL)

    def _shown(self, feed: Feed) -> bool:
        """Whether a page shows the charts, or may show them; pauses the feed if none does."""
        now = time.monotonic()
        with self._lock:
            self._pages = {page: heard for page, heard in self._pages.items() if now - heard < PAGE_TIMEOUT}
            if self._pages:
                return True
            since = self._unheard_since
            if since is None or now - since > PAGE_TIMEOUT:
                self._unheard_since = None
                feed.pause()
                return False
            if now - since >= self._unheard_due:
                last = len(UNHEARD_INTERVALS) - 1
                self._unheard_sent += 1
                self._unheard_due += UNHEARD_INTERVALS[min(self._unheard_sent, last)]
                self._history_wanted.set()
            sent = self._unheard_sent
        if not sent:
            feed.wait(UPDATE_INTERVAL)
        return sent > 0


def _missing_series_notice(data: ChartData) -> str:
    remedy = f"wb.provision({data.camera!r}) creates them, or `rededge init --camera {data.camera}`"
    return chart_page.missing_series_notice(data, remedy=remedy)
