"""Executions that run in this process, and how one is interrupted.

RG.ABORTEXECUTION must end code of users that was not written to be ended: an endless loop, a sleep, a wait for a key
that nobody sets. The only way in Python to reach into another thread is `PyThreadState_SetAsyncExc`, which raises an
exception there between two bytecodes. So an endless loop ends at once, while a call into C (a sleep, a run of a model,
a blocking Redis command) ends first. A process for each gear could be killed instead, but every frame and every model
would have to be copied to it.

Such an exception strikes anywhere, which causes four problems:

- User code may catch it, and a `finally` may be left by it. So it is raised again every INTERRUPT_INTERVAL until the
  execution has ended.
- It must not strike after the user's code has ended, when the thread runs our code again. `perform()` therefore says
  under a lock that the thread has left, and nothing is raised after that. An exception that was raised just before, and
  has not struck yet, is made to strike in `_let_a_raised_exception_strike()`. It cannot be taken back: CPython can
  replace it by NULL, but its flag for a waiting exception would stay set for ever, and slow down all threads.
- It must not interrupt a command: half of a reply would stay in the connection, and the next command would take it for
  its own. `shielded()` keeps exceptions away meanwhile, and raises one itself afterwards if the execution was aborted.
- An execution that waits for a future runs no bytecode of its own. There the future is cancelled instead.

As in RedisGears, code that is interrupted ends with the error `gears.forcestopped`, and an execution of which a record
waits for a future ends as `aborted`. abort() decides between the two: a moment later, the future may have been given
back to the step's thread, or not yet have arrived there.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, TypedDict, TypeVar

from rededge_nb.edge.gears.runtime.errors import ExecutionAbortedError, GearsForceStopped

logger = logging.getLogger(__name__)

INTERRUPT_INTERVAL = 0.05
"""Seconds between two exceptions that are raised in code that does not end."""

Result = TypeVar("Result")


class SessionSummary(TypedDict):
    """A session, as executions remember it: another one may take its place while they run."""

    id: str
    description: str | None
    requirements: list[str]
    registrations: list[str]
    """Ids of its registrations."""


def raise_in_thread(thread_id: int, error: type[BaseException]) -> None:
    """Raise an exception in another thread at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))


