"""A viewer of an MJPEG stream, which counts the images."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

JPEG_START = b"\xff\xd8\xff"
TIMEOUT = 60.0
"""Seconds until the first byte."""


class Watch:
    """One viewer.

    Attributes:
        pictures: How many it has got.
    """

    def __init__(self, port: int, path: str) -> None:
        self.pictures = 0
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        if not self._socket.recv(1024).startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise ConnectionError(f"port {port} refuses {path}")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(ConnectionResetError):  # a server may be quick to notice close()
            while data := self._socket.recv(1 << 20):
                self.pictures += data.count(JPEG_START)


@contextmanager
def watching(port: int, path: str) -> Iterator[Watch]:
    """Watch as long as the block lasts."""
    watch = Watch(port, path)
    try:
        yield watch
    finally:
        watch.close()
