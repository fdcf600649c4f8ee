"""What capture and the reading side share about Redis streams: entries, their ids, waiting for new ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rededge_nb.errors import ConfigurationError, ServerUnavailableError

Entry = tuple[str, dict[bytes, bytes]]
"""An entry id and the fields of its entry."""

BLOCK_MS = 500
"""Longest single blocking read: long waits are made of several, so that a stop is noticed."""

_MOST_DIGITS = 18
"""More do not fit in the 64 bits that times and counts have in NumPy and Redis."""

_SOCKET_TIMEOUT = 15.0
"""Far above `BLOCK_MS`; a server that is silent for so long is gone."""


def time_ms(entry_id: str) -> int:
    """The server's time when an entry was added, in milliseconds since the epoch."""
    return int(entry_id.split("-")[0])


def id_order(entry_id: str) -> tuple[int, int]:
    """Sort key of entry ids."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def is_id(text: str) -> bool:
    """Whether a text is a complete entry id."""
    return re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", text) is not None


def number(fields: dict[bytes, bytes], name: str, otherwise: int) -> int:
    """A field that is a whole number of at most 18 digits; `otherwise` where it is not there or something else."""
    value = fields.get(name.encode(), b"")
    return int(value) if value.isdigit() and len(value) <= _MOST_DIGITS else otherwise


@contextmanager
def server_errors(client: redis.Redis) -> Iterator[None]:
    """Turn a lost or refused connection into `ServerUnavailableError`."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise ServerUnavailableError(
            f"the Redis server at {_address(client)} refuses the password ({error}): `rededge url` prints the address "
            "with the one that an embedded server takes"
        ) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ServerUnavailableError(
            f"the Redis server at {_address(client)} does not answer ({error}): see whether it runs with "
            "`rededge status`, start it with `rededge up`"
        ) from error


@contextmanager
def own_connection(client: redis.Redis) -> Iterator[redis.Redis]:
    """A client for the same server with replies in bytes, made for blocking reads.

    redis-py repeats a command ten times when a connection breaks. A frame would be added twice, and a server that
    went away noticed late, so this one does not.
    """
    pool = client.connection_pool
    # redis-py refuses its own maintenance notifications, on by default, under any protocol but 3
    copied = {name: value for name, value in pool.connection_kwargs.items() if "maint_notifications" not in name}
    settings: dict[str, Any] = {
        **copied,
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": _SOCKET_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
    }
    own = redis.Redis.from_pool(redis.ConnectionPool(connection_class=pool.connection_class, **settings))
    try:
        with server_errors(client):
            yield own
    finally:
        own.close()


def entries(
    client: redis.Redis,
    key: str,
    *,
    start: str = "-",
    end: str = "+",
    count: int | None = None,
    newest_first: bool = False,
) -> list[Entry]:
    """Entries of a stream from id `start` to id `end`, both included; `count` at most.

    Raises:
        ConfigurationError: `start` or `end` is no id of an entry.
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
            f"no entries of {key} from {start[:60]!r} to {end[:60]!r}: give ids such as 1795494237431-0, '-' or '+'"
        ) from error
    return _entries(found)


def last_id(client: redis.Redis, key: str) -> str:
    """Id of a stream's newest entry, `0-0` when it is empty or does not exist."""
    newest = entries(client, key, count=1, newest_first=True)
    return newest[0][0] if newest else "0-0"


def new_entries(client: redis.Redis, after: dict[str, str], *, block_ms: int = BLOCK_MS) -> list[tuple[str, Entry]]:
    """Wait until one of several streams has entries younger than those noted, and note the youngest.

    Args:
        client: One from `own_connection`.
        after: Id of the last entry seen, by stream key. Updated.
        block_ms: How long to wait at most; the result is empty then.
    """
    reply = client.xread(cast(Any, after), count=1000, block=max(1, block_ms))
    found = [(key.decode(), entry) for key, raw in cast(Any, reply) or [] for entry in _entries(raw)]
    for key, (entry_id, _) in found:
        after[key] = entry_id
    return found


def _entries(raw: object) -> list[Entry]:
    # An entry that was deleted after its id was taken up has no fields.
    return [(entry_id.decode(), fields or {}) for entry_id, fields in cast(Any, raw)]


def _address(client: redis.Redis) -> str:
    settings = client.connection_pool.connection_kwargs
    return str(settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}")
