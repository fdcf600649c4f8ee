"""Copies of the sessions where FLUSHALL does not reach: each as a library of Redis functions.

RedisGears keeps registrations beside the database: they survive FLUSHALL, are saved and replicated. Of what a client
can write, only Redis functions do all three. The libraries are never called; what they hold is read back when the keys
of the sessions are found to be gone.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import redis

PREFIX = "rededge_gears_"
LIBRARY = """#!lua name={name}
-- A session of gears, kept here because FLUSHALL spares functions. RedisEdge writes and removes it.
redis.register_function('{name}', function() return '{description} {code}' end)
"""
CONTENT = re.compile(rb"return '([A-Za-z0-9+/=]+) ([A-Za-z0-9+/=]+)'")


def queue_store(pipeline: Any, session_id: str, description: bytes, code: bytes) -> None:
    """Add to `pipeline` what keeps a session."""
    text = LIBRARY.format(
        name=_name(session_id),
        description=base64.b64encode(description).decode(),
        code=base64.b64encode(code).decode(),
    )
    pipeline.execute_command("FUNCTION", "LOAD", "REPLACE", text)


def queue_removal(pipeline: Any, session_id: str) -> None:
    """Add to `pipeline` what removes a session, kept or not: somebody may have flushed the functions."""
    queue_store(pipeline, session_id, b"{}", b"-")
    pipeline.execute_command("FUNCTION", "DELETE", _name(session_id))


def load_all(client: redis.Redis) -> list[tuple[bytes, bytes]]:
    """Description and code of all sessions that are kept."""
    found = []
    for flat in client.execute_command("FUNCTION", "LIST", "LIBRARYNAME", f"{PREFIX}*", "WITHCODE"):
        library = dict(zip(flat[::2], flat[1::2], strict=True))
        content = CONTENT.search(library[b"library_code"])
        if content is not None:
            found.append((base64.b64decode(content[1]), base64.b64decode(content[2])))
    return found


def _name(session_id: str) -> str:
    return PREFIX + session_id.encode().hex()
