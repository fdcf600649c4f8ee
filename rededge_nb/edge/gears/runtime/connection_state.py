"""Commands that change the connection on which they are sent. A gear shares its connection with the gears after it."""

from __future__ import annotations

from collections.abc import Sequence

from rededge_nb.edge.gears.runtime.errors import GearsError

REFUSED = {
    **dict.fromkeys(("MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"), "use `with atomic():`"),
    **dict.fromkeys(
        ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MONITOR"),
        "a gear gets events by its reader",
    ),
    **dict.fromkeys(
        ("HELLO", "AUTH", "QUIT", "RESET", "SYNC", "PSYNC", "CLIENT REPLY", "CLIENT TRACKING", "CLIENT CACHING"),
        "make a client of your own for that",
    ),
}
"""Commands that make no sense on such a connection, with what to do instead."""
CHANGING = {"SELECT", "READONLY", "READWRITE", "CLIENT SETNAME", "CLIENT SETINFO", "CLIENT NO-EVICT", "CLIENT NO-TOUCH"}
"""Commands whose effect must end with the execution: the connection is closed after it."""


def check(command: Sequence[object], *, atomic: bool) -> None:
    """Refuse a command that makes no sense in a gear.

    Raises:
        GearsError: it is one of REFUSED, or one of CHANGING inside an atomic block.
    """
    name = _name(command)
    if name in REFUSED:
        raise GearsError(f"{name} is not possible here, a gear shares its connection with others: {REFUSED[name]}")
    if name in CHANGING and atomic:
        raise GearsError(f"{name} is not possible inside an atomic block: put it before")


def changes(command: Sequence[object]) -> bool:
    """Whether a command changes the connection."""
    return _name(command) in CHANGING


def _name(command: Sequence[object]) -> str:
    """The command as the tables above spell it: with its subcommand if it is CLIENT."""
    names = [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in command[:2]]
    name = names[0].upper()
    return " ".join(names).upper() if name == "CLIENT" else name
