"""Cameras and videos in the network: MJPEG over HTTP is parsed here, everything else is decoded by FFmpeg."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import Any

import av.error

from rededge_nb.analytics.jpeg import JPEG_START
from rededge_nb.capture.sources import http_client
from rededge_nb.capture.sources.address import HTTP, Address
from rededge_nb.capture.sources.base import Captured, now_ms
from rededge_nb.capture.sources.decoder import DecodedFrame, Decoder, describe_error, open_container
from rededge_nb.capture.sources.http_body import HttpBody, open_nested
from rededge_nb.capture.sources.http_client import HttpClient, unreachable
from rededge_nb.capture.sources.live_clock import LiveClock
from rededge_nb.capture.sources.mjpeg import MjpegParser
from rededge_nb.capture.sources.playback import PlaybackClock
from rededge_nb.capture.sources.problems import BadImageError, Problems
from rededge_nb.capture.sources.rate_limit import JITTER, RateLimit
from rededge_nb.capture.sources.receiver import LiveSource, Receiver
from rededge_nb.capture.sources.shape import Shape
from rededge_nb.errors import SourceError

_ANALYZED = 3_000_000
"""Microseconds of a stream in which FFmpeg finds out what it is."""
_MOST_TOGETHER = 250
"""Frames that arrive together when a stream begins, at most."""
_ALMOST_ALL = 0.9
"""Part of its length that a recording has to reach, to have ended rather than broken off."""
_SLOW_FPS = 2.0
"""Frames per second below which a frame does not wait for the next one to come."""
_LOOKED_AT = 64
"""Bytes of an answer in which its kind is looked for."""
_PLAYLIST = b"#EXTM3U"
_PLAYLIST_KINDS = ("application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl")
_CAUSES: dict[type[Exception], str] = {
    av.error.HTTPUnauthorizedError: "answers 401 and refuses user and password: see those in the address",
    av.error.HTTPForbiddenError: "answers 403: the user of the address may not see this",
    av.error.HTTPNotFoundError: "answers 404: see the path of the address",
}


def open_address(
    url: str,
    *,
    fps: float | None,
    loop: bool,
    shape: Shape,
    wait: bool,
    certificate: str | None,
    stop: threading.Event | None,
) -> LiveSource:
    """A camera or a video at an address; a video plays as it would come from a camera, at its own speed.

    Raises:
        SourceError: the address cannot be used, or nothing answers there.
    """
    address, problems = Address.parse(url), Problems()
    connection = NetworkConnection(address, fps=fps, loop=loop, certificate=certificate, problems=problems)
    receiver = Receiver(connection, address.shown)
    source = LiveSource(receiver, describe=address.shown, problems=problems, fps=fps, shape=shape)
    if not wait:
        receiver.wait_for_first(stop)
    return source


class NetworkConnection:
    """The connection to an address, made again each time."""

    def __init__(
        self, address: Address, *, fps: float | None, loop: bool, certificate: str | None, problems: Problems
    ) -> None:
        self.native_fps: float | None = None
        self._address = address
        self._fps = fps
        self._loop = loop
        self._certificate = certificate
        self._problems = problems
        self._closed = threading.Event()
        self._client: HttpClient | None = None
        self._delivered: float | None = None
        """Position of the last frame of a recording that broke off."""

    def frames(self) -> Generator[Captured]:
        """As `Connection.frames`."""
        return self._http() if self._address.scheme in HTTP else self._stream()

    def close(self) -> None:
        """As `Connection.close`."""
        self._closed.set()
        if self._client is not None:
            self._client.close()

    def _http(self) -> Generator[Captured]:
        while not self._closed.is_set():
            self._client = client = HttpClient(self._address, self._certificate)
            if self._closed.is_set():
                return
            with closing(HttpBody(client, response := client.get())) as body:
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                yield from self._content(body, kind, client.address)
            if not self._loop:
                return

    def _content(self, body: HttpBody, kind: str, address: Address) -> Generator[Captured]:
        start = body.peek(_LOOKED_AT)
        single = kind.startswith("image/") and body.length is not None
        if single or kind == "text/html" or start.lstrip()[:1] == b"<":
            what = "a single image" if single else "a web page"
            raise SourceError(
                f"{address.shown} is {what} ({kind}) and no stream: take the address under which the camera sends "
                "MJPEG or RTSP"
            )
        if kind.startswith("multipart/") or start.startswith(JPEG_START) or start.lstrip().startswith(b"--"):
            return self._mjpeg(body, address.shown)
        playlist = start.startswith(_PLAYLIST) or kind in _PLAYLIST_KINDS
        return self._recording(body, address, playlist=playlist)

    def _mjpeg(self, body: HttpBody, shown: str) -> Generator[Captured]:
        """The images of a camera, as long as they come. It has ended only if it says so."""
        parser = MjpegParser(shown, self._problems)
        limit = RateLimit(self._fps, JITTER)
        newest = time.monotonic()
        for data in body.chunks():
            for part in parser.feed(data, now_ms()):
                newest = time.monotonic()
                if limit.wants(newest):
                    yield Captured(part.jpeg, part.ts_ms)
            if parser.ended:
                return
            if time.monotonic() - newest > http_client.READ_TIMEOUT:
                reason = f" ({self._problems.reason})" if self._problems.reason else ""
                raise SourceError(f"{shown} sent no image for {http_client.READ_TIMEOUT:g} s{reason}")
        if body.length is None:
            raise SourceError(f"{shown} has hung up")

    def _recording(self, body: HttpBody, address: Address, *, playlist: bool) -> Generator[Captured]:
        """A video that can be fetched faster than it is to be shown; a live stream of segments is such a thing, too.

        It is played once. Where it breaks off, the next connection leaves out the frames that were delivered.
        """
        with closing(self._open_recording(body, address, playlist=playlist)) as decoder:
            self.native_fps = decoder.stated_fps
            clock = PlaybackClock(1 / decoder.native_fps)
            limit = RateLimit(self._fps)
            if self._delivered is not None:
                limit.start_after(self._delivered)
            while (frame := self._next(decoder, limit.not_before)) is not None:
                if not limit.wants(frame.position):
                    continue
                if self._closed.wait(max(0.0, clock.due(frame.position) - time.monotonic())):
                    return
                yield from self._captured(decoder, frame, now_ms())
                # of a stream without a length nobody knows whether it is a recording
                self._delivered = frame.position if body.length is not None else None
        if body.error is not None:
            raise body.error
        self._delivered = None

    def _open_recording(self, body: HttpBody, address: Address, *, playlist: bool) -> Decoder:
        options: dict[str, Any] = {}
        if playlist:
            nested = partial(open_nested, address, self._certificate)
            options["format"], options["io_open"] = "hls", lambda url, _flags, _options: nested(url)
            options["options"] = {"http_persistent": "0", "allowed_extensions": "ALL", "extension_picky": "0"}
        try:
            container = open_container(body, **options)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise body.error or self._no_video(address.shown, error) from None
        return Decoder(container, address.shown, self._problems, live=True)

    def _stream(self) -> Generator[Captured]:
        """What comes when it happens: RTSP, RTMP, UDP."""
        with closing(self._open_stream()) as decoder:
            self.native_fps = decoder.stated_fps
            clock, limit = LiveClock(), RateLimit(self._fps, JITTER)
            # When frames were captured that arrived together is known with the last of them.
            together: list[DecodedFrame] = []
            catching_up = decoder.native_fps >= _SLOW_FPS
            reached = 0.0
            failure: SourceError | None = None
            while failure is None:
                asked = time.monotonic()
                try:
                    frame = self._next(decoder, limit.not_before)
                except SourceError as error:
                    frame, failure = None, error
                if frame is None:
                    failure = failure or SourceError(f"{self._address.shown} sends no more frames")
                else:
                    clock.received(frame.position, time.time())
                    together.append(frame)
                    reached = frame.position
                    waited = time.monotonic() - asked
                    catching_up &= len(together) < _MOST_TOGETHER
                    catching_up &= len(together) == 1 or waited < 0.5 / decoder.native_fps
                if not catching_up or failure is not None:
                    for each in together:
                        if limit.wants(each.position):
                            yield from self._captured(decoder, each, round(1000 * clock.time_of(each.position)))
                    together = []
            recording_ended = decoder.duration is not None and reached >= _ALMOST_ALL * decoder.duration
            if self._loop or not recording_ended:
                raise failure

    def _open_stream(self) -> Decoder:
        address = self._address
        # frames that FFmpeg reads to find out what it gets are late; it need not find out their rate
        options = {"analyzeduration": str(_ANALYZED), "fpsprobesize": "0"}
        if address.scheme.startswith("rtsp"):
            options["rtsp_flags"] = "prefer_tcp"
        try:
            container = open_container(
                address.url, options=options, timeout=(http_client.CONNECT_TIMEOUT, http_client.READ_TIMEOUT)
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._refusal(error) from None
        return Decoder(container, address.shown, self._problems, live=True)

    def _next(self, decoder: Decoder, not_before: float) -> DecodedFrame | None:
        """The next frame.

        Raises:
            SourceError: it cannot be had.
        """
        try:
            return decoder.next(not_before)
        except (av.error.ExitError, TimeoutError):
            raise SourceError(f"{self._address.shown} sends no more (it was silent for too long)") from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"{self._address.shown} sends no more ({describe_error(error)})") from None

    def _captured(self, decoder: Decoder, frame: DecodedFrame, ts_ms: int) -> Generator[Captured]:
        try:
            yield Captured(decoder.image(frame), ts_ms, frame.position)
        except BadImageError as error:
            self._problems.skip(str(error))

    def _refusal(self, error: Exception) -> SourceError:
        """Why FFmpeg could not open the address."""
        address = self._address
        for kind, cause in _CAUSES.items():
            if isinstance(error, kind):
                return SourceError(f"{address.shown} {cause}")
        if isinstance(error, av.error.ProtocolNotFoundError):
            return SourceError(
                f"{address.shown} cannot be opened: the FFmpeg that is installed with PyAV has no {address.scheme}"
            )
        if isinstance(error, av.error.ExitError):
            return unreachable(address.shown, TimeoutError())
        if isinstance(error, av.error.InvalidDataError):
            return self._no_video(address.shown, error)
        return unreachable(address.shown, self._lookup_error() or OSError(describe_error(error)))

    def _lookup_error(self) -> OSError | None:
        """Whether the host has no address; FFmpeg has one error for that and many others."""
        try:
            socket.getaddrinfo(self._address.host, self._address.port)
        except OSError as error:
            return error
        return None

    def _no_video(self, shown: str, error: Exception) -> SourceError:
        return SourceError(
            f"{shown} answers, but not with a video that can be decoded ({describe_error(error)}): see the path of the "
            "address"
        )
