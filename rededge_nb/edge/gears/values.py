"""Conversions between Redis replies, the Python values of gears, and replies to clients."""

from __future__ import annotations

import redis

from rededge_nb.edge.commands import CommandError, Simple

NOT_A_REPLY = "PY RECORD"
"""What clients get for a record that has no form in RESP, as from RedisGears."""


def from_redis(reply: object) -> object:
    """A reply as gear code sees it: text is str, or bytearray where it is not UTF-8; errors in arrays are str."""
    match reply:
        case bytes():
            return text_or_bytes(reply)
        case list():
            return [from_redis(element) for element in reply]
        case redis.RedisError():
            return str(reply)
        case _:
            return reply


def text_or_bytes(value: bytes) -> str | bytearray:
    """A Redis string as gear code sees it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return bytearray(value)


def to_argument(value: object) -> bytes:
    """An argument of execute(): bytes and bytearray as they are, anything else as its text."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return str(value).encode()


def to_reply(record: object) -> object:
    """A gear's result in the form that a client gets, RedisGears' `+` and `-` rule included."""
    match record:
        case str() if len(record) > 1 and record[0] == "+":
            return Simple(record[1:])
        case str() if len(record) > 1 and record[0] == "-":
            return CommandError(record[1:])
        case str() | int() | bytes():
            return record
        case float():
            return f"{record:f}"
        case list():
            return [to_reply(element) for element in record]
        case _:
            return NOT_A_REPLY
