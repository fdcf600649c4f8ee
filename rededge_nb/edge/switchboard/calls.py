"""Commands and calls: the row of each command in a table, and one call of it by a client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis

QUEUES = ("ai", "gears", "executions")
"""Classes of commands, each with its own queue and threads, so that a long gear run holds up nothing else."""


Target = TypeVar("Target")
"""What the commands of a table work with: `LoadedModels` for AI.*, `Engine` for RG.*."""


class CommandError(Exception):
    """An error reply. Its text is the whole error line, `ERR ` included where the original has it."""


class Simple(str):
    """A status reply, such as `+OK`."""

    __slots__ = ()


OK = Simple("OK")


class Encoded(bytes):
    """A value that is RESP already."""

    __slots__ = ()


@dataclass(frozen=True)
class Answered:
    """What a handler returns that has answered its call already, with what it wrote."""

    reply: object


@dataclass(frozen=True)
class Call:
    """One command that a client sent, as handed over by the switchboard."""

    name: str
    """The command's name as the client spelled it."""
    args: list[bytes]
    """The arguments, without the name."""
    client_id: int
    resp: int
    db: int
    user: str
    redis: redis.Redis
    """A client (bytes replies, RESP2) of the caller's database."""
    id: bytes
    """What EDGE.REPLY names it by."""


@dataclass(frozen=True)
class Command(Generic[Target]):
    """One row of a table of commands."""

    name: str
    handler: Callable[[Call, Target], object]
    """Returns the reply, or a Future of it: then the thread takes the next call meanwhile."""
    queue: str
    """One of QUEUES."""
    arity: int
    """As in COMMAND INFO: the number of words, negative for a minimum."""
    flags: str
    categories: str
    """ACL categories, without `@`; Redis does not derive them from the flags."""
    keys: str = ""
    """ModelLookup the keys are, in the grammar that switchboard.c describes."""
    args: tuple[int, int | None] = (0, None)
    """The fewest and the most arguments, checked by answer(); None is any number."""

    def answer(self, call: Call, target: Target) -> object:
        """What the handler returns for a call.

        Raises:
            CommandError: the number of arguments is wrong, or the handler refuses the call.
        """
        fewest, most = self.args
        if len(call.args) < fewest or (most is not None and len(call.args) > most):
            raise wrong_arity(call)
        return self.handler(call, target)

    def module_argument(self) -> str:
        """The row as the switchboard's CMD argument."""
        return ",".join((self.name, self.queue, str(self.arity), self.flags, self.categories, self.keys))


def wrong_arity(call: Call) -> CommandError:
    """The error for a wrong number of arguments."""
    return CommandError(arity_text(call.name))


def arity_text(command: str) -> str:
    """The text of the error for a wrong number of arguments."""
    return f"ERR wrong number of arguments for '{command}' command"
