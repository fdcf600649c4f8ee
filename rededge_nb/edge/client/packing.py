"""Commands as bytes for Redis.

hiredis packs short commands fastest, but takes 2 ms for each megabyte of a long argument, which redis-py's own packer
hands on as it is. What redis-py does around hiredis takes six times as long as hiredis itself.
"""

from __future__ import annotations

from typing import Any

from hiredis import pack_command
from redis._parsers import Encoder
from redis.connection import HiredisRespSerializer, PythonRespSerializer

LONG = 16 * 1024
"""Bytes of an argument from which on hiredis is slower."""
_BUFFERS = (bytes, bytearray, memoryview)
_CUTOFF = 6000
"""Arguments longer than this are sent by themselves, so that they are not copied."""


class Packer:
    """Packs with hiredis, or without it where an argument is long."""

    def __init__(self) -> None:
        self._short: Any = HiredisRespSerializer()
        self._long: Any = PythonRespSerializer(_CUTOFF, Encoder("utf-8", "strict", decode_responses=False).encode)

    def pack(self, *args: Any) -> list[bytes | memoryview]:
        """The command's bytes, in pieces.

        Raises:
            redis.DataError: an argument is neither text, bytes nor a number.
        """
        for arg in args:
            if isinstance(arg, _BUFFERS) and (len(arg) > LONG or not isinstance(arg, bytes)):
                pieces: list[bytes | memoryview] = self._long.pack(*map(_plain, args))
                return pieces
        name = args[0]
        if (b" " if isinstance(name, bytes) else " ") not in name:
            try:
                return [pack_command(args)]
            except TypeError:
                pass  # redis-py says it better
        short: list[bytes | memoryview] = self._short.pack(*args)  # takes CONFIG GET as one word, too
        return short


def _plain(arg: Any) -> Any:
    """An argument whose length is its bytes."""
    if isinstance(arg, memoryview):
        return arg if arg.itemsize == 1 and arg.ndim == 1 else bytes(arg)
    return bytes(arg) if isinstance(arg, bytearray) else arg
