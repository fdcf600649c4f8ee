"""Conversions between Redis replies, the Python values of gears, and replies to clients."""

from __future__ import annotations

import redis

from rededge_nb.edge.switchboard.calls import CommandError, Simple

NOT_A_REPLY = "PY RECORD"
"""What clients get for a record that RESP cannot express; RedisGears' own text."""

INT64 = range(-(2**63), 2**63)
"""The integers that RESP can express."""
MAX_DEPTH = 28
"""How deep lists of one record may be nested: the edge module accepts 32 levels, and a reply has some of its own."""


def from_redis(reply: object) -> object:
    """A reply as gear code gets it: text is str, or bytearray if it is not UTF-8; errors in arrays are str."""
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
    """A Redis string as gear code gets it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return bytearray(value)


def reply_for_gear(reply: object) -> object:
    """What to_reply() returned, as gear code would get it from Redis.

    Raises:
        CommandError: it is an error reply.
    """
    match reply:
        case CommandError():
            raise reply
        case bytes():
            return text_or_bytes(reply)
        case list():
            return [str(one) if isinstance(one, CommandError) else reply_for_gear(one) for one in reply]
        case _:
            return str(reply) if isinstance(reply, Simple) else reply


def to_argument(value: object) -> bytes:
    """An argument of execute(): bytes and bytearray as they are, anything else as its text."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return str(value).encode()


def to_reply(record: object) -> object:
    """A gear's result as a reply to a client, with RedisGears' rule for text that begins with `+` or `-`.

    Every record becomes some reply: NOT_A_REPLY if RESP cannot express it, and `?` for characters that UTF-8 cannot.
    """
    return _to_reply(record, ())


def encodable(text: str) -> str:
    """The text with `?` for what cannot be UTF-8: halves of surrogate pairs."""
    return text.encode(errors="replace").decode()


def _to_reply(record: object, around: tuple[int, ...]) -> object:
    """The reply for a record inside lists, whose ids are `around`: a list that contains itself must end somewhere."""
    match record:
        case str() if len(record) > 1 and record[0] == "+":
            return Simple(encodable(record[1:]))
        case str() if len(record) > 1 and record[0] == "-":
            return CommandError(encodable(record[1:]))
        case str():
            return encodable(record)
        case int() if INT64.start <= record < INT64.stop:
            return record
        case bytes():
            return record
        case float():
            return f"{record:f}"
        case list() if id(record) not in around and len(around) < MAX_DEPTH:
            return [_to_reply(element, (*around, id(record))) for element in record]
        case _:
            return NOT_A_REPLY
