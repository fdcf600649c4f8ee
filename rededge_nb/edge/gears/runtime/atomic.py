"""`with atomic():` and what execute() does inside it.

In RedisGears the block holds the server's lock: each command is answered at once, and no other client's command comes
in between. From outside the server nobody can hold that lock, so this module does the nearest thing that is safe:

- Commands are kept, and sent as one MULTI/EXEC when the block ends. execute() returns a proxy of the reply.
- If the block uses a reply earlier, and all commands so far only read, they are sent at once, and the keys that they
  read are watched (WATCH). If another client changes one of them before the block has ended, nothing of the block is
  done, and it raises: the gear's author decides whether to run it again.
- If the block uses a reply earlier, and a command so far writes, it raises. The true reply is not known, and to send
  the write early would break the promise that others see all of the block or nothing.

A lock that all gears respect would not help, because other clients write to the same keys.

Each thread, and each task of the event loop, has its own open block. A task starts with a copy of the context of the
code that made it, so a block also notes who opened it: a coroutine that is started inside a block is not part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import lazy_object_proxy
import redis

from rededge_nb.edge.client import CommandArgs, key_names
from rededge_nb.edge.gears.runtime.context import Context, current
from rededge_nb.edge.gears.runtime.errors import GearsError, own_server
from rededge_nb.edge.gears.runtime.values import from_redis

_open: ContextVar[atomic | None] = ContextVar("gears_atomic", default=None)


class atomic:  # noqa: N801 - RedisGears' name
    """`with atomic():` runs the block's commands as one unit."""

    def __init__(self) -> None:
        self._queued: list[CommandArgs] = []
        self._replies: dict[int, Any] = {}
        self._sent = 0
        self._watching: Any = None
        self._owner: object = None

    def __enter__(self) -> None:
        """Begin to keep commands."""
        if current_block() is not None:
            raise GearsError("Already inside an atomic block")
        self._owner = _this_task_or_thread()
        _open.set(self)

    def __exit__(
        self, kind: type[BaseException] | None = None, value: object = None, trace: TracebackType | None = None
    ) -> None:
        """Send the commands; after an exception inside the block, none. Programs also call it without arguments."""
        context = current()
        if _open.get() is self:  # a coroutine that was never finished ends in whatever thread collects the garbage
            _open.set(None)
        try:
            if kind is None and self._sent < len(self._queued):
                run = context.execution.shielded if context.execution is not None else _call
                with own_server():
                    run(self._commit, context)
        finally:
            if self._watching is not None:
                self._watching.reset()

    def queue(self, command: CommandArgs) -> Any:
        """Keep a command; returns a proxy of its reply."""
        position, context = len(self._queued), current()
        self._queued.append(command)

        def reply() -> Any:
            if position not in self._replies:
                with own_server():
                    self._read_now(context, position)
            return self._replies[position]

        return lazy_object_proxy.Proxy(reply)

    def _commit(self, context: Context) -> None:
        start = self._sent
        if self._watching is None:
            replies = context.transaction(self._queued)
        else:
            self._watching.multi()
            for command in self._queued[start:]:
                self._watching.execute_command(*command)
            try:
                replies = self._watching.execute(raise_on_error=False)
            except redis.WatchError:
                raise GearsError(
                    "nothing of this atomic block was done: another client has changed what it read. Run it again"
                ) from None
        self._store_replies(start, replies)
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise GearsError(str(reply))

    def _read_now(self, context: Context, position: int) -> None:
        """Send the commands up to a position, which must only read, and watch their keys."""
        unsent = self._queued[self._sent : position + 1]
        unknown = GearsError(
            f"the reply to {self._queued[position][0]} is known only after its atomic block has ended: "
            "here only reads that no write comes before are answered at once"
        )
        if current_block() is not self or not all(_only_reads(context, command) for command in unsent):
            raise unknown
        keys: list[Any] = []
        for command in unsent:
            with contextlib.suppress(redis.ResponseError):  # the command has no keys
                keys += context.command("COMMAND", "GETKEYS", *command)
        if self._watching is None:
            self._watching = context.pipeline()
        self._watching.watch(*(keys or [key_names.never_set(self._watching)]))
        start = self._sent
        replies = []
        for command in unsent:
            try:
                replies.append(self._watching.immediate_execute_command(*command))
            except redis.ResponseError as error:
                raise GearsError(str(error)) from None
        self._store_replies(start, replies)

    def _store_replies(self, start: int, replies: list[Any]) -> None:
        for offset, reply in enumerate(replies):
            self._replies[start + offset] = from_redis(reply)
        self._sent = start + len(replies)


def current_block() -> atomic | None:
    """The block that the running code is in."""
    block = _open.get()
    return block if block is not None and block._owner == _this_task_or_thread() else None


def _this_task_or_thread() -> object:
    """The running task of an event loop, or the thread where none runs."""
    try:
        return asyncio.current_task() or threading.get_ident()
    except RuntimeError:  # this thread has no event loop
        return threading.get_ident()


def _only_reads(context: Context, command: CommandArgs) -> bool:
    (information,) = context.command("COMMAND", "INFO", command[0])
    return information is not None and b"readonly" in information[2] and not information[0].startswith(b"rg.")


def _call(function: Any, *arguments: Any) -> Any:
    return function(*arguments)
