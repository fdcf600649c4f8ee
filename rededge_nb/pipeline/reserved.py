"""One run of the pipeline at a time for each camera: a second one waits until the first has ended.

A run counts into the camera, and reads the figures from there at its end. Another run, or a capture that belongs to
none, would meanwhile replace or add samples, and the figures would be wrong without a word. So a run holds a lease on
its camera from its first notebook to its last figure, and `capture.feeding` refuses captures that do not belong to it.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import redis

from rededge_nb import schema
from rededge_nb.connection import shard_of
from rededge_nb.errors import WaitTimeoutError
from rededge_nb.lease import Holder, Lease, acquire_after_others
from rededge_nb.reading.captures import find_captures

logger = logging.getLogger(__name__)

WAITS: Final = "the run waits"
"""Begins the line on stderr that says so; the scheduler looks for it."""


class Reserved:
    """A camera that belongs to a run.

    Attributes:
        token: Is in the ids of all attempts of the run, so that their captures are known.
    """

    def __init__(self, client: redis.Redis, camera: str, token: str) -> None:
        self.token = token
        self._client = client
        self._camera = camera
        self._lost = threading.Event()
        self._reason = ""

    def note_loss(self, reason: str) -> None:
        """Note that the camera is not reserved any more."""
        self._reason = reason
        self._lost.set()

    def problem(self, run: str) -> str:
        """Why the figures of an attempt cannot be relied on; empty if they can.

        Args:
            run: Id of the attempt.
        """
        if self._lost.is_set():
            return f"camera {self._camera} was not reserved for this run to its end: {self._reason}"
        with shard_of(self._client, self._camera) as there:
            captures = find_captures(there, self._camera, run=run)
        # a capture that yields plays something to look at, and any other may end it
        ended = next((each for each in captures if each.ended_by and not each.yields), None)
        return "" if ended is None else f"a capture of camera {self._camera} was not finished: {ended.ended_by}"


@contextmanager
def reserved(client: redis.Redis, camera: str, *, timeout: float | None) -> Iterator[Reserved]:
    """Have a camera for this run alone, after the runs that have it now.

    Args:
        client: A client of the server.
        camera: Camera id.
        timeout: Seconds to wait for other runs; None waits as long as they take.

    Raises:
        WaitTimeoutError: they take longer.
    """
    mine = Reserved(client, camera, secrets.token_hex(3))
    with shard_of(client, camera) as there:
        lease = Lease(there, schema.run_key(camera), {schema.RUN_IDS_END: mine.token})
        _wait(lease, camera, timeout)
        lease.keep(on_lost=mine.note_loss, report=lambda _: {schema.RUN_IDS_END: mine.token})
        try:
            yield mine
        finally:
            lease.release()


def say_wait(what: str, holder: Holder) -> None:
    """Say that the run waits for another one.

    Args:
        what: What the other run does with what this one needs, such as `camera 0 is used`.
        holder: The other run.
    """
    logger.warning("%s: %s by another run, %s", WAITS, what, holder)


def _wait(lease: Lease, camera: str, timeout: float | None) -> None:
    wait = math.inf if timeout is None else timeout
    holder = acquire_after_others(lease, timeout=wait, on_wait=partial(say_wait, f"camera {camera} is used"))
    if holder is not None:
        raise WaitTimeoutError(
            f"camera {camera} is used by another run, {holder}, and this run has waited for {timeout:g} s "
            "(--timeout): wait longer, end the other run, or give this one another camera (--camera)"
        )
