"""A small RTSP camera of the tests' own, in threads: JPEG (RFC 2435) or H.264 (RFC 6184) over RTP.

RTP is interleaved in the connection, or sent over UDP if the camera refuses that.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import av

_CLOCK = 90_000
_MOST_BYTES = 1400


@dataclass(frozen=True)
class Unit:
    """What is sent at one time: the payloads of RTP packets for one frame.

    Attributes:
        due: Seconds after the first one.
        timestamp: Seconds at which it is shown; with B-frames that is not the order of sending.
    """

    due: float
    timestamp: float
    payloads: tuple[bytes, ...]


class RtspServer:
    """Sends frames for as long as it is asked to.

    Args:
        media: Makes the units to send; called for each PLAY.
        description: The lines of the SDP about the video.
        user: `user:password` that has to be given; None for none.
        scheme: How: `Basic` or `Digest`.
        udp_only: Refuse RTP in the connection.
        silent_after: Send so many units, and nothing more; the connection stays.
        path: The stream; others are not found.

    Attributes:
        requests: The first lines of all requests.
        started: The time at which the first unit was sent last.
    """

    def __init__(
        self,
        media: Callable[[], Iterable[Unit]],
        description: str,
        *,
        port: int = 0,
        user: str | None = None,
        scheme: str = "Digest",
        udp_only: bool = False,
        silent_after: int | None = None,
        path: str = "/stream",
    ) -> None:
        self.requests: list[str] = []
        self.started = 0.0
        self._media = media
        self._description = description
        self._user = user
        self._scheme = scheme
        self._udp_only = udp_only
        self._silent_after = silent_after
        self._path = path
        self._over = threading.Event()
        self._connections: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}{self._path}"

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
        send: Callable[[bytes], object] = partial(_send_interleaved, connection)
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as requests:
            while request := requests.readline().split():
                headers = dict(line.split(b": ", 1) for line in iter(lambda: requests.readline().strip(), b""))
                texts = {name.decode(): value.decode() for name, value in headers.items()}
                method, url = request[0].decode(), request[1].decode()
                self.requests.append(f"{method} {url}")
                transport = texts.get("Transport", "")
                ports = re.search(r"client_port=(\d+)", transport)
                if ports is not None:
                    udp, client = socket.socket(type=socket.SOCK_DGRAM), ("127.0.0.1", int(ports[1]))
                    udp.bind(("127.0.0.1", 0))
                    udp.connect(client)
                    self._connections.append(udp)
                    send = udp.send
                connection.sendall(self._answer(method, url, texts))
                if method == "PLAY":
                    threading.Thread(target=self._play, args=(send,), daemon=True).start()

    def _answer(self, method: str, url: str, headers: dict[str, str]) -> bytes:
        lines = ["RTSP/1.0 200 OK", f"CSeq: {headers.get('CSeq', '0')}", "Session: 1"]
        body = ""
        if method != "OPTIONS" and self._user and not self._allowed(method, headers.get("Authorization", "")):
            lines[0] = "RTSP/1.0 401 Unauthorized"
            lines.append(f'WWW-Authenticate: {self._scheme} realm="camera", nonce="n"')
        elif method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif method == "DESCRIBE" and self._path not in url:
            lines[0] = "RTSP/1.0 404 Not Found"
        elif method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n" + self._description
            lines += ["Content-Type: application/sdp", f"Content-Base: {self.url}/", f"Content-Length: {len(body)}"]
        elif method == "SETUP" and self._udp_only and "TCP" in headers.get("Transport", ""):
            lines[0] = "RTSP/1.0 461 Unsupported Transport"
        elif method == "SETUP":
            transport = headers["Transport"].split(",")[0]
            lines.append(f"Transport: {transport}" + ("" if "TCP" in transport else ";server_port=5000-5001"))
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def _allowed(self, method: str, header: str) -> bool:
        user, _, password = str(self._user).partition(":")
        if self._scheme == "Basic":
            return header == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        said = dict(re.findall(r'(\w+)="?([^",]+)"?', header))

        def md5(*words: str) -> str:
            return hashlib.md5(":".join(words).encode()).hexdigest()

        secret = md5(user, "camera", password)
        return said.get("response") == md5(secret, "n", md5(method, said.get("uri", "")))

    def _play(self, send: Callable[[bytes], object]) -> None:
        sequence = 0
        self.started = time.time()
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for number, unit in enumerate(self._media()):
                if number == self._silent_after or self._over.wait(max(0.0, began + unit.due - time.monotonic())):
                    break
                stamp = round(unit.timestamp * _CLOCK) & 0xFFFFFFFF
                for at, payload in enumerate(unit.payloads):
                    last = 0x80 if at == len(unit.payloads) - 1 else 0
                    kind = 26 if "RTP/AVP 26" in self._description else 96
                    send(struct.pack(">BBHII", 0x80, kind | last, sequence & 0xFFFF, stamp, 1) + payload)
                    sequence += 1
        self._over.wait()


@contextmanager
def rtsp_server(images: list[bytes], *, fps: int = 50, **options: Any) -> Iterator[RtspServer]:
    """A camera that sends JPEG images (baseline, 4:2:0, standard Huffman tables: what OpenCV writes) over and over."""
    server = jpeg_server(images, fps=fps, **options)
    try:
        yield server
    finally:
        server.kill()


def jpeg_server(images: list[bytes], *, fps: int = 50, **options: Any) -> RtspServer:
    """As `rtsp_server`, to be killed by whoever asks for it."""
    parts = [_taken_apart(each) for each in images]

    def media() -> Iterator[Unit]:
        for number in count():
            header, tables, scan = parts[number % len(parts)]
            payloads = tuple(
                struct.pack(">I", at) + header + (tables if at == 0 else b"") + scan[at : at + _MOST_BYTES]
                for at in range(0, len(scan), _MOST_BYTES)
            )
            yield Unit(number / fps, number / fps, payloads)

    description = f"m=video 0 RTP/AVP 26\r\na=framerate:{fps}\r\na=control:track1\r\n"
    return RtspServer(media, description, **options)


@contextmanager
def h264_server(*videos: Path, repeat: bool = True, offset: float = 0.0, **options: Any) -> Iterator[RtspServer]:
    """A camera that sends H.264 files in real time, one after the other, over and over.

    Args:
        videos: MPEG-TS or raw files of equal rates; with B-frames they are sent in the order of decoding.
        repeat: Start again at the end.
        offset: Seconds that the first timestamp is.
        options: Those of RtspServer.
    """
    clips = [list(_units_of(each)) for each in videos]

    def media() -> Iterator[Unit]:
        began = 0.0
        while True:
            for clip, length in clips_with_lengths:
                yield from (Unit(began + each.due, offset + began + each.timestamp, each.payloads) for each in clip)
                began += length
            if not repeat:
                return

    clips_with_lengths = [(clip, _length_of(clip)) for clip in clips]
    description = (
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
    )
    server = RtspServer(media, description, **options)
    try:
        yield server
    finally:
        server.kill()


def _send_interleaved(connection: socket.socket, rtp: bytes) -> None:
    connection.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)


def _units_of(video: Path) -> Iterator[Unit]:
    with av.open(str(video)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    first_dts = min(packet.dts for packet in packets)
    first_pts = min(packet.pts for packet in packets)
    for packet in packets:
        payloads = [payload for nal in _nals(bytes(packet)) for payload in _fragments(nal)]
        due = float((packet.dts - first_dts) * packet.time_base)
        yield Unit(due, float((packet.pts - first_pts) * packet.time_base), tuple(payloads))


def _length_of(clip: list[Unit]) -> float:
    return clip[-1].due + (clip[-1].due - clip[0].due) / (len(clip) - 1)


def _nals(data: bytes) -> list[bytes]:
    """The units of an Annex B stream, without access unit delimiters."""
    found = [each.rstrip(b"\0") for each in re.split(rb"\x00\x00\x00?\x01", data) if each]
    return [each for each in found if each and each[0] & 0x1F != 9]


def _fragments(nal: bytes) -> list[bytes]:
    if len(nal) <= _MOST_BYTES:
        return [nal]
    indicator, kind, body = nal[0] & 0xE0 | 28, nal[0] & 0x1F, io.BytesIO(nal[1:])
    pieces = list(iter(lambda: body.read(_MOST_BYTES), b""))
    return [
        bytes([indicator, kind | (0x80 if number == 0 else 0) | (0x40 if number == len(pieces) - 1 else 0)]) + piece
        for number, piece in enumerate(pieces)
    ]


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
