"""Copies of the sessions that survive FLUSHALL: each is a library of Redis functions.

RedisGears keeps registrations outside of the database: they survive FLUSHALL, and are saved and replicated. Of all that
a client can write, only Redis functions have these three properties. Nobody calls the libraries. Their text is read
when the keys of the sessions are gone.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import redis

from rededge_nb.edge.client import pairs

PREFIX = "rededge_gears_"
LIBRARY = """#!lua name={name}
-- A session of gears. FLUSHALL does not delete functions, so RedisEdge keeps a copy here, and removes it.
redis.register_function('{name}', function() return '{description} {code}' end)
"""
CONTENT = re.compile(rb"return '([A-Za-z0-9+/=]+) ([A-Za-z0-9+/=]+)'")


def queue_store(pipeline: Any, session_id: str, description: bytes, code: bytes) -> None:
    """Add the command that stores a session to a pipeline."""
    text = LIBRARY.format(
        name=_name(session_id),
        description=base64.b64encode(description).decode(),
        code=base64.b64encode(code).decode(),
    )
    pipeline.execute_command("FUNCTION", "LOAD", "REPLACE", text)


def queue_removal(pipeline: Any, session_id: str) -> None:
    """Add the commands that remove a session, which may be gone already: DELETE alone would fail then."""
    queue_store(pipeline, session_id, b"{}", b"-")
    pipeline.execute_command("FUNCTION", "DELETE", _name(session_id))


def load_all(client: redis.Redis) -> list[tuple[bytes, bytes]]:
    """Description and code of all stored sessions."""
    found = []
    for flat in client.execute_command("FUNCTION", "LIST", "LIBRARYNAME", f"{PREFIX}*", "WITHCODE"):
        content = CONTENT.search(pairs(flat)[b"library_code"])
        if content is not None:
            found.append((base64.b64decode(content[1]), base64.b64decode(content[2])))
    return found


def _name(session_id: str) -> str:
    return PREFIX + session_id.encode().hex()
