"""The live video of a camera in a notebook, with its detections drawn over it in the browser.

The kernel sends the JPEGs as they are in Redis. The browser confirms each frame, and at most two are unconfirmed: a
browser or network that is slow gets fewer frames, and never late ones. While a cell runs, the kernel cannot read the
confirmations, so the video stops; the player says so.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any

import anywidget
import cv2
import redis
import traitlets

from rededge_nb import schema
from rededge_nb.display import drawing
from rededge_nb.errors import NoDataError, RedEdgeError
from rededge_nb.images import encode_jpeg
from rededge_nb.live import front_end
from rededge_nb.live.feed import Feed
from rededge_nb.live.follow import Follower, FrameWithDetections
from rededge_nb.live.scene import SceneReader, save_from_page
from rededge_nb.reading.detections import Detections, latest_detected_frame
from rededge_nb.reading.frames import Frame, latest_frame
from rededge_nb.reading.trails import read_trails
from rededge_nb.widgets.pages import Pages
from rededge_nb.widgets.presence import Presence
from rededge_nb.widgets.snapshot import Bundle, CellOutput

BUSY_AFTER = 2.0
"""Seconds without a confirmation after which the player says that the kernel is busy."""
HEARTBEAT = 2.0
"""Longest time in seconds between two messages to a page that shows the player."""

_STATUS_INTERVAL = 0.5
_SNAPSHOT_WIDTH = 640
_SNAPSHOT_QUALITY = 75


@dataclass(frozen=True)
class PlayerStats:
    """Counters of a player.

    Attributes:
        sent: Frames sent to the browser.
        confirmed: Frames that the browser has painted, or skipped for newer ones.
        in_flight: Frames sent and not confirmed, at most 2.
        dropped: Frames with detections that were not sent, because newer ones arrived or the browser was not ready.
    """

    sent: int
    confirmed: int
    in_flight: int
    dropped: int


class Player(anywidget.AnyWidget):
    """The newest frames of a camera that have detections, with boxes, trails, lines, zones and the number of people.

    Lines, zones and masks can be drawn on it; see `Camera.scene`.

    Nothing is read or sent while no browser shows the player, or while it is paused. If no gear processes the frames,
    they are shown without boxes, and the player says so.

    `boxes`, `labels`, `trails`, `lines`, `paused` and `camera` may be set at any time.

    Args:
        client: Defines the server to connect to; the player has a connection of its own.
        camera: Camera id.
        boxes: Whether boxes are drawn.
        labels: Whether boxes have labels: the track, if there is one, and the confidence.
        trails: Whether lines show where people have walked in the last seconds.
        compact: Whether it is one of several players: without buttons, and a click selects it.
        interval: Time in milliseconds between two frames, at least.

    Raises:
        ConfigurationError: the camera id is not usable.
    """

    _esm = front_end.script("player")
    _css = front_end.style("player")

    camera = traitlets.Unicode("0").tag(sync=True)
    boxes = traitlets.Bool(True).tag(sync=True)
    labels = traitlets.Bool(True).tag(sync=True)
    trails = traitlets.Bool(True).tag(sync=True)
    lines = traitlets.Bool(True).tag(sync=True)
    scene = traitlets.Dict(None, allow_none=True).tag(sync=True)
    editable = traitlets.Bool(False).tag(sync=True)
    paused = traitlets.Bool(False).tag(sync=True)
    compact = traitlets.Bool(False).tag(sync=True)
    interval = traitlets.Int(0).tag(sync=True)

    _feed: Feed | None = None

    def __init__(
        self,
        client: redis.Redis,
        camera: object = "0",
        *,
        boxes: bool = True,
        labels: bool = True,
        trails: bool = True,
        compact: bool = False,
        interval: int = 0,
    ) -> None:
        name = schema.camera_id(camera)
        self._redis = client
        self._pages = Pages()
        self._presence = Presence()
        self._follower = Follower(name)
        self._scene = SceneReader(name)
        self._error = ""
        self._sent_notice = ("", False)
        self._notice_sent_at = 0.0
        super().__init__(camera=name, boxes=boxes, labels=labels, trails=trails, compact=compact, interval=interval)
        self._output = CellOutput(self, self.snapshot)
        self._feed = Feed(client, self._step, on_error=self._on_feed_error, name=f"rededge player {name}")
        self.on_msg(self._on_browser)
        self.observe(self._on_camera, "camera")
        self.observe(self._on_paused, "paused")

    def stats(self) -> PlayerStats:
        """How many frames were sent, confirmed and dropped, and how many are on their way."""
        pages = self._pages
        return PlayerStats(pages.sent, pages.confirmed, pages.in_flight, self._follower.dropped)

    def snapshot(self) -> Bundle:
        """The last frame: what is shown where the widget is not, as in a saved notebook or a report."""
        try:
            jpeg = base64.b64encode(latest_jpeg(self._redis, self.camera)).decode()
        except (RedEdgeError, redis.RedisError) as error:
            return {"text/plain": f"Camera {self.camera} has nothing to show: {error}"}
        return {"text/plain": repr(self), "image/jpeg": jpeg}

    def close(self) -> None:
        """End the player. Where it was shown, its last frame stays. May be called again."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()
            self._output.replace()
        super().close()

    def __repr__(self) -> str:
        stats = self.stats()
        shown = "seen" if self._pages.seen else "unseen"
        state = "closed" if self._feed is None else "paused" if self.paused else shown
        return f"<Player camera {self.camera}, {state}: {stats.sent} frames sent, {stats.dropped} dropped>"

    def _ipython_display_(self) -> None:
        self._output.display()

    def _on_browser(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        feed, page = self._feed, str(content.get("page"))
        if feed is None:
            return
        kind = content.get("kind")
        back = kind == "here" and not self._pages.shows(page)
        self._presence.hear()
        if kind == "painted":
            self._pages.confirm(page, int(content["seq"]))
        elif kind == "ready" or back:
            # a page that was just opened needs the last frame, however old it is
            self._pages.show(page)
            self._follower.restart()
            self._resume()
        elif kind == "save":
            self.send({**save_from_page(self._redis, self.camera, content), "page": page})
        elif kind == "hidden":
            self._pages.hide(page)
            if not self._pages.seen:
                feed.pause()

    def _on_camera(self, change: Any) -> None:
        self._follower = Follower(change["new"])
        self._scene = SceneReader(change["new"])

    def _on_paused(self, change: Any) -> None:
        if self._feed is not None and change["new"]:
            self._feed.pause()
        else:
            self._follower.restart()
            self._resume()

    def _resume(self) -> None:
        if self._feed is not None and self._pages.seen and not self.paused:
            self._sent_notice = ("", False)
            self._feed.start()

    @traitlets.validate("camera")
    def _camera_id(self, proposal: Any) -> str:
        return schema.camera_id(proposal["value"])

    def _step(self, client: redis.Redis) -> None:
        if self._presence.absent and self._feed is not None:
            self._pages.forget()
            self._feed.pause()
            return
        follower = self._follower
        ready = self._pages.wait_until_ready(min(0.05 + self._pages.blocked_for, 0.5) if follower.has_next else 0)
        block_ms = 1 if follower.has_next else round(_STATUS_INTERVAL * 1000)
        follower.read(client, block_ms=block_ms)
        for name, value in (self._scene.read(client) or {}).items():
            setattr(self, name, value)
        if ready and not self.paused:
            found = follower.next_frame(client)
            sequence = self._pages.next_sequence() if found is not None else None
            if found is not None and sequence is not None:
                self._send_frame(sequence, found)
        self._send_notice(self._notice(follower), silent=follower.silent)

    def _send_frame(self, sequence: int, found: FrameWithDetections) -> None:
        self.send({**found.as_message(), "seq": sequence}, buffers=[found.frame.jpeg])

    def _notice(self, follower: Follower) -> str:
        """What is wrong, in a sentence; empty if nothing is."""
        if self._pages.blocked_for > BUSY_AFTER:
            return "the kernel runs a cell: the video continues when the cell has ended"
        return follower.notice or self._scene.problem

    def _on_feed_error(self, error: Exception | None) -> None:
        if error is not None:
            self._follower.restart()
            self._send_notice(str(error) or repr(error), silent=True)

    def _send_notice(self, notice: str, *, silent: bool) -> None:
        now = time.monotonic()
        if (notice, silent) == self._sent_notice and now - self._notice_sent_at < HEARTBEAT:
            return
        self._sent_notice, self._notice_sent_at = (notice, silent), now
        self._presence.wait(HEARTBEAT)
        self.send({"kind": "status", "notice": notice, "silent": silent, "heartbeat": HEARTBEAT})


def latest_jpeg(client: redis.Redis, camera: str) -> bytes:
    """JPEG of the newest frame that has detections, with these drawn on it, or else of the newest frame."""
    frame: Frame
    found: Detections | None
    try:
        frame, found = latest_detected_frame(client, camera)
    except NoDataError:
        frame, found = latest_frame(client, camera), None
    image = frame.image()
    if found is not None:
        image = drawing.draw_detections(image, found, trails=read_trails(client, found))
    height, width = image.shape[:2]
    if width > _SNAPSHOT_WIDTH:
        size_wh = (_SNAPSHOT_WIDTH, round(height * _SNAPSHOT_WIDTH / width))
        image = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    return encode_jpeg(image, quality=_SNAPSHOT_QUALITY)
