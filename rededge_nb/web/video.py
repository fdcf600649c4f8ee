"""Rendered pictures over HTTP: MJPEG as long as somebody watches, and single ones."""

from __future__ import annotations

import asyncio
import socket
import time
from http import HTTPStatus

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import HTTPError

from rededge_nb.web.channels import BOUNDARY, MJPEG_HEAD, Shown, State
from rededge_nb.web.handlers import Handler, Services
from rededge_nb.web.hub import FullError, Hub

STALLED_AFTER = 180.0
"""Seconds after which a viewer that takes nothing is taken for gone."""
SNAPSHOT_TIMEOUT = 5.0
"""Seconds that a camera which has frames is given to show one."""

_SEND_BUFFER = 262_144
_STATUS = {State.PICTURE: HTTPStatus.OK, State.EMPTY: HTTPStatus.NOT_FOUND, State.AWAY: HTTPStatus.SERVICE_UNAVAILABLE}


class VideoHandler(Handler):
    """`/video`: MJPEG with boxes burnt in, fit for an `<img>`."""

    def initialize(self, services: Services) -> None:
        """Called by Tornado."""
        super().initialize(services)
        # the connection outlives the request, as a WebSocket's does
        self._auto_finish = False

    async def get(self) -> None:
        """Show the camera until the connection ends."""
        camera = self.camera()
        if "X-ProxyContextPath" in self.request.headers:
            raise HTTPError(
                501, "jupyter-server-proxy collects an answer until its end, and this has none: open the page instead"
            )
        self.set_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        if self.request.method == "HEAD":
            self.finish()
            return
        viewer = MjpegViewer(self.services.hub, camera)
        try:
            self.services.hub.watch(camera, viewer)
        except FullError as error:
            raise HTTPError(503, "%s", str(error)) from error
        viewer.begin(self.detach(), self._headers)


class MjpegViewer:
    """Sends each picture when the one before has been taken, and then the newest; those between are skipped."""

    rendered = True

    def __init__(self, hub: Hub, camera: str) -> None:
        self._hub = hub
        self._camera = camera
        self._stream: IOStream | None = None
        self._newest: bytes | None = None
        self._sent: bytes | None = None
        self._writing_since: float | None = None

    def begin(self, stream: IOStream, headers: HTTPHeaders) -> None:
        """Answer on a connection, and send what has been offered."""
        self._stream = stream
        # called at once if who has asked is gone already
        stream.set_close_callback(self._on_close)
        if stream.closed():
            return
        try:
            stream.set_nodelay(True)
            # what lies in the kernel's buffer is old when it arrives
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        except OSError:
            stream.close()
            return
        lines = ["HTTP/1.1 200 OK", "Connection: close", *(f"{name}: {value}" for name, value in headers.get_all())]
        self._write("\r\n".join([*lines, "", ""]).encode() + MJPEG_HEAD)

    def offer(self, shown: Shown) -> None:
        """Take what is shown now."""
        part = shown.part
        if part is None or part is self._newest or part is self._sent:
            return
        if self._newest is not None:
            self._hub.skipped["mjpeg"] += 1
        self._newest = part
        self._send()

    def stalled(self) -> bool:
        """Whether it has taken nothing for so long that it is taken for gone."""
        return self._writing_since is not None and time.monotonic() - self._writing_since > STALLED_AFTER

    def close(self) -> None:
        """End the connection."""
        if self._stream is not None:
            self._stream.close()

    def _send(self) -> None:
        if self._newest is None or self._stream is None or self._writing_since is not None:
            return
        part, self._newest, self._sent = self._newest, None, self._newest
        self._hub.sent["mjpeg"] += 1
        self._write(part)

    def _write(self, data: bytes) -> None:
        assert self._stream is not None  # noqa: S101
        try:
            written = self._stream.write(data)
        except StreamClosedError:
            return
        if written.done():
            self._on_written(written)
        else:
            self._writing_since = time.monotonic()
            written.add_done_callback(self._on_written)

    def _on_written(self, written: asyncio.Future[None]) -> None:
        self._writing_since = None
        if not written.cancelled() and written.exception() is None:
            self._send()

    def _on_close(self) -> None:
        self._hub.leave(self._camera, self)


class SnapshotHandler(Handler):
    """`/snapshot.jpg`: one picture with boxes burnt in.

    A camera without frames has status 404, and Redis being away 503, with a picture that says so.
    """

    async def get(self) -> None:
        """Answer with the picture."""
        camera = self.camera()
        hub = self.services.hub
        viewer = SnapshotViewer()
        try:
            hub.watch(camera, viewer)
        except FullError as error:
            raise HTTPError(503, "%s", str(error)) from error
        try:
            await asyncio.wait_for(viewer.settled.wait(), SNAPSHOT_TIMEOUT)
        except TimeoutError:
            if viewer.shown is None:
                raise HTTPError(503, "the Redis server does not answer: see whether it runs") from None
        finally:
            hub.leave(camera, viewer)
        shown = viewer.shown
        assert shown is not None  # noqa: S101
        self.set_status(_STATUS[shown.state])
        self.set_header("Content-Type", "image/jpeg")
        self.finish(shown.jpeg)


class SnapshotViewer:
    """Watches until there is a picture, or it is known that there is none."""

    rendered = True

    def __init__(self) -> None:
        self.shown: Shown | None = None
        self.settled = asyncio.Event()

    def offer(self, shown: Shown) -> None:
        """Take what is shown now."""
        if shown.jpeg is not None:
            self.shown = shown
            self.settled.set()

    def stalled(self) -> bool:
        """It waits for the camera, not for the network."""
        return False

    def close(self) -> None:
        """Its handler answers by itself."""
