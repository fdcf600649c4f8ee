"""What a command is: the row that the switchboard registers and the worker dispatches on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis

    from rededge_nb.edge.worker.worker import Worker

QUEUES = ("ai", "gears", "executions")
"""Classes of commands, each with its own queue and threads, so that a long gear run holds up nothing else."""


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
    worker: Worker
    """The worker that answers: its sessions, executions and registrations."""
    id: bytes
    """What EDGE.REPLY names it by."""


@dataclass(frozen=True)
class Command:
    """One row of a table of commands."""

    name: str
    handler: Callable[[Call], object]
    """Returns the reply, or a Future of it: then the thread takes the next call meanwhile."""
    queue: str
    """One of QUEUES."""
    arity: int
    """As in COMMAND INFO: the number of words, negative for a minimum."""
    flags: str
    categories: str
    """ACL categories, without `@`; Redis does not derive them from the flags."""
    keys: str = ""
    """Where the keys are, in the grammar that switchboard.c describes."""

    def module_argument(self) -> str:
        """The row as the switchboard's CMD argument."""
        return ",".join((self.name, self.queue, str(self.arity), self.flags, self.categories, self.keys))
