"""Splits a line that a user typed into the arguments of a Redis command."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from rededge_nb.display.replies import Reply
from rededge_nb.errors import ConfigurationError

Argument = bytes | int | float

_VARIABLE = re.compile(r"\$([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_HEX = re.compile(r"\\x([0-9a-fA-F]{2})")
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "a": b"\a", "b": b"\b"}


def split_arguments(line: str, variables: Mapping[str, Any]) -> list[Argument]:
    r"""Split a line as a shell does, and replace `$name` and `{expression}` by their values.

    A value stays one argument, whatever it contains: spaces, quotes or `$` in it have no meaning. Nothing is replaced
    in single quotes. In double quotes, `\n`, `\xff` and similar escapes are bytes, as in redis-cli. A `$` or `{` that
    starts neither a name nor an expression is an ordinary character.

    Raises:
        ConfigurationError: a quote is not closed, a variable does not exist, or Redis cannot take its value.
    """
    return _Splitter(line, variables).arguments()


class _Splitter:
    def __init__(self, line: str, variables: Mapping[str, Any]) -> None:
        self._line = line
        self._variables = dict(variables)
        self._at = 0

    def arguments(self) -> list[Argument]:
        found: list[Argument] = []
        while self._skip_space():
            found.append(self._argument())
        return found

    def _skip_space(self) -> bool:
        while self._at < len(self._line) and self._line[self._at].isspace():
            self._at += 1
        return self._at < len(self._line)

    def _argument(self) -> Argument:
        parts: list[Argument] = []
        while self._at < len(self._line) and not self._line[self._at].isspace():
            parts += self._quoted() if self._line[self._at] in "'\"" else [self._plain()]
        # a number stays a number: redis-py formats it as Redis expects
        return parts[0] if len(parts) == 1 else b"".join(map(_as_bytes, parts))

    def _quoted(self) -> list[Argument]:
        start, quote = self._at, self._line[self._at]
        parts: list[Argument] = [b""]
        self._at += 1
        while self._at < len(self._line):
            if self._line[self._at] == quote:
                self._at += 1
                return parts
            parts.append(self._literal() if quote == "'" else self._escape() or self._plain())
        raise ConfigurationError(f"the quote that opens at character {start + 1} is not closed: {self._line}")

    def _plain(self) -> Argument:
        value = self._value()
        if value is not None:
            return value
        if self._line[self._at] == "\\" and self._at + 1 < len(self._line):
            self._at += 1
        return self._literal()

    def _literal(self) -> bytes:
        self._at += 1
        return self._line[self._at - 1].encode()

    def _escape(self) -> bytes | None:
        """The byte of an escape in double quotes, if one starts here."""
        if byte := _HEX.match(self._line, self._at):
            self._at = byte.end()
            return bytes.fromhex(byte[1])
        if self._line[self._at] == "\\" and self._line[self._at + 1 : self._at + 2] in _ESCAPES:
            self._at += 2
            return _ESCAPES[self._line[self._at - 1]]
        return None

    def _value(self) -> Argument | None:
        """The value of a `$name` or `{expression}`, if one starts here."""
        name = _VARIABLE.match(self._line, self._at)
        text = name[0] if name else self._braces()
        if text is None:
            return None
        self._at += len(text)
        try:
            value = eval(name[1] if name else text[1:-1].strip(), self._variables)  # noqa: S307 - typed by the user
        except Exception as error:
            raise ConfigurationError(
                f"{text} has no value ({type(error).__name__}: {error}); for these characters themselves write '{text}'"
            ) from error
        return _checked(text, value)

    def _braces(self) -> str | None:
        """The shortest `{…}` from here that is an expression."""
        if self._line[self._at] != "{":
            return None
        end = self._at
        while (end := self._line.find("}", end + 1)) != -1:
            text = self._line[self._at : end + 1]
            try:
                ast.parse(text[1:-1].strip(), mode="eval")
            except (SyntaxError, ValueError):
                continue
            return text
        return None


def _checked(text: str, value: Any) -> Argument:
    """A variable's value in a type that Redis takes."""
    if isinstance(value, Reply):
        value = value.value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    kind = "None" if value is None else f"of type {type(value).__name__}"
    raise ConfigurationError(f"{text} is {kind}, but Redis takes text, bytes and numbers: convert it")


def _as_bytes(argument: Argument) -> bytes:
    return argument if isinstance(argument, bytes) else repr(argument).encode()
