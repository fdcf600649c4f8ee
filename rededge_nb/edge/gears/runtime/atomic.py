"""`with atomic():` and what execute() does inside it.

RedisGears holds the server's lock meanwhile and answers each command at once. From outside the server nobody can do
that, so the commands are held back and sent as one transaction when the block ends. Whoever looks at a reply inside the
block gets it if only reads were asked for until then: they are sent now and what they read is watched. If another
client changes it before the block has ended, nothing of the block is done, and it raises.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import lazy_object_proxy
import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.gears.runtime.context import Context, current
from rededge_nb.edge.gears.runtime.errors import GearsError, own_server
from rededge_nb.edge.gears.runtime.values import from_redis

Words = tuple[Any, ...]
_open: ContextVar[atomic | None] = ContextVar("gears_atomic", default=None)


class atomic:  # noqa: N801 - RedisGears' name
    """`with atomic():` runs the block's commands as one unit."""

    def __init__(self) -> None:
        self._queued: list[Words] = []
        self._replies: dict[int, Any] = {}
        self._sent = 0
        self._watching: Any = None
        self._owner: object = None

    def __enter__(self) -> None:
        """Begin to hold commands back."""
        if open_block() is not None:
            raise GearsError("Already inside an atomic block")
        self._owner = _running()
        _open.set(self)

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        """Send the commands; after an exception inside the block, none."""
        context = current()
        if _open.get() is self:  # a coroutine that was given up ends wherever the garbage is collected
            _open.set(None)
        try:
            if kind is None and self._sent < len(self._queued):
                run = context.execution.shielded if context.execution is not None else _call
                with own_server():
                    run(self._commit, context)
        finally:
            if self._watching is not None:
                self._watching.reset()

    def queue(self, words: Words) -> Any:
        """Hold a command back; its reply is found out when it is used."""
        position, context = len(self._queued), current()
        self._queued.append(words)

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
            for words in self._queued[start:]:
                self._watching.execute_command(*words)
            try:
                replies = self._watching.execute(raise_on_error=False)
            except redis.WatchError:
                raise GearsError(
                    "nothing of this atomic block was done: another client has changed what it read. Run it again"
                ) from None
        self._note(start, replies)
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise GearsError(str(reply))

    def _read_now(self, context: Context, position: int) -> None:
        """Send what was held back, which must be reads alone, and watch the keys."""
        unsent = self._queued[self._sent : position + 1]
        unknown = GearsError(
            f"the reply to {self._queued[position][0]} is known only after its atomic block has ended: "
            "here only reads that no write comes before are answered at once"
        )
        if open_block() is not self:
            raise unknown
        keys: list[bytes] = []
        for words in unsent:
            if not _reads_only(context, words):
                raise unknown
            try:
                keys += context.command("COMMAND", "GETKEYS", *words)
            except redis.ResponseError:
                continue  # it is about no key
        if self._watching is None:
            self._watching = context.pipeline()
        if keys:
            self._watching.watch(*keys)
        else:
            self._watching.watch(key_names.never_set(self._watching))
        start = self._sent
        replies = []
        for words in unsent:
            try:
                replies.append(self._watching.immediate_execute_command(*words))
            except redis.ResponseError as error:
                raise GearsError(str(error)) from None
        self._note(start, replies)

    def _note(self, start: int, replies: list[Any]) -> None:
        for offset, reply in enumerate(replies):
            self._replies[start + offset] = from_redis(reply)
        self._sent = start + len(replies)


def open_block() -> atomic | None:
    """The block that the running code is inside of: each thread and each task of the event loop has its own."""
    block = _open.get()
    # a task begins with a copy of what its maker had open
    return block if block is not None and block._owner == _running() else None


def _running() -> object:
    """The task that runs, or else the thread."""
    try:
        return asyncio.current_task() or threading.get_ident()
    except RuntimeError:
        return threading.get_ident()  # it has no event loop


def _reads_only(context: Context, words: Words) -> bool:
    (information,) = context.command("COMMAND", "INFO", words[0])
    return information is not None and b"readonly" in information[2] and not information[0].startswith(b"rg.")


def _call(function: Any, *arguments: Any) -> Any:
    return function(*arguments)
