"""The executions that go on in any of the workers, as each shows its own, and how one in another worker is aborted."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import redis

from rededge_nb.edge.client import client_from_url, key_names

if TYPE_CHECKING:
    from rededge_nb.edge.worker.worker import Worker

logger = logging.getLogger(__name__)

RETRY_DELAY = 0.2


def show_executions(worker: Worker) -> None:
    """Show what goes on here."""
    summary = worker.engine.summary()
    client = worker.engine.raw_client
    key = key_names.live_executions(client)
    if summary:
        client.execute_command("HSET", key, worker.id, json.dumps(summary))
    else:
        client.execute_command("HDEL", key, worker.id)


def live_executions(worker: Worker) -> dict[str, dict[str, Any]]:
    """The executions that go on anywhere, by id: `status`, `registration`, `steps`, `worker`."""
    client = worker.engine.raw_client
    key = key_names.live_executions(client)
    found: dict[str, dict[str, Any]] = {}
    flat = client.execute_command("HGETALL", key)
    for name, text in zip(flat[::2], flat[1::2], strict=True):
        worker_id = name.decode()
        if worker_id == worker.id:
            continue
        if not worker.alive(worker_id):
            client.execute_command("HDEL", key, worker_id)
            continue
        found |= {name: one | {"worker": worker_id} for name, one in json.loads(text).items()}
    return found | {name: one | {"worker": worker.id} for name, one in worker.engine.summary().items()}


def ask_to_abort(worker: Worker, execution_id: str) -> None:
    """Let whichever worker has the execution abort it."""
    client = worker.engine.raw_client
    client.execute_command("PUBLISH", key_names.abort_channel(client), execution_id)


def listen(worker: Worker, stopping: threading.Event) -> None:
    """Abort the executions here that any worker is asked to abort, until `stopping` is set."""
    client = client_from_url(worker.url, name="rededge-worker-aborts")
    while not stopping.is_set():
        try:
            channel = key_names.abort_channel(client)
            connection = client.connection_pool.get_connection()
            try:
                connection.send_command("SUBSCRIBE", channel)
                while not stopping.is_set():
                    kind, _, what = connection.read_response()
                    execution = worker.engine.live.find(what.decode()) if kind == b"message" else None
                    if execution is not None:
                        execution.abort()
            finally:
                connection.disconnect()
                client.connection_pool.release(connection)
        except redis.RedisError as error:
            logger.debug("aborts of other workers are not heard: %s", error)
            stopping.wait(RETRY_DELAY)
