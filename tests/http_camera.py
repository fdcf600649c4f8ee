"""An HTTP camera of the tests' own with a path for every way in which cameras behave."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CERTIFICATES = Path(__file__).parent / "certificates"
USER, PASSWORD, REALM = "viewer", "s@cr/et", "camera"

Respond = Callable[["Request"], object]


class Request(BaseHTTPRequestHandler):
    """One request, with what a camera needs to answer it."""

    protocol_version = "HTTP/1.1"
    camera: HttpCamera

    def do_GET(self) -> None:
        self.close_connection = True
        self.camera.requests.append((self.path, dict(self.headers.items())))
        respond = self.camera.routes.get(self.path.partition("?")[0])
        with suppress(OSError):
            if respond is None:
                self.answer(404, "text/html", b"<html>not here</html>")
            else:
                respond(self)

    def setup(self) -> None:
        super().setup()
        self.camera.connections.append(self.connection)

    def head(self, code: int = 200, *headers: tuple[str, str]) -> None:
        """Send the status and the headers."""
        self.send_response(code)
        for name, value in (*headers, ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()

    def answer(self, code: int, kind: str, body: bytes, *headers: tuple[str, str]) -> None:
        """Send a whole answer."""
        self.head(code, ("Content-Type", kind), ("Content-Length", str(len(body))), *headers)
        self.wfile.write(body)

    def stream(
        self, parts: Iterator[bytes] | list[bytes], kind: str = "multipart/x-mixed-replace; boundary=frame"
    ) -> None:
        """Send parts until the camera is closed; the last one is followed by silence."""
        self.head(200, ("Content-Type", kind))
        for part in parts:
            self.wfile.write(part)
            if self.camera.over.wait(0.01):
                return
        self.camera.over.wait()

    def chunked(self, pieces: list[bytes], kind: str, *, complete: bool = True) -> None:
        """Send a body in chunks."""
        self.head(200, ("Content-Type", kind), ("Transfer-Encoding", "chunked"))
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if complete:
            self.wfile.write(b"0\r\n\r\n")

    def signed_in(self, *offers: str, algorithm: str = "", basic: bool = False) -> bool:
        """Whether the request carries user and password in this way; else the offers are sent."""
        header = self.headers["Authorization"] or ""
        if (basic and header == _basic()) or (algorithm and _is_digest(header, algorithm, self.path)):
            return True
        self.head(401, *(("WWW-Authenticate", offer) for offer in offers), ("Content-Length", "0"))
        return False

    def log_message(self, *_: object) -> None: ...


class HttpCamera:
    """Answers by path.

    Attributes:
        routes: What to do for each path.
        requests: Path and headers of each request, in order.
        connections: All connections that were made.
    """

    def __init__(self, routes: dict[str, Respond], *, certificate: str | None = None, port: int = 0) -> None:
        self.routes = routes
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections: list[socket.socket] = []
        self.over = threading.Event()
        handler = type("Handler", (Request,), {"camera": self})

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None: ...

        self._server = Server(("127.0.0.1", port), handler)
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATES / certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.scheme = "https"
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def url(self, path: str = "/", *, user: str | None = None) -> str:
        credentials = f"{user}@" if user else ""
        return f"{self.scheme}://{credentials}127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()


@contextmanager
def http_camera(routes: dict[str, Respond], **options: Any) -> Iterator[HttpCamera]:
    camera = HttpCamera(routes, **options)
    try:
        yield camera
    finally:
        camera.close()


def part(jpeg: bytes, *, length: int = 0) -> bytes:
    """A part of a multipart stream; its announced length is off by `length`."""
    header = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    return header % (len(jpeg) + length) + jpeg + b"\r\n"


def _basic() -> str:
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def _is_digest(header: str, algorithm: str, path: str) -> bool:
    if not header.startswith("Digest "):
        return False
    said = dict(re.findall(r'(\w+)="?([^",]+)"?', header))
    if said.get("algorithm", "MD5").upper() != algorithm or said.get("uri") != path:
        return False
    name = {"MD5": "md5", "SHA-256": "sha256"}[algorithm.removesuffix("-SESS")]

    def digest(*words: str) -> str:
        return hashlib.new(name, ":".join(words).encode()).hexdigest()

    secret = digest(USER, REALM, PASSWORD)
    if algorithm.endswith("-SESS"):
        secret = digest(secret, said["nonce"], said["cnonce"])
    request = digest("GET", path)
    if "qop" in said:
        return said["response"] == digest(secret, said["nonce"], said["nc"], said["cnonce"], said["qop"], request)
    return said["response"] == digest(secret, said["nonce"], request)
