"""Lets all workers write the counts that they have in memory, so that AI.INFO knows every run."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable

import redis

from rededge_nb.edge.client import even_if_full, key_names
from rededge_nb.edge.client.messages import listen
from rededge_nb.edge.client.state_database import state_client

PATIENCE = 1
"""Seconds to wait for each worker. One that is stopped, or holds the interpreter lock, does not answer."""


def ask_all(client: redis.Redis) -> None:
    """Return when all workers have written their counts, or do not answer.

    Raises:
        redis.RedisError: The server is not available.
    """
    state, token = state_client(client), secrets.token_hex(8)
    asked = state.publish(key_names.counts_channel(client), token)
    key = key_names.counts_written(client, token)
    for _ in range(asked):
        if state.blpop([key], timeout=PATIENCE) is None:
            return


def serve(url: str, write: Callable[[], None], client: redis.Redis, stopping: threading.Event) -> None:
    """Call `write` whenever a worker asks for it, until `stopping` is set."""

    def receive(token: str) -> None:
        try:
            write()
        finally:
            key = key_names.counts_written(client, token)
            state = state_client(client)
            state.execute_command(*even_if_full(key, "RPUSH", key, 1))
            state.expire(key, 10 * PATIENCE)

    listen(url, key_names.counts_channel, receive, stopping, name="rededge-worker-counts")
