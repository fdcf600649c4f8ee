"""A small RTSP camera of the tests' own: JPEG over RTP (RFC 2435), interleaved in the connection, in threads."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CLOCK = 90_000
_MOST_BYTES = 1400


class RtspServer:
    """Sends pictures (baseline JPEG, 4:2:0, standard Huffman tables: what OpenCV writes) `fps` times a second."""

    def __init__(self, pictures: list[bytes], *, port: int = 0, fps: int = 50) -> None:
        self._pictures = [_taken_apart(each) for each in pictures]
        self._fps = fps
        self._over = threading.Event()
        self._connections: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/stream"

    def kill(self) -> None:
        """Break every connection and close the port."""
        self._over.set()
        for each in (self._listening, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as requests:
            while request := requests.readline().split():
                headers = dict(line.split(b": ", 1) for line in iter(lambda: requests.readline().strip(), b""))
                method = request[0].decode()
                connection.sendall(self._answer(method, headers.get(b"CSeq", b"0").decode()))
                if method == "PLAY":
                    self._play(connection)

    def _answer(self, method: str, number: str) -> bytes:
        lines = ["RTSP/1.0 200 OK", f"CSeq: {number}", "Session: 1"]
        body = ""
        if method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
                f"m=video 0 RTP/AVP 26\r\na=framerate:{self._fps}\r\na=control:track1\r\n"
            )
            lines += ["Content-Type: application/sdp", f"Content-Base: {self.url}/", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            lines.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def _play(self, connection: socket.socket) -> None:
        sequence = 0
        for number in itertools.count():
            header, tables, scan = self._pictures[number % len(self._pictures)]
            stamp = number * _CLOCK // self._fps
            for at in range(0, len(scan), _MOST_BYTES):
                piece = scan[at : at + _MOST_BYTES]
                last = at + _MOST_BYTES >= len(scan)
                payload = struct.pack(">I", at) + header + (tables if at == 0 else b"") + piece
                rtp = struct.pack(">BBHII", 0x80, 26 | (0x80 if last else 0), sequence & 0xFFFF, stamp, 1) + payload
                connection.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
                sequence += 1
            if self._over.wait(1 / self._fps):
                return


@contextmanager
def rtsp_server(pictures: list[bytes], **options: int) -> Iterator[RtspServer]:
    server = RtspServer(pictures, **options)
    try:
        yield server
    finally:
        server.kill()


def _taken_apart(jpeg: bytes) -> tuple[bytes, bytes, bytes]:
    """What RFC 2435 sends of a JPEG: type, Q, width and height; the quantization tables; the entropy-coded data."""
    tables, size, at = b"", b"", 2
    while True:
        marker, length = struct.unpack_from(">xBH", jpeg, at)
        segment = jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xDB:
            tables += b"".join(segment[start + 1 : start + 65] for start in range(0, len(segment), 65))
        elif marker == 0xC0:
            height, width = struct.unpack_from(">HH", segment, 1)
            size = struct.pack(">BBBB", 1, 255, width // 8, height // 8)
        elif marker == 0xDA:
            return size, struct.pack(">BBH", 0, 0, len(tables)) + tables, jpeg[at:-2]
