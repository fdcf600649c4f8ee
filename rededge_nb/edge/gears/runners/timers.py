"""Timers that gears start with registerTE: a function called every so many seconds until it raises.

A timer with a key lives as that key: it is saved with the database, whichever worker is there runs it, and it ends when
the key is deleted. One without ends with the worker that started it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import cloudpickle
import redis

from rededge_nb.edge.client import key_names, shard
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import ServerAwayError, own_server
from rededge_nb.edge.gears.state.registrations import checked_callback

logger = logging.getLogger(__name__)

HOLDER = "timer"


class Timers:
    """The timers of one worker."""

    def __init__(self, executor: GearExecutor) -> None:
        self._executor = executor
        self._running: set[str] = set()
        self._waiting: set[str] = set()
        """Timers that need a module which is not there."""

    def start(self, seconds: float, function: Callable[[], Any], key: str | None) -> None:
        """Start a timer; with a key it is kept in Redis.

        Raises:
            GearsError: the function cannot be kept.
        """
        if key is None:
            self._begin(None, seconds, function)
            return
        client = self._executor.raw_client
        # in a cluster the two keys may lie in different slots, which no transaction can span
        pipeline = client.pipeline(transaction=shard.tag(client) is None)
        pipeline.execute_command("SET", key, cloudpickle.dumps((seconds, checked_callback(function))))
        pipeline.execute_command("SADD", key_names.timers(client), key)
        with own_server():
            pipeline.execute()
            self.follow()

    def follow(self) -> None:
        """Run the timers in Redis that no other worker runs; called a few times a second."""
        client, leases = self._executor.raw_client, self._executor.leases
        for name in client.execute_command("SMEMBERS", key_names.timers(client)):
            key = name.decode(errors="replace")
            if key in self._running or not leases.acquire(HOLDER, _place(key)):
                continue
            kept = self._load(key)
            if kept is None:
                leases.release(HOLDER, _place(key))
            else:
                self._begin(key, *kept)

    def _load(self, key: str) -> tuple[float, Callable[[], Any]] | None:
        """Seconds and function of a timer; None where it has none that can run here: anybody may write its key."""
        client = self._executor.raw_client
        try:
            kept = client.execute_command("GET", key)
            if kept is not None:
                seconds, function = cloudpickle.loads(kept)
                if not callable(function):
                    raise TypeError(f"{function!r} is no function")
                self._waiting.discard(key)
                return float(seconds), function
        except ImportError as error:
            # what it needs may be being installed here, or be there in another worker
            if key not in self._waiting:
                logger.warning("the timer %s does not run here: %s", key, error)
            self._waiting.add(key)
            return None
        except redis.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            logger.error("the timer %s has ended, its key holds something else: %s", key, error)
        except redis.RedisError:
            raise
        except BaseException:  # whatever unpickling comes to; the other timers go on
            logger.exception("the timer %s has ended, its key holds what this Python cannot load", key)
        self._waiting.discard(key)
        client.execute_command("SREM", key_names.timers(client), key)
        return None

    def _begin(self, key: str | None, seconds: float, function: Callable[[], Any]) -> None:
        if key is not None:
            self._running.add(key)
        threading.Thread(
            target=self._run, args=(key, seconds, function), name=f"timer-{key}", daemon=True
        ).start()  # fmt: skip

    def _run(self, key: str | None, seconds: float, function: Callable[[], Any]) -> None:
        try:
            with entered(Context(self._executor)) as context:
                self._tick(context, key, seconds, function)
        finally:
            if key is not None:
                self._running.discard(key)
                try:
                    self._executor.leases.release(HOLDER, _place(key))
                except redis.RedisError as error:
                    logger.info("the lease of the timer %s runs out by itself: %s", key, error)

    def _tick(self, context: Context, key: str | None, seconds: float, function: Callable[[], Any]) -> None:
        leases, pause = self._executor.leases, threading.Event()
        while not pause.wait(seconds):
            try:
                if key is not None and not (leases.owns(HOLDER, _place(key)) and context.command("EXISTS", key)):
                    return
                function()
            except ServerAwayError:
                continue
            except BaseException as error:  # noqa: BLE001 - the gear's own, and how a timer ends
                logger.warning("a timer ends, its function raised %s: %s", type(error).__name__, error)
                if key is not None:
                    context.command("DEL", key)
                return


def _place(key: str) -> str:
    return f"timer {key}"
