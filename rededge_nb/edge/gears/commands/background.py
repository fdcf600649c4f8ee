"""Replies that take long: a thread of their own makes them, so that their queue can take other calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from rededge_nb.edge.chaining import complete


def run_in_background(work: Callable[[], object], until: threading.Event | None = None) -> Future[object]:
    """Call `work` in a thread of its own; the future gets the reply that it returns.

    Args:
        work: Makes the reply.
        until: Return only once this event is set, or `work` has ended. So a queue does not take more calls than it has
            threads for.
    """
    future: Future[object] = Future()

    def run() -> None:
        complete(future, work)
        if until is not None:
            until.set()

    threading.Thread(target=run, name="background reply", daemon=True).start()
    if until is not None:
        until.wait()
    return future
