"""Replies of Redis, shown as redis-cli prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

MAX_BINARY = 128
"""A longer binary string, such as an image, is shown with only its beginning."""
BINARY_SHOWN = 24

_STATUS = frozenset({b"OK", b"PONG", b"QUEUED", b"RESET"})
_READS_TEXT = frozenset({"ECHO", "GET", "GETDEL", "GETEX", "GETSET", "HGET", "LINDEX", "LPOP", "RPOP", "SPOP"})
"""Commands whose reply may be one of these words as data."""
_REPORTS = frozenset({"INFO", "LOLWUT", "CLIENT LIST", "CLIENT INFO", "CLUSTER INFO", "CLUSTER NODES"})
_REPORTS |= {"LATENCY DOCTOR", "LATENCY GRAPH", "MEMORY DOCTOR", "MEMORY MALLOC-STATS"}
"""Commands that reply with a report, which redis-cli prints without quotes."""
_ESCAPES = {0x07: "\\a", 0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}


class Reply:
    """A reply that is shown as redis-cli shows it. `value` is what the server sent; a reply is equal to its value.

    Args:
        value: Bytes, an int, None, an error, or a list of these.
        command: The command that was sent; how a reply is shown depends on it.
    """

    def __init__(self, value: Any, command: Sequence[object] = ()) -> None:
        self.value = value
        self._command = [_word(word) for word in command[:2]]

    def __repr__(self) -> str:
        if isinstance(self.value, bytes):
            first = self._command[0] if self._command else ""
            if first in _REPORTS or " ".join(self._command) in _REPORTS:
                return self.value.decode(errors="backslashreplace").replace("\r\n", "\n").rstrip("\n")
            if first == "TYPE" or (self.value in _STATUS and first not in _READS_TEXT):
                return self.value.decode()
        return as_text(self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Reply) else other))

    __hash__ = None  # type: ignore[assignment]


class Replies(list[Reply]):
    """Replies to several commands, shown one below the other."""

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))


def as_text(value: object, indent: str = "") -> str:
    """A value as redis-cli prints it; `indent` is the beginning of all lines but the first."""
    if isinstance(value, list):
        return _array(value, indent)
    if value is None:
        return "(nil)"
    if isinstance(value, int):
        return f"(integer) {value}"
    if isinstance(value, redis.RedisError):
        return f"(error) {error_line(value)}"
    return quoted(value) if isinstance(value, bytes) else str(value)


def error_line(error: redis.RedisError) -> str:
    """An error as the server sent it: redis-py removes the word `ERR`."""
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code else str(error)


def quoted(text: bytes) -> str:
    """A string in quotes; characters that are not printable ASCII are escaped, and long binary strings are cut."""
    escaped = [_ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in text]
    if len(text) <= MAX_BINARY or sum(map(len, escaped)) < 2 * len(text):
        return f'"{"".join(escaped)}"'
    return f'"{"".join(escaped[:BINARY_SHOWN])}"... ({len(text):,} bytes)'


def _array(values: list[Any], indent: str) -> str:
    if not values:
        return "(empty array)"
    width = len(str(len(values)))
    deeper = indent + " " * (width + 2)
    lines = [f"{number:>{width}}) {as_text(value, deeper)}" for number, value in enumerate(values, 1)]
    return f"\n{indent}".join(lines)


def _word(word: object) -> str:
    return (word.decode(errors="replace") if isinstance(word, bytes) else str(word)).upper()
