"""A camera that sends frames now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.clips.filling import add_frame
from tests.waiting import wait_for


@pytest.fixture
def feeding():
    """Adds frames with the present time in a thread; the block gets a function that returns the newest time."""

    @contextmanager
    def feed(client: redis.Redis, *, every_ms: int) -> Iterator[Callable[[], int]]:
        stop = threading.Event()
        times: list[int] = []

        def work() -> None:
            while not stop.wait(every_ms / 1000):
                now_ms = max(time.time_ns() // 1_000_000, times[-1] + 1 if times else 0)
                add_frame(client, now_ms)
                times.append(now_ms)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            wait_for(lambda: times, what="the first frame")
            yield lambda: times[-1]
        finally:
            stop.set()
            thread.join()

    return feed
