"""A web server of the tests' own, what asks it, and a camera that is filled as capture and gear would."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from typing import Any, NamedTuple

import cv2
import numpy as np
import redis

from rededge_nb import schema

WIDTH, HEIGHT = 640, 480
TOKEN = "a-token-of-the-tests"


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, path: str, method: str = "GET", *, host: str = "127.0.0.1", token: str | None = TOKEN, **headers: str
) -> Answer:
    if token is not None:
        headers = {"Authorization": f"Bearer {token}", **headers}
    with closing(http.client.HTTPConnection(host, port, timeout=60)) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        with connection.getresponse() as reply:
            return Answer(reply.status, reply.headers, reply.read())


class Mjpeg:
    """An MJPEG stream, read as a browser does: a picture is complete when the next one's head is there."""

    HEAD = b"--rededge-frame\r\nContent-Type: image/jpeg\r\n\r\n"

    def __init__(self, port: int, camera: str = "0", query: str = "", token: str = TOKEN) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        request = f"GET /video?camera={camera}{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        request += f"Authorization: Bearer {token}\r\n\r\n"
        self.socket.sendall(request.encode())
        self._data = b""
        self.head = self._until(self.HEAD).decode()

    def jpeg(self) -> bytes:
        """The next picture."""
        return self._until(self.HEAD).removesuffix(b"\r\n")

    def picture(self) -> np.ndarray[Any, Any]:
        image = decode(self.jpeg())
        assert image is not None
        return image

    def close(self) -> None:
        self.socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            received = self.socket.recv(1 << 16)
            assert received, f"the server closed the connection after {self._data[:200]!r}"
            self._data += received
        found, _, self._data = self._data.partition(mark)
        return found


@contextmanager
def watching(port: int, camera: str = "0", **options: str) -> Iterator[Mjpeg]:
    stream = Mjpeg(port, camera, **options)
    try:
        yield stream
    finally:
        stream.close()


class Camera:
    """Adds frames and detections as capture and gear would. A frame is grey, of the level asked for."""

    BOX = (160, 120, 400, 360)

    def __init__(self, client: redis.Redis, camera: str = "0") -> None:
        self.id = camera
        self.client = client
        self.count = 0

    def frame(self, level: int = 90, **more: Any) -> str:
        self.count += 1
        jpeg = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), level, np.uint8))[1].tobytes()
        fields: Any = {"count": self.count, "ts": time.time_ns() // 1_000_000, "image": jpeg, **more}
        added: Any = self.client.xadd(schema.frames_key(self.id), fields)
        return str(added.decode())

    def detect(self, ref: str, **more: Any) -> None:
        fields: Any = {"ref": ref, "boxes": json.dumps(self.BOX), "people": 1, "confidence": "[0.875]", **more}
        self.client.xadd(schema.detections_key(self.id), fields)

    def detected(self, level: int = 90) -> str:
        ref = self.frame(level)
        self.detect(ref)
        return ref


def decode(jpeg: bytes) -> np.ndarray[Any, Any] | None:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def has_box(image: np.ndarray[Any, Any]) -> bool:
    """Whether the box of `Camera` is drawn: its lower edge, where no label is, is yellow."""
    left, _, right, bottom = Camera.BOX
    blue, green, red = image[bottom, (left + right) // 2].astype(int)
    return bool(min(red, green) - blue > 60)
