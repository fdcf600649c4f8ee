"""Messages between workers, by Redis's PUBLISH and SUBSCRIBE."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis

from rededge_nb.edge.client.connecting import RETRY_DELAY, worker_client

logger = logging.getLogger(__name__)


def listen(
    url: str,
    channel_of: Callable[[redis.Redis], str],
    receive: Callable[[str], None],
    stopping: threading.Event,
    *,
    name: str,
) -> None:
    """Call `receive` with each message of a channel, until `stopping` is set.

    Args:
        url: Address of the server.
        channel_of: Returns the channel's name on the server of a client.
        receive: Called with the text of a message. If it raises a redis.RedisError, the message is dropped.
        stopping: Ends this function at the next message or broken connection.
        name: The connection's name in CLIENT LIST.
    """
    client = worker_client(url, name=name)
    while not stopping.is_set():
        try:
            channel = channel_of(client)
            connection = client.connection_pool.get_connection()
            try:
                connection.send_command("SUBSCRIBE", channel)
                while not stopping.is_set():
                    kind, _, content = connection.read_response()
                    if kind == b"message":
                        receive(content.decode())
            finally:
                connection.disconnect()
                client.connection_pool.release(connection)
        except redis.RedisError as error:
            logger.debug("%s: %s", name, error)
            stopping.wait(RETRY_DELAY)
