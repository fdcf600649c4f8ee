"""Notices streams as soon as they are created, for registrations with a prefix.

The switchboard tells all workers (EDGE.STREAMS). Streams that appear in another way than by XADD, such as by RENAME,
are found by the periodic search (owned_streams.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis

from rededge_nb.edge.client import RETRY_DELAY, worker_client
from rededge_nb.edge.client.state_database import database_of

logger = logging.getLogger(__name__)

LISTEN_TIMEOUT = 1.0
"""Longest wait in seconds before the thread looks whether it has to end."""


class NewStreams:
    """A thread that waits for new streams with a prefix.

    Args:
        url: Address of the server.
        prefix: How the names of the streams begin.
        notice: Called when a stream was created, after `created` was set.
        stopping: When it is set, the thread ends.
    """

    def __init__(self, url: str, prefix: str, notice: Callable[[], None], stopping: threading.Event) -> None:
        self.created = threading.Event()
        """Set when a stream was created."""
        self._prefix = prefix
        self._notice = notice
        self._stopping = stopping
        self._client = worker_client(url, name="rededge-worker-new-streams", timeout=LISTEN_TIMEOUT)
        threading.Thread(target=self._run, name=f"new-streams-{prefix}", daemon=True).start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._wait_for_streams()
            except (redis.ConnectionError, redis.BusyLoadingError):
                pass  # tried again when Redis is back
            except redis.ResponseError as error:
                logger.warning("new streams of %s* are noticed late: %s", self._prefix, error)
            self._client.connection_pool.disconnect()
            self._stopping.wait(RETRY_DELAY)
        self._client.close()

    def _wait_for_streams(self) -> None:
        connection = self._client.connection_pool.get_connection()
        try:
            while not self._stopping.is_set():
                connection.send_command("EDGE.STREAMS", database_of(self._client), self._prefix)
                if self._reply(connection):
                    self.created.set()
                    self._notice()
        finally:
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _reply(self, connection: redis.Connection) -> bool:
        """Whether a stream was created; waits until one is, or until the thread has to end."""
        while not self._stopping.is_set():
            try:
                return bool(connection.read_response(disconnect_on_error=False))
            except redis.TimeoutError:
                continue
        return False
