"""Replies that take long, so that the queue they came from goes on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future


def later(work: Callable[[], object], settled: threading.Event | None = None) -> Future[object]:
    """The reply that `work` gives, in a thread of its own; returns once `settled` is set, at once where there is none.

    Waiting for `settled` keeps a queue from taking more calls than it has threads.
    """
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is told to the caller
            future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        finally:
            if settled is not None:
                settled.set()

    threading.Thread(target=run, name="later", daemon=True).start()
    if settled is not None:
        settled.wait()
    return future
