"""What the keys of models held when a batch was read: asked in the same round trip, for `redisAI.createModelRunner`.

A question of its own for each frame would take as long as the rest of what reads it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rededge_nb.edge.ai import store
from rededge_nb.edge.ai.sessions import SESSION_FIELDS
from rededge_nb.edge.client import Words

LONGEST = 0.1
"""Seconds after which an answer is none any more: a gear may take its time before it runs a model."""
MOST = 4
"""Keys that are asked about, those used last."""
CHANGE_NOTHING = frozenset({
    "EXISTS", "GET", "HGET", "HGETALL", "HMGET", "LRANGE", "MGET", "SMEMBERS", "TIME", "TTL", "TYPE", "XINFO", "XLEN",
    "XPENDING", "XRANGE", "XREVRANGE", "ZRANGE",
})  # fmt: skip
"""Commands of a gear after which a model is still what it was; there are more, which gears rarely need."""


class LookedUp:
    """The answers for the batch in hand. Each is good for one runner, and for none after the gear has written."""

    def __init__(self) -> None:
        self._used: list[bytes] = []
        self._found: dict[bytes, Any] = {}
        self._asked = 0.0

    def questions(self) -> list[Words]:
        """The commands to send behind the one that reads a batch."""
        return [store.question(key, SESSION_FIELDS) for key in self._used]

    def answered(self, replies: Sequence[Any]) -> None:
        """Take the replies to questions(), errors among them as they are."""
        self._found = dict(zip(self._used, replies, strict=True))
        self._asked = time.monotonic()

    def take(self, key: bytes) -> store.Found | None:
        """What `store.look_up` would find, if it is known; the key will be asked about with the next batch."""
        if key not in self._used:
            self._used = [*self._used[-MOST + 1 :], key]
        reply = self._found.pop(key, None)
        return None if reply is None or time.monotonic() - self._asked > LONGEST else {key: reply}

    def sent(self, commands: Sequence[Words]) -> None:
        """Note what the gear sends."""
        if self._found and not all(words[0].upper() in CHANGE_NOTHING for words in commands):
            self._found = {}
