"""The page's WebSocket: pictures with their detections, and charts, each at the pace of the page.

The page sends JSON objects with `to`, which is `page`, `player` or `charts`:

    {"to": "page", "kind": "watch", "camera": "0", "minutes": 5}      first
    {"to": "player", "kind": "ready" | "hidden" | "painted", "seq": 7}
    {"to": "charts", "kind": "ready" | "visible" | "hidden"}
    {"to": "charts", "kind": "set", "minutes": 5}

`seq` counts the pictures of this connection. What the page gets is described at `channels.pack`: messages of player.js
and charts.js, and `{"kind": "state", "state": …}` with what these find in their model.
"""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from rededge_nb import schema
from rededge_nb.live import chart_page
from rededge_nb.web.channels import Shown, pack
from rededge_nb.web.charts import ChartChannel
from rededge_nb.web.handlers import Handler, Services
from rededge_nb.web.hub import FullError

MAX_IN_FLIGHT = 2
"""Pictures that were sent and are not painted, at most."""
DEFAULT_MINUTES = 5.0
"""What the page begins with."""
MAX_UNSENT = 4
"""Messages that the connection has not taken, above which charts wait."""


class LiveHandler(Handler, WebSocketHandler):
    """`/live`: one page, with one camera and its charts."""

    rendered = False

    def initialize(self, services: Services) -> None:
        """Called by Tornado."""
        super().initialize(services)
        self._camera: str | None = None
        self._minutes = DEFAULT_MINUTES
        self._player_seen = self._charts_seen = False
        self._watching: str | None = None
        self._charts: ChartChannel | None = None
        self._newest: Shown | None = None
        self._picture: bytes | None = None
        self._status: bytes | None = None
        self._sequence = self._confirmed = 0
        self._generation = self._position = 0
        self._chart_notice: str | None = None
        self._unsent = 0

    async def get(self) -> None:
        """Become a WebSocket."""
        origin = self.request.headers.get("Origin")
        if origin is not None and not self.check_origin(origin):
            self.refuse(403, "pages of other sites may not look in here")
            return
        await WebSocketHandler.get(self)

    async def head(self) -> None:
        """There is nothing to tell without a WebSocket."""
        self.refuse(405, "only a WebSocket is served here")

    def check_origin(self, origin: str) -> bool:
        """Called by Tornado."""
        return self.services.access.same_origin(self.request, origin)

    def on_message(self, message: str | bytes) -> None:
        """Called by Tornado with what the page says."""
        try:
            word = _parsed(message)
        except (LookupError, OverflowError, RecursionError, TypeError, ValueError):
            self.close(1008, "not a message of the page")
            return
        try:
            self._on_word(word)
        except FullError as error:
            self.close(1013, str(error))

    def on_close(self) -> None:
        """Called by Tornado."""
        self._player_seen = self._charts_seen = False
        self._follow()

    def offer(self, shown: Shown) -> None:
        """Take what is shown now."""
        if shown.status is not self._status and self._unsent < MAX_UNSENT:
            self._status = shown.status
            self._send(shown.status)
        if shown.message is None or shown.message is self._picture:
            return
        if self._newest is not None and self._newest.message is not shown.message:
            self.services.hub.skipped["page"] += 1
        self._newest = shown
        self._send_picture()

    def on_charts(self) -> None:
        """Take what is new of the charts."""
        charts = self._charts
        if charts is None:
            return
        if charts.notice != self._chart_notice:
            self._chart_notice = charts.notice
            self._send(pack("charts", {"kind": "state", "state": {"_notice": charts.notice}}))
        if charts.generation != self._generation:
            self._generation, self._position = charts.generation, 0
        while self._position < len(charts.log) and self._unsent < MAX_UNSENT:
            self._send(charts.log[self._position])
            self._position += 1

    def stalled(self) -> bool:
        """Pings tell that."""
        return False

    def _on_word(self, word: _Word) -> None:
        match word.receiver, word.kind:
            case "page", "watch":
                self._camera, self._minutes = word.camera, word.minutes or self._minutes
                self._send(pack("charts", {"kind": "state", "state": {"_setup": chart_page.setup("the server")}}))
            case "player", "painted":
                self._confirmed = min(max(self._confirmed, word.seq), self._sequence)
                self._send_picture()
            case "player", "ready" | "hidden":
                self._player_seen = word.kind == "ready"
                self._confirmed = self._sequence
                self._picture = None
            case "charts", "set":
                self._minutes = word.minutes or self._minutes
            case "charts", "ready" | "visible" | "hidden":
                self._charts_seen = word.kind != "hidden"
                self._generation = 0 if word.kind == "ready" else self._generation
        self._follow()

    def _follow(self) -> None:
        """Join the channels of what the page shows, and leave the others."""
        hub = self.services.hub
        wanted = self._camera if self._player_seen else None
        if self._watching is not None and self._watching != wanted:
            hub.leave(self._watching, self)
            self._watching = self._newest = self._picture = None
        if wanted is not None and self._watching is None:
            hub.watch(wanted, self)
            self._watching = wanted
        charted = (self._camera, self._minutes) if self._charts_seen else None
        charts = self._charts
        if charts is not None and (charts.camera, charts.minutes) != charted:
            hub.leave_charts(charts, self)
            self._charts, self._generation = None, 0
        if charted is not None and self._charts is None and self._camera is not None:
            self._charts = hub.watch_charts(self._camera, self._minutes, self)
        self.on_charts()

    def _send_picture(self) -> None:
        shown = self._newest
        if shown is None or shown.message is None or self._sequence - self._confirmed >= MAX_IN_FLIGHT:
            return
        self._newest, self._picture = None, shown.message
        self._sequence += 1
        self.services.hub.sent["page"] += 1
        self._send(shown.message)

    def _send(self, message: bytes) -> None:
        try:
            sending = asyncio.ensure_future(self.write_message(message, binary=True))
        except WebSocketClosedError:
            return
        self._unsent += 1
        sending.add_done_callback(self._on_sent)

    def _on_sent(self, sending: asyncio.Future[None]) -> None:
        self._unsent -= 1
        if not sending.cancelled() and sending.exception() is None:
            self.on_charts()


class _Word(NamedTuple):
    receiver: str
    kind: str
    camera: str | None
    minutes: float | None
    seq: int


def _parsed(message: str | bytes) -> _Word:
    """What a page says; one of several errors if no page does."""
    content = json.loads(message)
    receiver, kind = str(content["to"]), str(content["kind"])
    minutes = content.get("minutes")
    low, high = chart_page.MINUTES
    if minutes is not None and not low <= minutes <= high:
        raise ValueError(minutes)
    return _Word(
        receiver=receiver,
        kind=kind,
        camera=schema.camera_id(content["camera"]) if "camera" in content else None,
        # whole ones, so that pages share their charts
        minutes=None if minutes is None else float(round(minutes)),
        seq=int(content.get("seq", 0)),
    )
