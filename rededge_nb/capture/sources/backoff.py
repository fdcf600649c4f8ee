"""How long to wait before trying again."""

from __future__ import annotations

import random
from collections.abc import Iterator

FIRST_DELAY = 0.5
"""Seconds before the second try."""
LONGEST_DELAY = 30.0
"""Seconds that the delays grow up to."""


def delays(*, first: float | None = None, longest: float = LONGEST_DELAY) -> Iterator[float]:
    """Delays in seconds, each about twice the last; varied, so that many who failed together do not return together."""
    ceiling = FIRST_DELAY if first is None else first
    while True:
        yield ceiling * random.uniform(0.5, 1.0)
        ceiling = min(longest, 2 * ceiling)
