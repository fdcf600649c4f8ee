"""Commands that change the connection they are sent on, which a gear shares with the gears after it."""

from __future__ import annotations

from collections.abc import Sequence

from rededge_nb.edge.gears.runtime.errors import GearsError

REFUSED = {
    **dict.fromkeys(("MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"), "use `with atomic():`"),
    **dict.fromkeys(
        ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MONITOR"),
        "a gear hears of events by its reader",
    ),
    **dict.fromkeys(
        ("HELLO", "AUTH", "QUIT", "RESET", "SYNC", "PSYNC", "CLIENT REPLY", "CLIENT TRACKING", "CLIENT CACHING"),
        "make a client of your own for that",
    ),
}
"""Commands that have no sense on such a connection, with what to do instead."""
CHANGING = {"SELECT", "READONLY", "READWRITE", "CLIENT SETNAME", "CLIENT SETINFO", "CLIENT NO-EVICT", "CLIENT NO-TOUCH"}
"""Commands whose effect must end with the execution."""


def check(words: Sequence[object], *, atomic: bool) -> None:
    """Refuse a gear's command that has no sense here.

    Raises:
        GearsError: it has none; inside an atomic block, what changes the connection has none, either.
    """
    name = _name(words)
    if name in REFUSED:
        raise GearsError(f"{name} is not possible here, a gear shares its connection with others: {REFUSED[name]}")
    if name in CHANGING and atomic:
        raise GearsError(f"{name} is not possible inside an atomic block: put it before")


def changes(words: Sequence[object]) -> bool:
    """Whether a command changes the connection."""
    return _name(words) in CHANGING


def _name(words: Sequence[object]) -> str:
    """The command as the tables above spell it: with its subcommand where it is about the client."""
    names = [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words[:2]]
    name = names[0].upper()
    return " ".join(names).upper() if name == "CLIENT" else name
