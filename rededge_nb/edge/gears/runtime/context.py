"""The context of running gear code: the executor, the script or execution that the code belongs to, its connection.

execute() and the other functions of the API have no argument that says for whom they are called. They find out by
`current()`, a context variable, so that each thread and each task of the event loop has its own context. A thread that
gear code starts by itself has none; all of these share a fallback context, which takes a connection for each command.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import redis

from rededge_nb.edge.client import CommandArgs, check, in_transaction, replies_to
from rededge_nb.edge.gears.runtime import connection_state
from rededge_nb.edge.gears.runtime.errors import GearsError, own_server
from rededge_nb.edge.gears.runtime.gear import Draft, Run
from rededge_nb.edge.gears.runtime.hooked import HookedCommand, WaitingCommand
from rededge_nb.edge.gears.runtime.host import Executor
from rededge_nb.edge.gears.runtime.live import LiveExecution


@dataclass
class Script:
    """What a script asks for while RG.PYEXECUTE executes it."""

    session_id: str
    drafts: list[Draft] = field(default_factory=list)
    run: Run | None = None
    ended: bool = False
    """Whether the script has ended: threads that it started can no longer register."""


@dataclass
class Context:
    """Where gear code runs."""

    executor: Executor
    script: Script | None = None
    """The script being executed; None inside an execution."""
    session_id: str | None = None
    execution: LiveExecution | None = None
    future: object | None = None
    """The future that the running step has created."""
    futures_allowed: bool = True
    """Whether the running step can wait for a future."""
    can_wait: bool = True
    """Whether the execution can wait at all."""
    hooked: HookedCommand | None = None
    """The command that the running hook answers."""
    waiting: WaitingCommand | None = None
    """The command that waits for the running execution."""
    quiet: bool = False
    """Whether the commands of this execution raise no events for gears."""
    depth: int = 0
    """How many executions have called each other to get here."""
    _connection: redis.Connection | None = field(default=None, init=False)
    _connection_changed: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def command(self, *words: Any) -> Any:
        """Send a command on the context's connection; returns the reply as Redis sent it.

        Raises:
            redis.ResponseError: Redis answered with an error.
            ServerAwayError: Redis is away.
        """
        if self.execution is not None:
            return self.execution.shielded(self._command, words)
        return self._command(words)

    def transaction(self, commands: Sequence[CommandArgs]) -> list[Any]:
        """The replies to commands of one transaction. A command that failed has its error as its reply.

        Raises:
            redis.RedisError: Redis refused the transaction, or is away.
        """
        *queued, executed = self._replies(in_transaction(commands))
        check(queued)
        if isinstance(executed, redis.ResponseError):
            raise executed
        return list(executed)

    def pipeline(self) -> Any:
        """A pipeline of the clients' database, for a transaction that watches keys."""
        return self.executor.raw_client.pipeline(transaction=True)

    def forget_changes(self) -> None:
        """After an execution: close its connection if a command has changed it."""
        with self._lock:
            if self._connection_changed:
                self._release()

    def close(self) -> None:
        """Give the connection back. Code that still runs in other threads takes one for each command."""
        with self._lock:
            self._closed = True
            self._release()

    def _command(self, words: tuple[Any, ...]) -> Any:
        (reply,) = self._replies([words])
        if isinstance(reply, redis.ResponseError):
            raise reply
        return reply

    def _replies(self, commands: Sequence[CommandArgs]) -> list[Any]:
        """The replies to commands that are sent together. A command that failed has its error as its reply."""
        if self.quiet:
            commands = [_made_quiet(command) for command in commands]
        with self._lock:
            connection = self._connection
            if connection is None:
                with own_server():
                    connection = self._connection = self.executor.connections.take()
            try:
                # noted before it is sent, because the command may change the connection and then fail
                self._connection_changed = self._connection_changed or any(map(connection_state.changes, commands))
                with own_server():
                    return replies_to(connection, commands)
            except BaseException:
                connection.disconnect()
                self._release()
                raise
            finally:
                if self._closed:
                    self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        changed, self._connection_changed = self._connection_changed, False
        if connection is not None:
            if changed:
                connection.disconnect()
            self.executor.connections.give_back(connection)


def _made_quiet(command: CommandArgs) -> CommandArgs:
    """The command in a form that raises no events for gears, where there is one."""
    name = str(command[0]).upper()
    own = name.startswith(("AI.", "RG.", "EDGE."))  # workers answer these, so no module can execute them
    return (
        command if own or name in ("MULTI", "EXEC") or connection_state.changes(command) else ("EDGE.QUIET", *command)
    )


_prints_as_numpy_1: ContextVar[bool] = ContextVar("prints_as_numpy_1", default=False)
_current: ContextVar[Context] = ContextVar("gears_context")
_fallback: list[Context] = []


def set_fallback(context: Context) -> None:
    """Set the context of threads that gear code starts by itself."""
    context.close()
    _fallback[:] = [context]


def current() -> Context:
    """The context of the running gear code.

    Raises:
        GearsError: there is none.
    """
    found = _current.get(None)
    if found is not None:
        return found
    if _fallback:
        return _fallback[0]
    raise GearsError("this can be called only from gear code that RedisGears runs")


@contextlib.contextmanager
def entered(context: Context) -> Iterator[Context]:
    """Run gear code in `context`.

    Gears store the text of lists of numbers. Numbers of NumPy appear in it as they did before NumPy 2: `0.5`, and not
    `np.float64(0.5)`. That is a setting of each context.
    """
    if not _prints_as_numpy_1.get():  # it takes as long as everything else here
        np.set_printoptions(legacy="1.25")
        _prints_as_numpy_1.set(True)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
        context.close()
