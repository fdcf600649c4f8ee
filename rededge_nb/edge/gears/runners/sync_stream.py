"""Lets a client that adds an entry wait until the gear has processed it: StreamReader with `mode='sync'`.

The switchboard keeps the reply to each XADD until EDGE.DONE. The entries are processed by the stream runner as always.
This module asks Redis whether the group of a stream has anything left to process, and ends the waiting if not. Entries
that wait for a full batch start nothing, so nobody waits for them, as in RedisGears.
"""

from __future__ import annotations

import logging
import threading

import redis

from rededge_nb.edge.client import RETRY_DELAY, worker_client
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runtime.gear import Draft
from rededge_nb.schema import GEAR_GROUP as GROUP

logger = logging.getLogger(__name__)

LISTEN_TIMEOUT = 0.25
"""Longest wait for an event in seconds, while nobody waits."""
CHECK_INTERVAL = 0.02
"""Seconds between two questions whether something is left to process, unless a batch ends earlier."""
IS_LEFT = """
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  if group[2] == ARGV[2] then
    if group[6] > 0 then return 1 end
    local unread = redis.call('XRANGE', KEYS[1], '(' .. group[8], '+', 'COUNT', ARGV[1])
    return #unread >= tonumber(ARGV[1]) and 1 or 0
  end
end
return 1
"""
"""1 if entries of a stream are pending, or a full batch is unread, or the group has not been created; else 0."""


class SyncStream:
    """A thread that ends the waiting for one registration, while this worker owns its streams."""

    def __init__(self, executor: GearExecutor, draft: Draft) -> None:
        self._draft = draft
        self._executor = executor
        self._lease = f"events of {draft.id}"
        self._client = worker_client(executor.host.url, name="rededge-worker-events")
        self._client.response_callbacks.clear()
        self._stopping = threading.Event()
        self.processed = threading.Event()
        """Set by the stream runner when a batch has ended."""
        self._thread = threading.Thread(target=self._run_until_stopped, name=f"sync-{draft.id}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let nobody wait any more for this worker."""
        self._stopping.set()

    def _run_until_stopped(self) -> None:
        leases = self._executor.leases
        while not self._stopping.is_set():
            try:
                if leases.acquire(self._draft.id, self._lease):
                    self._serve()
            except (redis.ConnectionError, redis.BusyLoadingError):
                pass  # tried again when Redis is back
            except redis.RedisError as error:
                logger.warning("registration %s: %s", self._draft.id, error)
            except BaseException:  # the thread must go on, or clients wait for ever
                logger.exception("registration %s", self._draft.id)
            self._stopping.wait(RETRY_DELAY)
        try:
            leases.release(self._draft.id, self._lease)
        except redis.RedisError as error:
            logger.info("the lease of registration %s runs out by itself: %s", self._draft.id, error)
        self._client.close()

    def _serve(self) -> None:
        connection = self._client.connection_pool.get_connection()
        after, waiting = 0, dict[bytes, list[int]]()
        try:
            connection.send_command("EDGE.EVENTS", self._draft.id, after)
            while not self._stopping.is_set() and self._executor.leases.owns(self._draft.id, self._lease):
                if connection.can_read(0 if waiting else LISTEN_TIMEOUT):
                    reply = connection.read_response()
                    if reply is None:
                        return
                    for number, _, key, *_ in reply[1]:
                        waiting.setdefault(key, []).append(number)
                        after = number
                    connection.send_command("EDGE.EVENTS", self._draft.id, after)
                self.processed.clear()
                for key in [key for key in waiting if not self._is_left(key)]:
                    for number in waiting.pop(key):
                        self._client.execute_command("EDGE.DONE", self._draft.id, number)
                if waiting:
                    self.processed.wait(CHECK_INTERVAL)
        finally:
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _is_left(self, key: bytes) -> bool:
        """Whether the gear has something to do on a stream."""
        batch_size = self._draft.arguments["batchSize"]
        try:
            return bool(self._client.execute_command("EDGE.QUIET", "EVAL", IS_LEFT, 1, key, batch_size, GROUP))
        except redis.ResponseError as error:
            if "no such key" in str(error).lower():  # somebody has deleted the stream
                return False
            raise
