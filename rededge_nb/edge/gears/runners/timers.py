"""Timers that gears start with registerTE: a function that is called every so many seconds until it raises.

A timer with a key lives as long as that key: it is saved with the database, any worker runs it, and it ends when the
key is deleted. A timer without a key ends with the worker that started it.
"""

from __future__ import annotations

import base64
import json
import logging
import pickle
import threading
from collections.abc import Callable
from typing import Any

import redis

from rededge_nb.edge.client import CommandArgs, key_names, shard, transact
from rededge_nb.edge.client.state_database import in_state_database
from rededge_nb.edge.gears.runners.executor import GearExecutor
from rededge_nb.edge.gears.runtime.context import Context, entered
from rededge_nb.edge.gears.runtime.errors import GearsError, ServerAwayError, own_server
from rededge_nb.edge.gears.state import stored_code

logger = logging.getLogger(__name__)

HOLDER = "timer"
"""In place of a registration's id in a timer's lease."""
PYTHON_OF_FORMAT_0 = "3.11"
"""Timers of format 0 do not say which Python stored them. This one it was wherever that version was tested."""

Timer = tuple[float, Callable[[], Any]]
"""Seconds between two calls, and the function."""


class Timers:
    """The timers of one worker."""

    def __init__(self, executor: GearExecutor) -> None:
        self._executor = executor
        self._running: set[str] = set()
        self._not_here: set[str] = set()
        """Keys of timers that this worker cannot run, which it has logged."""

    def start(self, seconds: float, function: Callable[[], Any], key: str | None) -> None:
        """Start a timer; with a key it is stored in Redis.

        Raises:
            GearsError: the function cannot be stored.
        """
        if key is None:
            self._start(None, seconds, function)
            return
        client = self._executor.raw_client
        commands: list[CommandArgs] = [("SET", key, _dumps(seconds, stored_code.checked_callback(function)))]
        commands += in_state_database(client, [("SADD", key_names.timers(client), key)])
        with own_server():
            if shard.tag(client) is None:
                transact(client, commands)
            else:  # the two keys may be in different slots, which no transaction can span
                for command in commands:
                    client.execute_command(*command)
            self.follow()

    def follow(self) -> None:
        """Run the stored timers that no other worker runs; called a few times a second."""
        client, leases = self._executor.state_client, self._executor.leases
        for name in client.execute_command("SMEMBERS", key_names.timers(client)):
            key = name.decode(errors="replace")
            if key in self._running or not leases.acquire(HOLDER, _lease_name(key)):
                continue
            timer = self._load(key)
            if timer is None:
                leases.release(HOLDER, _lease_name(key))
            else:
                self._start(key, *timer)

    def _load(self, key: str) -> Timer | None:
        """A stored timer; None where its key is gone or has nothing that can run here. Any client may write the key."""
        try:
            stored = self._executor.raw_client.execute_command("GET", key)
            if stored is not None:
                seconds, function = _loads(stored)
                if not callable(function):
                    raise TypeError(f"{function!r} is no function")
                self._not_here.discard(key)
                return float(seconds), function
        except (ImportError, GearsError) as error:
            # a module may be being installed here, and another worker may have it, or the right Python
            if key not in self._not_here:
                logger.warning("the timer %s does not run in this worker: %s", key, error)
            self._not_here.add(key)
            return None
        except redis.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            logger.error("the timer %s has ended, its key holds something else: %s", key, error)
        except redis.RedisError:
            raise
        except BaseException:  # loading may raise anything, and the other timers must go on
            logger.exception("the timer %s has ended, its key holds what this Python cannot load", key)
        self._not_here.discard(key)
        client = self._executor.state_client
        client.execute_command("SREM", key_names.timers(client), key)
        return None

    def _start(self, key: str | None, seconds: float, function: Callable[[], Any]) -> None:
        if key is not None:
            self._running.add(key)
        threading.Thread(
            target=self._run, args=(key, seconds, function), name=f"timer-{key}", daemon=True
        ).start()  # fmt: skip

    def _run(self, key: str | None, seconds: float, function: Callable[[], Any]) -> None:
        try:
            with entered(Context(self._executor)) as context:
                self._call_repeatedly(context, key, seconds, function)
        finally:
            if key is not None:
                self._running.discard(key)
                try:
                    self._executor.leases.release(HOLDER, _lease_name(key))
                except redis.RedisError as error:
                    logger.info("the lease of the timer %s runs out by itself: %s", key, error)

    def _call_repeatedly(
        self, context: Context, key: str | None, seconds: float, function: Callable[[], Any]
    ) -> None:  # fmt: skip
        leases, pause = self._executor.leases, threading.Event()
        while not pause.wait(seconds):
            try:
                if key is not None and not (leases.owns(HOLDER, _lease_name(key)) and context.command("EXISTS", key)):
                    return
                function()
            except ServerAwayError:
                continue
            except BaseException as error:  # noqa: BLE001 - a user's function may raise anything: so a timer ends
                logger.warning("a timer ends, its function raised %s: %s", type(error).__name__, error)
                if key is not None:
                    context.command("DEL", key)
                return


def _lease_name(key: str) -> str:
    return f"timer {key}"


def _dumps(seconds: float, function: Callable[[], Any]) -> str:
    """A timer as its key holds it."""
    return json.dumps(
        {
            "format": stored_code.FORMAT,
            "python": stored_code.python_version(),
            "seconds": seconds,
            "function": base64.b64encode(stored_code.dumps(function)).decode(),
        }
    )


def _loads(stored: bytes) -> Timer:
    """A timer from its key. Format 0 is a pickle of both parts, without a number.

    Raises:
        GearsError: another version of Python stored it, or a newer version of this package.
        Exception: whatever is raised while the function is loaded, such as ImportError.
    """
    if stored.startswith(pickle.PROTO):
        stored_code.check_loadable(0, PYTHON_OF_FORMAT_0)
        seconds, function = stored_code.loads(stored)
        return seconds, function
    content = json.loads(stored)
    stored_code.check_loadable(content["format"], content["python"])
    return content["seconds"], stored_code.loads(base64.b64decode(content["function"]))
