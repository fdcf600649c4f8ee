"""Profiles for the option ProfileExecutions: Python's profiler over the executions of each session."""

from __future__ import annotations

import cProfile
import io
import pstats
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

DEFAULT_ORDER = "tottime"


class Profiles:
    """The profiles of this process, by session."""

    def __init__(self) -> None:
        self._stats: dict[str, pstats.Stats] = {}
        self._lock = threading.Lock()

    def run(self, session_id: str, work: Callable[[], Result]) -> Result:
        """Call `work` and add its profile to the session's."""
        profile = cProfile.Profile()
        try:
            profile.enable()
        except ValueError:
            return work()  # since Python 3.12 only one thread at a time can be profiled
        try:
            return work()
        finally:
            profile.disable()
            with self._lock:
                if session_id in self._stats:
                    self._stats[session_id].add(profile)
                else:
                    self._stats[session_id] = pstats.Stats(profile)

    def text(self, session_id: str, order: str) -> str:
        """The session's profile as pstats prints it.

        Raises:
            KeyError: pstats does not know the order.
        """
        with self._lock:
            stats = self._stats.get(session_id)
            if stats is None:
                return ""
            stream = io.StringIO()
            stats.stream = stream  # type: ignore[attr-defined]
            stats.sort_stats(order).print_stats()
            return stream.getvalue()

    def reset(self, session_id: str) -> None:
        """Delete the session's profile."""
        with self._lock:
            self._stats.pop(session_id, None)
