"""Commands and calls: how a command is declared, and one call of it by a client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import redis

HOOKS = "hooks"
"""The queue of commands that have a hook: any commands of Redis."""
QUEUES = ("ai", "gears", "executions", HOOKS)
"""The queues of commands. Each has threads of its own, so that a long run of a gear does not delay other commands."""


Target = TypeVar("Target")
"""The object that the commands of a table work with: `LoadedModels` for AI.*, `Engine` for RG.*."""


class CommandError(Exception):
    """An error reply. Its text is the complete error line, including `ERR ` if RedisAI or RedisGears has it there."""


class Simple(str):
    """A status reply, such as `+OK`."""

    __slots__ = ()


OK = Simple("OK")


class Encoded(bytes):
    """A value that is encoded as RESP already."""

    __slots__ = ()


@dataclass(frozen=True)
class Answered:
    """Returned by a handler that has sent the reply itself, together with what it wrote to Redis."""

    reply: object


@dataclass(frozen=True)
class Call:
    """One command that a client sent, as the switchboard passes it to a worker."""

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
    """The id of the call, for EDGE.REPLY."""
    hooks: tuple[str, ...] = ()
    """Ids of the registrations whose hooks answer it, the first one first; none for a command of ours."""


@dataclass(frozen=True)
class Command(Generic[Target]):
    """The declaration of a command: one row of a command table."""

    name: str
    handler: Callable[[Call, Target], object]
    """Returns the reply, or a Future of it; in that case the thread takes the next call meanwhile."""
    queue: str
    """One of QUEUES."""
    arity: int
    """As in COMMAND INFO: the number of words, negative for a minimum."""
    flags: str
    categories: str
    """ACL categories, without `@`; Redis does not derive them from the flags."""
    keys: str = ""
    """Which arguments are keys, in the grammar that switchboard.c describes."""
    args: tuple[int, int | None] = (0, None)
    """The minimum and maximum number of arguments; a maximum of None means no limit. answer() checks it."""

    def answer(self, call: Call, target: Target) -> object:
        """Call the handler and return what it returns.

        Raises:
            CommandError: The number of arguments is wrong, or the handler refuses the call.
        """
        minimum, maximum = self.args
        if len(call.args) < minimum or (maximum is not None and len(call.args) > maximum):
            raise wrong_arity(call)
        return self.handler(call, target)

    def module_argument(self) -> str:
        """The declaration as an argument of the module, after the word CMD."""
        return ",".join((self.name, self.queue, str(self.arity), self.flags, self.categories, self.keys))


def wrong_arity(call: Call) -> CommandError:
    """The error for a wrong number of arguments."""
    return CommandError(arity_text(call.name))


def arity_text(command: str) -> str:
    """The text of the error for a wrong number of arguments."""
    return f"ERR wrong number of arguments for '{command}' command"