class LiveExecution:
    """One execution, from its creation to its end. Safe to use from any thread."""

    def __init__(self, execution_id: str, registration_id: str | None = None, steps: tuple[Any, ...] = ()) -> None:
        self.id = execution_id
        self.registration_id = registration_id
        self.steps = steps
        self.status = "created"
        self.session_id: str | None = None
        """The session id that the client gave which runs it."""
        self.session: SessionSummary | None = None
        """The session with registrations to which it belongs, as it was when the execution was created."""
        self.printed = 0
        """Number of characters that it has printed."""
        self._began: float | None = None
        self.ended = False
        """Whether it has ended."""
        self.idle: threading.Event | None = None
        """Set when it has ended, or waits: then its thread needs no processor, and the next call may be taken."""
        self.when_waiting: Callable[[], None] | None = None
        """Called when it begins to wait for a future."""
        self._aborting = False
        self._interruption: type[BaseException] = GearsForceStopped
        """What an abort raises in its code."""
        self._waiting: set[object] = set()
        """One object for each future that a step has returned and that is not done."""
        self._thread: int | None = None
        """The thread that runs user code of this execution now."""
        self._shielded = False
        self._future: Future[Any] | None = None
        """The future that it waits for."""
        self._lock = threading.Lock()
        self._end: threading.Event | None = None
        """Set when it has ended, if somebody waits for that."""

    @property
    def aborting(self) -> bool:
        """Whether somebody has asked to end it."""
        return self._aborting

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def perform(self, work: Callable[[], Result]) -> Result:
        """Call `work` in this thread so that abort() can interrupt it.

        Raises:
            ExecutionAbortedError: the execution was aborted before it began, or while a record waited for a future.
        """
        with self._lock:
            if self._aborting:
                raise ExecutionAbortedError
            self.status = "running"
            self._began = time.monotonic()
            self._thread = threading.get_ident()
        try:
            return work()
        finally:
            while True:
                try:
                    with self._lock:
                        self._thread = None
                    _let_a_raised_exception_strike()
                    break
                except (GearsForceStopped, ExecutionAbortedError):
                    continue  # it has struck; once more, because it may have struck before the first line

    def shielded(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call a function that must not be interrupted, because it uses a connection."""
        try:
            with self._lock:
                self._shielded = True
            return function(*args)
        finally:
            self._shielded = False
            if self._aborting and self._thread == threading.get_ident():
                raise self._interruption("the execution was aborted")

    def begin_to_wait(self, start: Callable[[], Future[Result]]) -> Future[Result]:
        """Call `start`, which returns the future that a record waits for. An abort before it is done means `aborted`.

        Raises:
            ExecutionAbortedError: the execution was aborted meanwhile.
        """
        record = object()
        self._waiting.add(record)
        with self._lock:
            self._shielded = True  # nobody could cancel a future that an interruption keeps from being returned
        try:
            future = start()
        finally:
            self._shielded = False
        # no lock: abort() holds it when it cancels the future
        future.add_done_callback(lambda _: self._waiting.discard(record))
        if self._aborting:
            future.cancel()
            raise ExecutionAbortedError
        return future

    def wait_for(
        self, future: Future[Result], while_waiting: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> Result:
        """The future's result.

        Args:
            future: What to wait for. An abort cancels it.
            while_waiting: Makes a context that is entered meanwhile.

        Raises:
            ExecutionAbortedError: the execution was aborted meanwhile.
        """
        with self._lock:
            if self._aborting:
                raise ExecutionAbortedError
            self._future, thread, self._thread = future, self._thread, None
        self.become_idle()
        if self.when_waiting is not None:
            self.when_waiting()
        try:
            with while_waiting():
                return future.result()
        except CancelledError:
            raise ExecutionAbortedError from None
        finally:
            with self._lock:
                self._future, self._thread = None, thread

    def end(self, status: str) -> None:
        """Note that it has ended, and how."""
        self.status = status
        with self._lock:
            self.ended = True
        if self._end is not None:
            self._end.set()
        self.become_idle()

    def wait_until_ended(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; returns whether it has ended."""
        with self._lock:
            if self.ended:
                return True
            if self._end is None:
                self._end = threading.Event()
        return self._end.wait(timeout)

    def become_idle(self) -> None:
        """Set `idle`."""
        if self.idle is not None:
            self.idle.set()

    def abort(self) -> None:
        """Begin to interrupt it. `ended` is set once that has succeeded."""
        with self._lock:
            if self._aborting:
                return
            self._aborting = True
            if self._waiting:
                self._interruption = ExecutionAbortedError
        threading.Thread(target=self._interrupt, name=f"abort-{self.id}", daemon=True).start()

    def _interrupt(self) -> None:
        while True:
            with self._lock:
                if self._future is not None:
                    self._future.cancel()
                elif self._thread is not None and not self._shielded:
                    raise_in_thread(self._thread, self._interruption)
            if self.wait_until_ended(INTERRUPT_INTERVAL):
                return


def _let_a_raised_exception_strike() -> None:
    """Reach a point at which CPython raises an exception that another thread has set for this one.

    A backward jump is such a point: JUMP_BACKWARD runs CHECK_EVAL_BREAKER() (Python/bytecodes.c, in 3.11
    Python/ceval.c), which raises it in `_Py_HandlePending()` (Python/ceval_gil.c, in 3.11 `handle_eval_breaker()`).
    """
    for _ in range(2):
        pass


class LiveExecutions:
    """All executions of this process that have not ended."""

    def __init__(self) -> None:
        self._live: dict[str, LiveExecution] = {}

    @contextlib.contextmanager
    def hold(self, execution: LiveExecution) -> Iterator[LiveExecution]:
        """List an execution until the outermost block ends; it counts as done then, unless end() was called."""
        if execution.id in self._live:
            yield execution
            return
        self._live[execution.id] = execution
        try:
            yield execution
        finally:
            self._live.pop(execution.id, None)
            if not execution.ended:
                execution.end("done")

    def find(self, execution_id: str) -> LiveExecution | None:
        """The execution of that id, if it runs in this process."""
        return self._live.get(execution_id)

    def all(self) -> list[LiveExecution]:
        """All of them, oldest first."""
        return list(self._live.values())
