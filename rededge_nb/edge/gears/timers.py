"""Timers that gears start with registerTE: a function called every so many seconds until it raises.

A timer with a key lives as that key: it is saved with the database, whichever worker is there runs it, and it ends when
the key is deleted. One without ends with the worker that started it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cloudpickle
import redis

from rededge_nb.edge import own_keys, shard
from rededge_nb.edge.gears.context import Context, entered
from rededge_nb.edge.gears.registrations import checked_callback

if TYPE_CHECKING:
    from rededge_nb.edge.worker import Worker

logger = logging.getLogger(__name__)

HOLDER = "timer"


class Timers:
    """The timers of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._running: set[str] = set()

    def start(self, seconds: float, function: Callable[[], Any], key: str | None) -> None:
        """Start a timer; with a key it is kept in Redis.

        Raises:
            GearsError: the function cannot be kept.
        """
        if key is None:
            self._begin(None, seconds, function)
            return
        client = self._worker.engine.raw_client
        # in a cluster the two keys may lie in different slots, which no transaction can span
        pipeline = client.pipeline(transaction=shard.tag(client) is None)
        pipeline.execute_command("SET", key, cloudpickle.dumps((seconds, checked_callback(function))))
        pipeline.execute_command("SADD", own_keys.timers(client), key)
        pipeline.execute()
        self.follow()

    def follow(self) -> None:
        """Run the timers in Redis that no other worker runs; called a few times a second."""
        client = self._worker.engine.raw_client
        for name in client.execute_command("SMEMBERS", own_keys.timers(client)):
            key = name.decode()
            if key in self._running or not self._worker.engine.leases.acquire(HOLDER, _place(key)):
                continue
            kept = client.execute_command("GET", key)
            if kept is None:
                client.execute_command("SREM", own_keys.timers(client), key)
                self._worker.engine.leases.release(HOLDER, _place(key))
                continue
            self._begin(key, *cloudpickle.loads(kept))

    def _begin(self, key: str | None, seconds: float, function: Callable[[], Any]) -> None:
        if key is not None:
            self._running.add(key)
        threading.Thread(
            target=self._run, args=(key, seconds, function), name=f"timer-{key}", daemon=True
        ).start()  # fmt: skip

    def _run(self, key: str | None, seconds: float, function: Callable[[], Any]) -> None:
        leases, pause = self._worker.engine.leases, threading.Event()
        with entered(Context(self._worker)) as context:
            while not pause.wait(seconds):
                try:
                    if key is not None and not (leases.owns(HOLDER, _place(key)) and context.command("EXISTS", key)):
                        break
                    function()
                except (redis.ConnectionError, redis.BusyLoadingError):
                    continue
                except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - the gear's own, and how a timer ends
                    logger.warning("a timer ends, its function raised %s: %s", type(error).__name__, error)
                    if key is not None:
                        context.command("DEL", key)
                    break
        if key is not None:
            self._running.discard(key)
            try:
                leases.release(HOLDER, _place(key))
            except redis.RedisError as error:
                logger.info("the lease of the timer %s runs out by itself: %s", key, error)


def _place(key: str) -> str:
    return f"timer {key}"
