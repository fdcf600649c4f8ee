"""Cameras in the network: multipart MJPEG is parsed here, everything else goes through FFmpeg."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

import cv2

from rededge_nb.capture.sources import address as addresses
from rededge_nb.capture.sources import video
from rededge_nb.capture.sources.address import Address
from rededge_nb.capture.sources.base import Captured, Source, now_ms
from rededge_nb.capture.sources.http_stream import CONNECT_TIMEOUT, READ_TIMEOUT, HttpStream, unreachable
from rededge_nb.capture.sources.receiver import Receiver
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import SourceError
from rededge_nb.images import check_size

_OPENCV_TRIES = 3
"""How often OpenCV waits for the next picture before it gives up."""
_ALMOST_ALL = 0.9
"""Part of a video's frames after which its end is the end, and no broken connection."""


def open_address(
    url: str, *, fps: float | None, loop: bool, shape: Shape, wait: bool, stop: threading.Event | None
) -> Source:
    """A camera or a video at an address; a video plays as it would come from a camera, at its own speed.

    Raises:
        SourceError: the address cannot be used, or nothing answers there.
    """
    address = Address.parse(url)
    receiver = Receiver(_Network(address, loop=loop), address.shown)
    if not wait:
        receiver.wait_for_first(stop)
    return Source(receiver, describe=address.shown, native_fps=receiver.native_fps, fps=fps, live=True, shape=shape)


class _Network:
    """The connection to an address, made anew each time."""

    def __init__(self, address: Address, *, loop: bool) -> None:
        self.native_fps: float | None = None
        self._address = address
        self._loop = loop
        self._closed = threading.Event()
        self._stream = HttpStream(address)

    def pictures(self) -> Generator[Captured]:
        if self._address.scheme in addresses.HTTP:
            yield from self._http()
        else:
            self._knock()
            yield from self._camera()

    def close(self) -> None:
        self._closed.set()
        self._stream.close()

    def _http(self) -> Generator[Captured]:
        self._stream = HttpStream(self._address)
        if self._closed.is_set():
            return
        with closing(self._stream.open()) as response:
            kind = response.headers.get_content_type()
            if kind.startswith("multipart/"):
                yield from self._stream.mjpeg(response)
        if kind == "text/html" or kind.startswith("image/"):
            raise SourceError(
                f"{self._address.shown} is {'a picture' if kind.startswith('image/') else 'a web page'} ({kind}) "
                "and no stream: take the address under which the camera sends MJPEG or RTSP"
            )
        yield from self._video()

    def _camera(self) -> Generator[Captured]:
        """What comes when it happens."""
        with closing(_Ffmpeg(self._address)) as ffmpeg:
            self.native_fps = ffmpeg.native_fps
            while (captured := ffmpeg.take()) is not None:
                yield captured
        raise SourceError(f"{self._address.shown} sends no more pictures")

    def _video(self) -> Generator[Captured]:
        """What can be fetched faster than it is to be shown; a live stream of segments is such a thing too."""
        while not self._closed.is_set():
            with closing(_Ffmpeg(self._address)) as ffmpeg:
                self.native_fps = ffmpeg.native_fps
                started = time.monotonic()
                number = 0
                while (captured := ffmpeg.take()) is not None:
                    number += 1
                    if self._closed.wait(max(0.0, started + ffmpeg.position - time.monotonic())):
                        return
                    yield Captured(captured.image, now_ms())
            if ffmpeg.frame_count is None or number < _ALMOST_ALL * ffmpeg.frame_count:
                raise SourceError(f"{self._address.shown} broke off after {number} frames")
            if not self._loop:
                return

    def _knock(self) -> None:
        """Find out why nobody answers, which FFmpeg does not tell."""
        address = self._address
        if address.port is None or address.scheme not in addresses.DEFAULT_PORTS:
            return
        try:
            socket.create_connection((address.host, address.port), timeout=CONNECT_TIMEOUT).close()
        except OSError as error:
            raise unreachable(address.shown, error) from None


class _Ffmpeg:
    """OpenCV's view of an address."""

    def __init__(self, address: Address) -> None:
        options = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: round(CONNECT_TIMEOUT * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: round(READ_TIMEOUT * 1000 / _OPENCV_TRIES),
        }
        asked = time.monotonic()
        self._capture: Any = video.open_capture(address.url, cv2.CAP_FFMPEG, options)
        if not self._capture.isOpened():
            if time.monotonic() - asked >= CONNECT_TIMEOUT:
                raise unreachable(address.shown, TimeoutError())
            raise SourceError(
                f"{address.shown} answers, but not with a video: see the path, user and password in the address"
            )
        check_size(video.size_wh(self._capture), address.shown)
        self.native_fps = video.native_fps(self._capture)
        self.frame_count = video.frame_count(self._capture)

    @property
    def position(self) -> float:
        """Seconds from the beginning of the video to the image that was read last."""
        return (video.value_of(self._capture, cv2.CAP_PROP_POS_MSEC) or 0.0) / 1000

    def take(self) -> Captured | None:
        with video.quiet():
            return video.take(self._capture)

    def close(self) -> None:
        self._capture.release()
