"""Readers: where the records of a gear come from, and what the arguments of run() mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rededge_nb.edge.client import key_names, pairs
from rededge_nb.edge.client.state_database import is_own_key
from rededge_nb.edge.gears.chain.register_arguments import RegisterRequest, commands, keys, stream
from rededge_nb.edge.gears.runtime.context import current
from rededge_nb.edge.gears.runtime.errors import GearsError
from rededge_nb.edge.gears.runtime.values import from_redis, text_or_bytes

PAGE = 100
"""Entries that a run over a stream reads at a time."""
SCAN_COUNT = 1_000
"""Keys that a run over keys asks for at a time."""
READ_KEY = """
-- TYPE of a missing key raises the event keymiss, which would start the next execution; OBJECT does not
if not redis.call('OBJECT', 'ENCODING', KEYS[1]) then return {'none'} end
local kind = redis.call('TYPE', KEYS[1]).ok
if ARGV[1] == '1' then
  if kind == 'string' then return {kind, redis.call('GET', KEYS[1])} end
  if kind == 'hash' then return {kind, redis.call('HGETALL', KEYS[1])} end
  if kind == 'list' then return {kind, redis.call('LRANGE', KEYS[1], 0, -1)} end
end
return {kind}
"""
"""In one step: a key's type as TYPE names it, `none` if there is no such key; and its value, if ARGV[1] is 1."""
PLAIN_TYPES = ("string", "hash", "list", "set", "zset")

SendCommand = Callable[..., Any]
"""Sends one command and returns the reply as Redis sent it."""


class StreamRecord(dict[str, Any]):
    """A stream entry: `id`, `key`, `value`.

    Up to RedisGears 0.9 the record was flat. So the entry's fields, and `streamId`, are found at the top level, too.
    """

    def __missing__(self, name: str) -> Any:
        """The field `name` of the entry, for old gears."""
        return self["id"] if name == "streamId" else self["value"][name]


def stream_record(key: str, entry_id: bytes, fields: dict[bytes, bytes] | list[bytes]) -> StreamRecord:
    """The record that the first step gets for a stream entry."""
    content = fields if isinstance(fields, dict) else pairs(fields)
    value = {name.decode(errors="replace"): text_or_bytes(text) for name, text in content.items()}
    return StreamRecord(id=entry_id.decode(), key=key, value=value)


def read_stream(send: SendCommand, key: str, *, from_id: str = "0-0") -> Iterator[StreamRecord]:
    """The entries of one stream after `from_id`, oldest first."""
    start = from_id
    while True:
        entries = send("XRANGE", key, f"({start}", "+", "COUNT", PAGE)
        for entry_id, fields in entries:
            yield stream_record(key, entry_id, fields)
            start = entry_id.decode()
        if len(entries) < PAGE:
            return


def key_type(send: SendCommand, key: bytes) -> str:
    """A key's type as `keyTypes` names it."""
    kind: str = send("EDGE.QUIET", "EVAL", READ_KEY, 1, key, 0)[0].decode()
    return "empty" if kind == "none" else kind if kind in (*PLAIN_TYPES, "stream") else "module"


def key_record(
    send: SendCommand, key: bytes, *, event: str | None, read_value: bool, stored: Sequence[Any] | None = None
) -> dict[str, Any]:
    """The record that the first step gets for a key.

    Args:
        send: Sends commands of the gear.
        key: The key.
        event: What has happened to it.
        read_value: Whether the record has the key's type and value.
        stored: These two, as READ_KEY returns them, if they have been read.
    """
    record: dict[str, Any] = {"key": text_or_bytes(key)}
    if not read_value:
        return record | {"event": event}
    kind, *values = send("EDGE.QUIET", "EVAL", READ_KEY, 1, key, 1) if stored is None else stored
    value: Any = from_redis(values[0]) if values else None
    if kind == b"hash":
        value = pairs(value)
    name = kind.decode()
    shown = {"none": "empty", "stream": "unknown"}.get(name, name if name in PLAIN_TYPES else "module")
    return record | {"value": value, "type": shown, "event": event}


def scan_keys(send: SendCommand, pattern: str, count: Any = SCAN_COUNT) -> Iterator[bytes]:
    """The keys that match a pattern, each once; keys of the workers only if the pattern names them."""
    client, asked_for = current().executor.raw_client, key_names.PREFIX in pattern
    seen: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, page = send("SCAN", cursor, "MATCH", pattern, "COUNT", count)
        for key in page:
            if key not in seen and (asked_for or not is_own_key(client, key)):
                seen.add(key)
                yield key
        if cursor == b"0":
            return


@dataclass(frozen=True)
class Reader:
    """What a builder may do with a reader."""

    run: Callable[[SendCommand, Any, dict[str, Any]], Iterator[Any]] | None = None
    """Makes the records of run(). Arguments: a function that sends commands, the first argument, the keywords."""
    register: Callable[[RegisterRequest], dict[str, Any]] | None = None
    """Checks the arguments of register(), and returns them with all defaults."""
    check_argument: Callable[[Any], Any] = lambda argument: argument
    """Checks the first argument of run()."""


def _run_keys(send: SendCommand, argument: Any, keywords: dict[str, Any]) -> Iterator[Any]:
    read_value, exact = _flag(keywords, "readValue", True), _flag(keywords, "noScan", False)
    pattern = _pattern(argument)
    keys_found = [pattern.encode()] if exact else scan_keys(send, pattern)
    for key in keys_found:
        yield key_record(send, key, event=None, read_value=read_value)


def _run_keys_only(send: SendCommand, argument: Any, keywords: dict[str, Any]) -> Iterator[Any]:
    pattern, exact = _pattern(argument), _flag(keywords, "noScan", False)
    generator = keywords.get("patternGenerator")
    if generator is not None:
        pattern, exact = generator()
    if exact:
        if send("EXISTS", pattern):
            yield pattern
        return
    for key in scan_keys(send, pattern, keywords.get("count", SCAN_COUNT)):
        yield text_or_bytes(key)


def _run_stream(send: SendCommand, argument: Any, keywords: dict[str, Any]) -> Iterator[Any]:
    from_id = keywords.get("fromId", "0-0")
    if not isinstance(from_id, str):
        raise GearsError("fromId argument must be a string")
    return read_stream(send, _pattern(argument), from_id=from_id)


def _run_python(_: SendCommand, argument: Any, __: dict[str, Any]) -> Iterator[Any]:
    if inspect.isgeneratorfunction(argument):
        yield from argument()
        return
    while True:
        yield argument()


def _run_shards(_: SendCommand, __: Any, ___: dict[str, Any]) -> Iterator[Any]:
    yield "1"


def _pattern(argument: Any) -> str:
    if not isinstance(argument, str):
        raise GearsError("regex argument must be a string")
    return argument


def _flag(keywords: dict[str, Any], name: str, default: bool) -> bool:
    value = keywords.get(name, default)
    if not isinstance(value, bool):
        raise GearsError(f"{name} value is not boolean")
    return value


def _a_function(argument: Any) -> Any:
    if not callable(argument):
        raise GearsError("pyreader argument must be a function")
    return argument


READERS: dict[str, Reader] = {
    "KeysReader": Reader(_run_keys, keys),
    "KeysOnlyReader": Reader(_run_keys_only),
    "StreamReader": Reader(_run_stream, stream),
    "PythonReader": Reader(_run_python, check_argument=_a_function),
    "ShardsIDReader": Reader(_run_shards),
    "CommandReader": Reader(register=commands),
}
