"""Accepts connections, and limits their number.

A client that opens connections and sends nothing could use up the file descriptors of the process. `accept` would then
fail with EMFILE, and because the listening socket stays readable, the event loop would call it again at once, for ever.
So the number of connections is limited: in total below the limit of file descriptors, and per address to half of that,
so that one address cannot take them all. When a limit is reached, the oldest connection that has not sent a request
with access yet is closed in favour of the new one; users who have access are not disconnected. If file descriptors run
out nevertheless, accepting pauses for a moment.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream

MAX_CONNECTIONS = 600
"""Connections at a time, if there are enough file descriptors."""
RESERVED_FILES = 128
"""File descriptors that are not for connections: connections to Redis, one per channel, and a few others."""
MIN_CONNECTIONS = 16
"""Connections at a time, even if there are few file descriptors."""
PAUSE = 1.0
"""Seconds for which nothing is accepted after file descriptors have run out."""
LOG_INTERVAL = 60.0
"""Seconds between two log messages about that, at least."""

_BATCH = 64
_NO_ROOM = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = logging.getLogger(__name__)


class Connection(IOStream):
    """A connection of a client.

    Attributes:
        address: IP address of the client.
        admitted: Whether it has sent a request with access.
    """

    def __init__(self, client: socket.socket, address: str, on_close: Callable[[Connection], None], **options: Any):
        super().__init__(client, **options)
        self.address = address
        self.admitted = False
        self._on_closed = on_close

    def close_fd(self) -> None:
        """Called by Tornado when the connection is closed."""
        super().close_fd()
        self._on_closed(self)


def admit(request: HTTPServerRequest) -> None:
    """Note that a request has access: its connection is not closed in favour of new ones."""
    stream = getattr(request.connection, "stream", None)
    if isinstance(stream, Connection):
        stream.admitted = True


def connection_limit() -> int:
    """How many connections this process can have at a time."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, files - RESERVED_FILES))


class Listener:
    """Accepts connections for a server. It must be used on the IO loop only.

    Args:
        listening: A listening socket that does not block.
        server: Serves the connections.
        buffer_size: Bytes that a connection may buffer.
    """

    def __init__(self, listening: socket.socket, server: HTTPServer, *, buffer_size: int) -> None:
        self._socket = listening
        self._server = server
        self._buffer_size = buffer_size
        self._loop = asyncio.get_running_loop()
        self._limit = connection_limit()
        self._connections: dict[Connection, None] = {}  # the oldest one first
        self._logged_at: float | None = None
        self._resuming: asyncio.TimerHandle | None = None
        self._resume()

    def stop(self) -> None:
        """Accept no more connections."""
        self._loop.remove_reader(self._socket)
        if self._resuming is not None:
            self._resuming.cancel()

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._connections):
            connection.close()

    def _resume(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                client, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_FILES:
                    self._pause(error)
                    return
                continue  # the client has closed the connection already
            self._serve(client, str(address[0]), address)

    def _pause(self, error: OSError) -> None:
        now = time.monotonic()
        if self._logged_at is None or now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            _log.error("no connection can be accepted: %s; trying again every %g s", error, PAUSE)
        self._loop.remove_reader(self._socket)
        self._resuming = self._loop.call_later(PAUSE, self._resume)

    def _serve(self, client: socket.socket, address: str, full_address: Any) -> None:
        same_address = [each for each in self._connections if each.address == address]
        if not (
            self._make_room(same_address, max(1, self._limit // 2)) and self._make_room(self._connections, self._limit)
        ):
            with suppress(OSError), client:
                client.setblocking(False)
                client.send(_NO_ROOM)
            return
        connection = Connection(client, address, self._forget, max_buffer_size=self._buffer_size)
        self._connections[connection] = None
        self._server.handle_stream(connection, full_address)

    def _make_room(self, connections: Iterable[Connection], limit: int) -> bool:
        """Close a connection if `limit` is reached; returns whether there is room for another one."""
        present = list(connections)
        if len(present) < limit:
            return True
        oldest = next((each for each in present if not each.admitted), None)
        if oldest is not None:
            oldest.close()
        return oldest is not None

    def _forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
