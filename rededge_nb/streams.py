"""Redis streams: reading entries, their ids, and waiting for new ones."""

from __future__ import annotations

import re
from typing import Any, cast

import redis

from rededge_nb.edge.client import server_errors
from rededge_nb.errors import ConfigurationError

Entry = tuple[str, dict[bytes, bytes]]
"""The id and the fields of an entry."""

BLOCK_MS = 500
"""Milliseconds of one blocking read. Longer waits are done in several reads, so that a stop is noticed soon."""

_MAX_DIGITS = 18
"""Longer numbers do not always fit in 64 bits, which times and counts have in NumPy and Redis."""


def time_ms(entry_id: str) -> int:
    """When an entry was added by the server's clock, in milliseconds since the epoch."""
    return int(entry_id.split("-")[0])


def id_order(entry_id: str) -> tuple[int, int]:
    """A sort key for entry ids."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def is_id(text: str) -> bool:
    """Whether a text is a complete entry id."""
    return re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", text) is not None


def number(fields: dict[bytes, bytes], name: str, default: int) -> int:
    """A field that is a whole number of at most 18 digits; `default` if it is missing or something else."""
    value = fields.get(name.encode(), b"")
    return int(value) if value.isdigit() and len(value) <= _MAX_DIGITS else default


def entries(
    client: redis.Redis,
    key: str,
    *,
    start: str = "-",
    end: str = "+",
    count: int | None = None,
    newest_first: bool = False,
) -> list[Entry]:
    """Entries of a stream from id `start` to id `end`, both included, but at most `count`.

    Raises:
        ConfigurationError: `start` or `end` is not an entry id.
        ServerUnavailableError: The server does not answer.
    """
    try:
        with server_errors(client):
            found = (
                client.xrevrange(key, max=end, min=start, count=count)
                if newest_first
                else client.xrange(key, min=start, max=end, count=count)
            )
    except redis.ResponseError as error:
        if "Invalid stream ID" not in str(error):
            raise
        raise ConfigurationError(
            f"entries of {key} from {start[:60]!r} to {end[:60]!r}: these are not entry ids; write ids such as "
            "1795494237431-0, '-' or '+'"
        ) from error
    return _entries(found)


def last_id(client: redis.Redis, key: str) -> str:
    """The id of a stream's newest entry; `0-0` if the stream is empty or does not exist."""
    newest = entries(client, key, count=1, newest_first=True)
    return newest[0][0] if newest else "0-0"


def new_entries(client: redis.Redis, after: dict[str, str], *, block_ms: int = BLOCK_MS) -> list[tuple[str, Entry]]:
    """Wait for new entries in several streams, and return them with the keys of their streams.

    Args:
        client: A client from `blocking_client()`.
        after: For each stream the id of the last entry that is known; it is updated to the last entry returned.
        block_ms: Milliseconds to wait; if there is no entry by then, the result is empty.
    """
    reply = client.xread(cast(Any, after), count=1000, block=max(1, block_ms))
    found = [(key.decode(), entry) for key, raw in cast(Any, reply) or [] for entry in _entries(raw)]
    for key, (entry_id, _) in found:
        after[key] = entry_id
    return found


def _entries(raw: object) -> list[Entry]:
    # An entry that is deleted while it is being read has no fields.
    return [(entry_id.decode(), fields or {}) for entry_id, fields in cast(Any, raw)]
