"""What gear code runs in: the worker, and the script or execution it belongs to, one for each thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rededge_nb.edge.gears.errors import GearsError

if TYPE_CHECKING:
    import redis

    from rededge_nb.edge.gears.executions import Run
    from rededge_nb.edge.gears.registrations import Draft
    from rededge_nb.edge.worker import Worker


@dataclass
class Script:
    """What a script asked for while RG.PYEXECUTE ran it."""

    session_id: str
    drafts: list[Draft] = field(default_factory=list)
    run: Run | None = None


@dataclass
class Context:
    """Where gear code runs."""

    worker: Worker
    script: Script | None = None
    """The script being executed; None inside an execution."""
    queued: list[tuple[Any, ...]] | None = None
    """Commands held back by an open atomic block."""
    replies: list[Any] = field(default_factory=list)
    """Replies to the commands of the last atomic block, empty until it has ended."""
    client: redis.Redis = field(init=False)
    """A client whose replies are left as they come."""

    def __post_init__(self) -> None:
        self.client = self.worker.engine.raw_client


_current: ContextVar[Context] = ContextVar("gears_context")


def current() -> Context:
    """The context of the running gear code.

    Raises:
        GearsError: there is none, as in a thread that the gear started.
    """
    try:
        return _current.get()
    except LookupError:
        raise GearsError("this can be called only from gear code that RedisGears runs") from None


@contextlib.contextmanager
def entered(context: Context) -> Iterator[Context]:
    """Run gear code in `context`."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
