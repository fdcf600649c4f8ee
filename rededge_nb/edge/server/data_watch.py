"""Notices that somebody has deleted the append-only file of a running redis-server, and has it written again.

Redis would continue to write to the deleted file, and the next start would find nothing. The data is in memory, so it
can be saved again, unless the folder itself was deleted: Redis cannot be moved to a new one. Then the only copy is in
memory, and ending the instance would lose it. So it continues, and `rededge status` reports the problem.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import StateFolder

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks."""
REWRITE_INTERVAL = 10.0
"""Seconds until the next attempt to save the data."""


class DataWatch:
    """Looks at the files of a redis-server in a thread, until it is closed."""

    def __init__(self, url: str, folder: StateFolder) -> None:
        self.problem = ""
        """What is wrong with the files, for `rededge status`; empty if nothing is."""
        self._client = client_from_url(url, timeout=5.0, name="rededge-data")
        self._folder = folder
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="data watch", daemon=True).start()

    def close(self) -> None:
        """Look at the files no more."""
        self._closed.set()

    def _run(self) -> None:
        next_rewrite = 0.0
        while not self._closed.wait(INTERVAL):
            problem = self._look()
            if problem and problem != self.problem:
                logger.error("%s", problem)
            self.problem = problem
            if problem and self._folder.data.exists() and time.monotonic() > next_rewrite:
                next_rewrite = time.monotonic() + REWRITE_INTERVAL
                with contextlib.suppress(redis.RedisError):  # it does not run, or it is saving already
                    self._client.bgrewriteaof()
        self._client.close()

    def _look(self) -> str:
        if self._folder.manifest_file.exists():
            return ""
        if self._folder.data.exists():
            return f"the files in {self._folder.data} were deleted: they are being written again"
        return (
            f"{self._folder.data} was deleted, so nothing is saved and the next start finds no data: copy what you "
            "need while this server runs"
        )
