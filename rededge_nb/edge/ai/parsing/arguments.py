"""Reading the words of a command from left to right."""

from __future__ import annotations

import re

from rededge_nb.edge.switchboard.calls import CommandError

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_INT64 = range(-(2**63), 2**63)


def integer(word: bytes) -> int | None:
    """The number that a word is by Redis's strict rules (no sign, zero or space too many), or None."""
    if not _INTEGER.fullmatch(word):
        return None
    number = int(word)
    return number if number in _INT64 else None


def text(word: bytes) -> str:
    """A word as it is told in an error."""
    return word.decode("utf-8", "replace")


class ArgumentReader:
    """A command's words, taken one after the other."""

    def __init__(self, words: list[bytes]) -> None:
        self._words = words
        self._position = 0

    def __len__(self) -> int:
        """How many words are left."""
        return len(self._words) - self._position

    def take(self, error: str) -> bytes:
        """The next word; `error` is what the caller hears if there is none."""
        if not len(self):
            raise CommandError(error)
        self._position += 1
        return self._words[self._position - 1]

    def take_number(self, error: str) -> int:
        """The next word as a number; `error` is what the caller hears if it is none."""
        number = integer(self.take(error))
        if number is None:
            raise CommandError(error)
        return number

    def peek(self) -> bytes | None:
        """The next word in upper case, which stays where it is."""
        return self._words[self._position].upper() if len(self) else None

    def take_keyword(self, keyword: bytes) -> bool:
        """Whether the next word is this one, in any case; if so it is taken."""
        if not len(self) or self._words[self._position].upper() != keyword:
            return False
        self._position += 1
        return True

    def take_many(self, count: int, error: str) -> list[bytes]:
        """The next `count` words; `error` is what the caller hears if there are fewer."""
        if count > len(self):
            raise CommandError(error)
        self._position += count
        return self._words[self._position - count : self._position]

    def take_rest(self) -> list[bytes]:
        """All words that are left."""
        return self.take_many(len(self), "")
