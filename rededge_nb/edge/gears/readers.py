"""Readers: where a gear's records come from, and what their arguments mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import redis

from rededge_nb.edge.gears.errors import GearsError
from rededge_nb.edge.gears.values import text_or_bytes

PAGE = 100
"""Entries that a run over a stream reads at a time."""
FAILURE_POLICIES = ("continue", "abort", "retry")


class StreamRecord(dict[str, Any]):
    """A stream entry: `id`, `key`, `value`.

    Up to RedisGears 0.9 the record was flat; the entry's fields, and `streamId`, are still found at the top level.
    """

    def __missing__(self, name: str) -> Any:
        """The field `name` of the entry, as old gears ask for it."""
        return self["id"] if name == "streamId" else self["value"][name]


def stream_record(key: str, entry_id: bytes, fields: dict[bytes, bytes] | list[bytes]) -> StreamRecord:
    """The record that the first step gets for a stream entry."""
    pairs = fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
    value = {name.decode(errors="replace"): text_or_bytes(content) for name, content in pairs}
    return StreamRecord(id=entry_id.decode(), key=key, value=value)


def read_stream(client: redis.Redis, key: str, *, from_id: str = "0-0") -> Iterator[StreamRecord]:
    """The entries of one stream after `from_id`, oldest first."""
    start = from_id
    while True:
        entries = client.execute_command("XRANGE", key, f"({start}", "+", "COUNT", PAGE)
        for entry_id, fields in entries:
            yield stream_record(key, entry_id, fields)
            start = entry_id.decode()
        if len(entries) < PAGE:
            return


@dataclass(frozen=True)
class Reader:
    """What a builder may do with a reader."""

    run: Callable[[redis.Redis, Any, dict[str, Any]], Iterator[Any]]
    """Gives the records of a run: client, first argument, keyword arguments."""
    register_arguments: Callable[[str, str, dict[str, Any]], dict[str, Any]]
    """Checks a registration's arguments: prefix, mode, keyword arguments; gives them in full."""


def _run_stream(client: redis.Redis, argument: Any, keywords: dict[str, Any]) -> Iterator[Any]:
    return read_stream(client, str(argument), from_id=str(keywords.get("fromId", "0-0")))


def _register_stream(prefix: str, mode: str, keywords: dict[str, Any]) -> dict[str, Any]:
    policy = str(keywords.get("onFailedPolicy", "continue")).lower()
    if policy not in FAILURE_POLICIES:
        raise GearsError("onFailedPolicy must be Continue/Abort/Retry")
    if mode == "sync":
        raise GearsError("ExecutionMode sync is not possible here: gears run outside the Redis process, use async")
    trim = keywords.get("trimStream", True)
    if not isinstance(trim, bool):
        raise GearsError("trimStream argument must be a boolean")
    return {
        "batchSize": _number(keywords, "batch", 1, minimum=1),
        "durationMS": _number(keywords, "duration", 0),
        "stream": prefix,
        "trimStream": int(trim),
        "onFailedPolicy": policy,
        "retryInterval": _number(keywords, "onFailedRetryInterval", 1),
    }


def _number(keywords: dict[str, Any], name: str, default: int, *, minimum: int = 0) -> int:
    value = keywords.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise GearsError(f"{name} argument must be a number of at least {minimum}")
    return value


READERS: dict[str, Reader] = {"StreamReader": Reader(_run_stream, _register_stream)}
