"""Encoding Python values as RESP2, for EDGE.REPLY."""

from __future__ import annotations

from rededge_nb.edge.switchboard.calls import CommandError, Encoded, Simple

_ONE_LINE = str.maketrans("\r\n\0", "   ")


def encode(value: object) -> bytes:
    """One complete reply.

    Simple becomes a status, str and bytes become bulk strings, bool and int integers, None the nil bulk string, list
    and tuple arrays, and CommandError an error line. A float becomes a bulk string with its shortest decimal form,
    because RESP2 has no doubles.

    Raises:
        TypeError: The value, or one of its elements, has another type.
    """
    chunks: list[bytes] = []
    _append(value, chunks)
    return b"".join(chunks)


def _append(value: object, chunks: list[bytes]) -> None:
    match value:
        case None:
            chunks.append(b"$-1\r\n")
        case Encoded():
            chunks.append(value)
        case Simple():
            chunks.append(b"+" + value.translate(_ONE_LINE).encode() + b"\r\n")
        case CommandError():
            chunks.append(b"-" + str(value).translate(_ONE_LINE).encode() + b"\r\n")
        case int():
            chunks.append(b":%d\r\n" % value)
        case float():
            _append(repr(value), chunks)
        case str():
            _append(value.encode(), chunks)
        case bytes() | bytearray() | memoryview():
            size = value.nbytes if isinstance(value, memoryview) else len(value)
            chunks.extend((b"$%d\r\n" % size, bytes(value), b"\r\n"))
        case list() | tuple():
            chunks.append(b"*%d\r\n" % len(value))
            for element in value:
                _append(element, chunks)
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be a reply: {value!r}")
