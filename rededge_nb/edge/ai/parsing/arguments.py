"""Reading the arguments of a command from left to right."""

from __future__ import annotations

from rededge_nb.edge.ai.tensors import INTEGER
from rededge_nb.edge.switchboard.calls import CommandError

_INT64 = range(-(2**63), 2**63)


def integer(word: bytes) -> int | None:
    """A word as a number, or None. As in Redis, `+1`, `01` and ` 1` are not numbers."""
    if not INTEGER.fullmatch(word):
        return None
    number = int(word)
    return number if number in _INT64 else None


def text(word: bytes) -> str:
    """A word as text; bytes that are not UTF-8 are replaced."""
    return word.decode("utf-8", "replace")


class ArgumentReader:
    """The arguments of a command, taken one after the other.

    The methods have the text of the error as an argument: the texts are those of RedisAI, and each place has its own.
    """

    def __init__(self, words: list[bytes]) -> None:
        self._words = words
        self._position = 0

    def __len__(self) -> int:
        """How many words are left."""
        return len(self._words) - self._position

    def take(self, error: str) -> bytes:
        """The next word; raises CommandError with the text `error` if there is none."""
        if not len(self):
            raise CommandError(error)
        self._position += 1
        return self._words[self._position - 1]

    def take_number(self, error: str) -> int:
        """The next word as a number; raises CommandError with the text `error` if it is not one."""
        number = integer(self.take(error))
        if number is None:
            raise CommandError(error)
        return number

    def peek(self) -> bytes | None:
        """The next word in upper case, without taking it; None if there is none."""
        return self._words[self._position].upper() if len(self) else None

    def take_keyword(self, keyword: bytes) -> bool:
        """Take the next word if it is this keyword, in upper or lower case; returns whether it was."""
        if not len(self) or self._words[self._position].upper() != keyword:
            return False
        self._position += 1
        return True

    def take_many(self, count: int, error: str) -> list[bytes]:
        """The next `count` words; raises CommandError with the text `error` if there are fewer."""
        if count > len(self):
            raise CommandError(error)
        self._position += count
        return self._words[self._position - count : self._position]

    def take_rest(self) -> list[bytes]:
        """All words that are left."""
        return self.take_many(len(self), "")
