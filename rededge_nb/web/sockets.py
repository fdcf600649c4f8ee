"""The WebSocket of the page: frames with their detections, and charts, both at the speed of the page.

The page sends JSON objects; `to` is `page`, `player` or `charts`:

    {"to": "page", "kind": "watch", "camera": "0", "minutes": 5}      first
    {"to": "player", "kind": "ready" | "hidden" | "painted", "seq": 7}
    {"to": "player", "kind": "save", "scene": {…}, "version": 12}      answered with `saved` or `refused`
    {"to": "events", "kind": "open" | "acknowledge", "id": "0/1795494237431-0"}
    {"to": "charts", "kind": "ready" | "visible" | "hidden"}
    {"to": "charts", "kind": "set", "minutes": 5}

`seq` counts the frames of this connection. The page receives messages in the format of `channels.pack`: those of
player.js, charts.js, tiles.js and events.js, and `{"kind": "state", "state": …}` with values for their models.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from typing import Any, NamedTuple

from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from rededge_nb import schema
from rededge_nb.live import chart_page
from rededge_nb.live.events import acknowledge_from_page, open_event
from rededge_nb.live.scene import save_from_page
from rededge_nb.web.channels import CameraView, pack
from rededge_nb.web.charts import ChartChannel
from rededge_nb.web.handlers import Handler, Services
from rededge_nb.web.hub import TooManyError

MAX_IN_FLIGHT = 2
"""At most so many frames are sent and not painted."""
DEFAULT_MINUTES = 5.0
"""Length of the charts until the page asks for another."""
MAX_UNSENT = 4
"""If so many messages wait to be sent, charts wait."""
MAX_CHANGES, CHANGES_PERIOD = 20, 10.0
"""A page may start to watch another camera or other charts so many times in so many seconds: each starts a thread."""


class LiveHandler(Handler, WebSocketHandler):
    """`/live`: the connection of one page, which shows one camera and its charts."""

    rendered = False

    def initialize(self, services: Services) -> None:
        """Called by Tornado."""
        super().initialize(services)
        self._camera: str | None = None
        self._minutes = DEFAULT_MINUTES
        self._player_seen = self._charts_seen = False
        self._watching: str | None = None
        self._charts: ChartChannel | None = None
        self._newest: CameraView | None = None
        self._last_frame: bytes | None = None
        self._status: bytes | None = None
        self._tiles: bytes | None = None
        self._scene: dict[str, Any] | None = None
        self._events: dict[str, Any] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._sequence = self._confirmed = 0
        self._generation = self._position = 0
        self._chart_notice: str | None = None
        self._unsent = 0
        self._changes: deque[float] = deque(maxlen=MAX_CHANGES)

    async def get(self) -> None:
        """Upgrade the connection to a WebSocket."""
        origin = self.request.headers.get("Origin")
        if origin is not None and not self.check_origin(origin):
            self.refuse(403, "pages of other sites may not connect")
            return
        await WebSocketHandler.get(self)

    async def head(self) -> None:
        """Refuse: HEAD makes no sense for a WebSocket."""
        self.refuse(405, "this path is only for WebSockets")

    def check_origin(self, origin: str) -> bool:
        """Called by Tornado."""
        return self.services.access.same_origin(self.request, origin)

    def on_message(self, message: str | bytes) -> None:
        """Called by Tornado with a message of the page."""
        try:
            parsed = _parse(message)
        except (LookupError, OverflowError, RecursionError, TypeError, ValueError):
            self.close(1008, "this is not a message of the page")
            return
        try:
            self._on_page_message(parsed)
        except TooManyError as error:
            self.close(1013, str(error))

    def on_close(self) -> None:
        """Called by Tornado."""
        self._player_seen = self._charts_seen = False
        self._update_channels()

    def offer(self, view: CameraView) -> None:
        """Accept the newest view, or skip it."""
        if view.status is not self._status and self._unsent < MAX_UNSENT:
            self._status = view.status
            self._send(view.status)
        if view.tiles is not None and view.tiles is not self._tiles and self._unsent < MAX_UNSENT:
            self._tiles = view.tiles
            self._send(view.tiles)
        if view.scene is not None and view.scene is not self._scene and self._unsent < MAX_UNSENT:
            self._scene = view.scene
            editable = view.scene["editable"] and self.services.access.may_edit(self.request)
            self._send(pack("player", {"kind": "state", "state": {**view.scene, "editable": editable}}))
        if view.events is not None and view.events is not self._events and self._unsent < MAX_UNSENT:
            self._events = view.events
            editable = view.events["editable"] and self.services.access.may_edit(self.request)
            self._send(pack("events", {"kind": "state", "state": {**view.events, "editable": editable}}))
        if view.message is None or view.message is self._last_frame:
            return
        if self._newest is not None and self._newest.message is not view.message:
            self.services.hub.skipped["page"] += 1
        self._newest = view
        self._send_frame()

    def on_charts(self) -> None:
        """Send what is new in the log of the charts."""
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
        """Pings find dead connections."""
        return False

    def _on_page_message(self, message: _PageMessage) -> None:
        match message.receiver, message.kind:
            case "page", "watch":
                self._camera, self._minutes = message.camera, message.minutes or self._minutes
                self._send(pack("charts", {"kind": "state", "state": {"_setup": chart_page.setup("the server")}}))
            case "player", "painted":
                self._confirmed = min(max(self._confirmed, message.seq), self._sequence)
                self._send_frame()
            case "player", "ready" | "hidden":
                self._player_seen = message.kind == "ready"
                self._confirmed = self._sequence
                self._last_frame = None
            case "player", "save":
                self._check_changes()
                if self._camera is not None and (self._saving is None or self._saving.done()):
                    self._saving = asyncio.ensure_future(self._save(self._camera, message.content))
            case "events", "open" | "acknowledge":
                self._on_click(message.kind, str(message.content.get("id", "")))
            case "charts", "set":
                self._minutes = message.minutes or self._minutes
            case "charts", "ready" | "visible" | "hidden":
                self._charts_seen = message.kind != "hidden"
                self._generation = 0 if message.kind == "ready" else self._generation
        self._update_channels()

    async def _save(self, camera: str, content: dict[str, Any]) -> None:
        """Save a scene for a page that may, and answer."""
        if not self.services.access.may_edit(self.request):
            answer: dict[str, Any] = {"kind": "refused", "reason": "this link is for looking only"}
        else:
            try:
                answer = await self.from_redis(lambda client: save_from_page(client, camera, content))
            except HTTPError as error:
                answer = {"kind": "refused", "reason": error.get_message()}
        self._send(pack("player", answer))

    def _on_click(self, kind: str, event_id: str) -> None:
        if event_id.rpartition("/")[0] != self._camera:
            return
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._answer_click(kind, event_id))
        else:
            reason = "the event before is still being loaded"
            self._send(pack("events", {"kind": "refused", "id": event_id, "reason": reason}))

    async def _answer_click(self, kind: str, event_id: str) -> None:
        """Send the clip or the frame of an event, or acknowledge its alarm for a page that may."""
        data = b""
        try:
            if kind == "open":
                folder = self.services.clips
                answer, data = await self.from_redis(lambda client: open_event(client, folder, event_id))
            elif not self.services.access.may_edit(self.request):
                answer = {"kind": "refused", "id": event_id, "reason": "this link is for looking only"}
            else:
                answer = await self.from_redis(lambda client: acknowledge_from_page(client, event_id))
        except HTTPError as error:
            answer = {"kind": "refused", "id": event_id, "reason": error.get_message()}
        finally:
            # before the answer is sent: the page may answer with the next click
            self._opening = None
        self._send(pack("events", answer, data))

    def _update_channels(self) -> None:
        """Watch the channels that the page shows now, and leave the others."""
        hub = self.services.hub
        wanted = self._camera if self._player_seen else None
        if self._watching is not None and self._watching != wanted:
            hub.leave(self._watching, self)
            self._watching = self._newest = self._last_frame = self._tiles = self._scene = None
            self._events = None
        if wanted is not None and self._watching is None:
            self._check_changes()
            hub.watch(wanted, self)
            self._watching = wanted
        charted = (self._camera, self._minutes) if self._charts_seen else None
        charts = self._charts
        if charts is not None and (charts.camera, charts.minutes) != charted:
            hub.leave_charts(charts, self)
            self._charts, self._generation = None, 0
        if charted is not None and self._charts is None and self._camera is not None:
            self._check_changes()
            self._charts = hub.watch_charts(self._camera, self._minutes, self)
        self.on_charts()

    def _check_changes(self) -> None:
        now = time.monotonic()
        if len(self._changes) == MAX_CHANGES and now - self._changes[0] < CHANGES_PERIOD:
            raise TooManyError(f"more than {MAX_CHANGES} changes of camera or charts in {CHANGES_PERIOD:g} s")
        self._changes.append(now)

    def _send_frame(self) -> None:
        view = self._newest
        if view is None or view.message is None or self._sequence - self._confirmed >= MAX_IN_FLIGHT:
            return
        self._newest, self._last_frame = None, view.message
        self._sequence += 1
        self.services.hub.sent["page"] += 1
        self._send(view.message)

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


class _PageMessage(NamedTuple):
    receiver: str
    kind: str
    camera: str | None
    minutes: float | None
    seq: int
    content: dict[str, Any]


def _parse(message: str | bytes) -> _PageMessage:
    """A message of the page. It raises one of several errors if the message is malformed."""
    content = json.loads(message)
    receiver, kind = str(content["to"]), str(content["kind"])
    minutes = content.get("minutes")
    low, high = chart_page.MINUTES
    if minutes is not None and not low <= minutes <= high:
        raise ValueError(minutes)
    return _PageMessage(
        receiver=receiver,
        kind=kind,
        camera=schema.camera_id(content["camera"]) if "camera" in content else None,
        # rounded, so that pages can share the charts
        minutes=None if minutes is None else float(round(minutes)),
        seq=int(content.get("seq", 0)),
        content=content,
    )
