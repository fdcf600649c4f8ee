"""Rendered images over HTTP: MJPEG video, and single images."""

from __future__ import annotations

import asyncio
import socket
import time
from http import HTTPStatus

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import HTTPError

from rededge_nb.web.channels import BOUNDARY, MJPEG_HEAD, CameraView, State
from rededge_nb.web.handlers import Handler, Services
from rededge_nb.web.hub import Hub, TooManyError

STALLED_AFTER = 180.0
"""A viewer that accepts no data for so many seconds is disconnected."""
SNAPSHOT_TIMEOUT = 5.0
"""Seconds to wait for the image of a camera."""

_SEND_BUFFER = 262_144
_STATUS = {
    State.FRAME: HTTPStatus.OK,
    State.NO_FRAMES: HTTPStatus.NOT_FOUND,
    State.NO_REDIS: HTTPStatus.SERVICE_UNAVAILABLE,
}


class VideoHandler(Handler):
    """`/video`: MJPEG video with boxes drawn in, which an `<img>` can show."""

    def initialize(self, services: Services) -> None:
        """Called by Tornado."""
        super().initialize(services)
        # the connection continues after this handler has returned, like that of a WebSocket
        self._auto_finish = False

    async def get(self) -> None:
        """Send images until the connection ends."""
        camera = self.camera()
        if "X-ProxyContextPath" in self.request.headers:
            raise HTTPError(
                501,
                "jupyter-server-proxy waits for the end of an answer, but this one has none: open the page instead",
            )
        self.set_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        if self.request.method == "HEAD":
            self.finish()
            return
        viewer = MjpegViewer(self.services.hub, camera)
        try:
            self.services.hub.watch(camera, viewer)
        except TooManyError as error:
            raise HTTPError(503, "%s", str(error)) from error
        viewer.begin(self.detach(), self._headers)


class MjpegViewer:
    """Sends the newest image whenever the previous one has been accepted; images between them are skipped."""

    rendered = True

    def __init__(self, hub: Hub, camera: str) -> None:
        self._hub = hub
        self._camera = camera
        self._stream: IOStream | None = None
        self._newest: bytes | None = None
        self._sent: bytes | None = None
        self._writing_since: float | None = None

    def begin(self, stream: IOStream, headers: HTTPHeaders) -> None:
        """Answer on a connection, and send the image that was offered."""
        self._stream = stream
        # it is called at once if the connection is closed already
        stream.set_close_callback(self._on_close)
        if stream.closed():
            return
        try:
            stream.set_nodelay(True)
            # a small buffer: images that wait in it are old when they arrive
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        except OSError:
            stream.close()
            return
        lines = ["HTTP/1.1 200 OK", "Connection: close", *(f"{name}: {value}" for name, value in headers.get_all())]
        self._write("\r\n".join([*lines, "", ""]).encode() + MJPEG_HEAD)

    def offer(self, view: CameraView) -> None:
        """Accept the newest view, or skip it."""
        part = view.part
        if part is None or part is self._newest or part is self._sent:
            return
        if self._newest is not None:
            self._hub.skipped["mjpeg"] += 1
        self._newest = part
        self._send()

    def stalled(self) -> bool:
        """Whether it has accepted no data for so long that it should be disconnected."""
        return self._writing_since is not None and time.monotonic() - self._writing_since > STALLED_AFTER

    def close(self) -> None:
        """Close the connection."""
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
    """`/snapshot.jpg`: one image with boxes drawn in.

    The status is 404 if the camera has no frames, and 503 if Redis does not answer; the image says so, too.
    """

    async def get(self) -> None:
        """Answer with the image."""
        camera = self.camera()
        hub = self.services.hub
        viewer = SnapshotViewer()
        try:
            hub.watch(camera, viewer)
        except TooManyError as error:
            raise HTTPError(503, "%s", str(error)) from error
        try:
            await asyncio.wait_for(viewer.settled.wait(), SNAPSHOT_TIMEOUT)
        except TimeoutError:
            if viewer.view is None:
                raise HTTPError(503, "the Redis server does not answer: see whether it runs") from None
        finally:
            hub.leave(camera, viewer)
        view = viewer.view
        assert view is not None  # noqa: S101
        self.set_status(_STATUS[view.state])
        self.set_header("Content-Type", "image/jpeg")
        self.finish(view.jpeg)


class SnapshotViewer:
    """Waits for one view."""

    rendered = True

    def __init__(self) -> None:
        self.view: CameraView | None = None
        self.settled = asyncio.Event()

    def offer(self, view: CameraView) -> None:
        """Accept the view if it has an image."""
        if view.jpeg is not None:
            self.view = view
            self.settled.set()

    def stalled(self) -> bool:
        """Never: it waits for the camera, not for the network."""
        return False

    def close(self) -> None:
        """Nothing to do: its handler ends by itself."""
