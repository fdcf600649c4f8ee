"""What the keys of models held when a batch was read: asked in the same round trip, for `redisAI.createModelRunner`.

A question of its own for each frame would take as long as the rest of what reads it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rededge_nb.edge.ai.execution.sessions import SESSION_FIELDS
from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.client import Words

LONGEST = 0.1
"""Seconds after which an answer is none any more: a gear may take its time before it runs a model."""
MOST = 4
"""Keys that are asked about, those used last."""
LEAVE_MODELS = frozenset({
    "EXEC", "EXISTS", "GET", "HGET", "HGETALL", "HMGET", "INCR", "INCRBY", "LPUSH", "LRANGE", "MGET", "MULTI",
    "PUBLISH", "RPUSH", "SADD", "SMEMBERS", "TIME", "TS.ADD", "TS.CREATE", "TS.INCRBY", "TS.MADD", "TTL", "TYPE",
    "XADD", "XINFO", "XLEN", "XPENDING", "XRANGE", "XREVRANGE", "XTRIM", "ZADD", "ZRANGE",
})  # fmt: skip
"""Commands of a gear after which a model is still what it was: they read, or refuse a key that holds a hash, as a model
is. There are more, which gears rarely need."""


class LookedUp:
    """The answers for the batch in hand. Each is good for one runner, and for none after the gear has written.

    Questions about the next batch may be under way meanwhile; what the gear writes spoils their answers, too.
    """

    def __init__(self) -> None:
        self._used: list[bytes] = []
        self._found: dict[bytes, Any] = {}
        self._found_at = 0.0
        self._asked: list[bytes] = []
        self._asked_at = 0.0

    @property
    def asked(self) -> int:
        """How many questions have no answer yet."""
        return len(self._asked)

    def questions(self) -> list[Words]:
        """The commands to send behind the one that reads a batch."""
        self._asked, self._asked_at = self._used, time.monotonic()
        return [hashes.question(key, SESSION_FIELDS) for key in self._used]

    def answered(self, replies: Sequence[Any]) -> None:
        """Take the replies to questions(), errors among them as they are."""
        asked, self._asked = self._asked, []
        self._found = dict(zip(asked, replies, strict=True))
        self._found_at = self._asked_at

    def take(self, key: bytes) -> hashes.Found | None:
        """What `store.look_up` would find, if it is known; the key will be asked about with the next batch."""
        if key not in self._used:
            self._used = [*self._used[-MOST + 1 :], key]
        reply = self._found.pop(key, None)
        return None if reply is None or time.monotonic() - self._found_at > LONGEST else {key: reply}

    def sent(self, commands: Sequence[Words]) -> None:
        """Note what the gear sends."""
        if all(words[0].upper() in LEAVE_MODELS for words in commands):
            return
        self._found = {}
        self._asked_at = float("-inf")  # the answers that are still to come are too old
