"""A small network camera of the tests' own: multipart MJPEG over HTTP, in a thread."""

from __future__ import annotations

import base64
import hashlib
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import parse_http_list, parse_keqv_list

BOUNDARY = b"frame"


class MjpegServer:
    """Sends `pictures` over and over, one each time that `interval` seconds have passed.

    Attributes:
        requests: Paths asked for, in order.
    """

    def __init__(
        self,
        pictures: list[bytes],
        *,
        port: int = 0,
        interval: float = 0.01,
        lengths: bool = True,
        credentials: str | None = None,
        scheme: str = "Basic",
        content_type: str = "multipart/x-mixed-replace; boundary=frame",
        body: bytes | None = None,
        silent_after: int | None = None,
    ) -> None:
        self.requests: list[str] = []
        self.over = threading.Event()
        self._connections: list[socket.socket] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                outer._connections.append(self.connection)
                if credentials and not _allowed(self.headers["Authorization"] or "", credentials, self.path):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", f'{scheme} realm="camera", nonce="n", qop="auth"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.end_headers()
                if body is not None:
                    self.wfile.write(body)
                    return
                for number in itertools.count() if silent_after is None else range(silent_after):
                    if outer.over.wait(interval):
                        return
                    jpeg = pictures[number % len(pictures)]
                    length = b"Content-Length: %d\r\n" % len(jpeg) if lengths else b""
                    self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n%s\r\n%s\r\n" % (length, jpeg))
                outer.over.wait()

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None: ...

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def kill(self) -> None:
        """Break every connection and close the port."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()


@contextmanager
def mjpeg_server(pictures: list[bytes], **options: object) -> Iterator[MjpegServer]:
    server = MjpegServer(pictures, **options)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.kill()


def _allowed(header: str, credentials: str, path: str) -> bool:
    """Whether a request carries `user:password`, by the basic or the digest scheme."""
    scheme, _, rest = header.partition(" ")
    if scheme == "Basic":
        return rest == base64.b64encode(credentials.encode()).decode()
    said = parse_keqv_list(parse_http_list(rest))
    user, _, password = credentials.partition(":")
    if scheme != "Digest" or said["username"] != user:
        return False
    middle = ":".join(said[name] for name in ("nonce", "nc", "cnonce", "qop"))
    return said["response"] == _md5(f"{_md5(f'{user}:camera:{password}')}:{middle}:{_md5(f'GET:{path}')}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
