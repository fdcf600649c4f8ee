"""Cameras that send JPEG after JPEG over HTTP: what they send is handed on as it is."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from functools import partial
from typing import Any

from rededge_nb.capture.sources.address import Address
from rededge_nb.capture.sources.base import Captured, now_ms
from rededge_nb.capture.sources.mjpeg import Parser
from rededge_nb.errors import SourceError

CONNECT_TIMEOUT = 5.0
"""Seconds in which a camera has to answer."""
READ_TIMEOUT = 10.0
"""Seconds without a picture after which a connection is given up."""

_CHUNK_BYTES = 64 * 1024


class HttpStream:
    """One request for a video stream, which another thread can break off at any time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._closed = False

    def open(self) -> http.client.HTTPResponse:
        """Ask for the stream; returns the answer once its headers are there.

        Raises:
            SourceError: there is none, or it tells of an error.
        """
        shown = self._address.shown
        request = urllib.request.Request(self._address.bare_url, headers={"User-Agent": "rededge"})  # noqa: S310  only HTTP
        try:
            response: http.client.HTTPResponse = self._opener().open(request, timeout=CONNECT_TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            hint = "see user and password in the address" if error.code in (401, 403) else "see the address"
            raise SourceError(f"{shown} answers {error.code} {error.reason}: {hint}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise unreachable(shown, error) from None
        if self._socket is not None:
            self._socket.settimeout(READ_TIMEOUT)
        return response

    def mjpeg(self, response: http.client.HTTPResponse) -> Generator[Captured]:
        """The pictures of an answer that is multipart MJPEG, as long as they come.

        Raises:
            SourceError: the camera falls silent, hangs up, or sends something else.
        """
        shown = self._address.shown
        parser = Parser(shown)
        newest = time.monotonic()
        while time.monotonic() - newest < READ_TIMEOUT:
            try:
                data = response.read1(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise SourceError(f"{shown} sends no more ({_reason(error)})") from None
            if not data:
                raise SourceError(f"{shown} has hung up")
            for part in parser.feed(data, now_ms()):
                newest = time.monotonic()
                yield Captured(part.jpeg, part.ts_ms)
        raise SourceError(f"{shown} sent no picture for {READ_TIMEOUT:g} s")

    def close(self) -> None:
        """Break off whatever is being waited for."""
        self._closed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # that of the plain socket: the one for TLS is not made for two threads
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def note(self, connected: socket.socket) -> None:
        """Remember the socket, to break it off."""
        self._socket = connected
        if self._closed:
            raise ConnectionAbortedError("closed meanwhile")

    def _opener(self) -> urllib.request.OpenerDirector:
        """A client for HTTP and HTTPS alone, whatever a camera redirects to."""
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if self._address.user is not None:
            passwords.add_password(None, self._address.bare_url, self._address.user, self._address.password or "")
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPBasicAuthHandler(passwords),
            urllib.request.HTTPDigestAuthHandler(passwords),
            urllib.request.UnknownHandler(),
            _Handler(self),
        ):
            opener.add_handler(handler)
        return opener


class _Handler(urllib.request.AbstractHTTPHandler):
    def __init__(self, stream: HttpStream) -> None:
        super().__init__()
        self._stream = stream

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, self._stream), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_TlsConnection, self._stream), request)

    http_request = urllib.request.AbstractHTTPHandler.do_request_
    https_request = http_request


class _Connection(http.client.HTTPConnection):
    def __init__(self, stream: HttpStream, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._stream = stream

    def connect(self) -> None:
        super().connect()
        self._stream.note(self.sock)


class _TlsConnection(http.client.HTTPSConnection):
    def __init__(self, stream: HttpStream, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._stream = stream

    def connect(self) -> None:
        super().connect()
        self._stream.note(self.sock)


def unreachable(shown: str, error: Exception) -> SourceError:
    """What to say of a camera that does not answer."""
    return SourceError(
        f"{shown} does not answer ({_reason(error)}): see whether the camera is on and the address right"
    )


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "it was silent for too long"
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
