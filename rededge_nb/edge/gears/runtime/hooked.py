"""What running gear code knows about the command of a client that it answers, or that waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from rededge_nb.edge.gears.runtime.errors import GearsError

MAX_DEPTH = 32
"""How deep hooks and triggers of one execution may call each other."""
CANNOT_WAIT = "ERR can not run a non-sync execution inside a MULTI/LUA (blocking is not allowed) or on loading."
"""RedisGears' text where a gear would have to wait and cannot."""


@dataclass(frozen=True)
class HookedCommand:
    """A command that a hook answers, for call_next()."""

    name: str
    next_hooks: tuple[str, ...]
    """Ids of the registrations whose hooks call_next() runs, the next one first; then the command is executed."""
    call_id: bytes | None
    """The id of the client's call; None if a gear has sent the command."""


@dataclass
class WaitingCommand:
    """A command that has been executed, and whose reply waits for a gear: override_reply() can replace it."""

    words: list[str]
    _reply: list[object] = field(default_factory=list, init=False)

    def override(self, value: object) -> None:
        """Replace the reply.

        Raises:
            GearsError: It has been replaced before.
        """
        if self._reply:
            raise GearsError("Can only override reply once")
        self._reply.append(value)

    @property
    def overridden(self) -> list[object]:
        """The value that replaces the reply, or nothing."""
        return list(self._reply)
