"""Executions that are going on in this process: who they are, and how one is interrupted.

Python can raise an exception inside a thread only between two of its bytecodes. So an endless loop ends at once, while
a call into C (a sleep, a model's run, a blocking Redis command) ends first, and the exception comes right after it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from rededge_nb.edge.gears.runtime.errors import ExecutionAbortedError, GearsForceStopped

logger = logging.getLogger(__name__)

INTERRUPT_INTERVAL = 0.05
"""Seconds between two exceptions raised in code that does not end."""

Result = TypeVar("Result")


def raise_in_thread(thread_id: int, error: type[BaseException]) -> None:
    """Raise an exception in another thread at its next bytecode."""
    # never with None, which should take one back: CPython's flag for it would stay up for ever, and slow all threads
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))


class LiveExecution:
    """One execution, from its creation to its end. Safe to use from any thread."""

    def __init__(self, execution_id: str, registration_id: str | None = None, steps: tuple[Any, ...] = ()) -> None:
        self.id = execution_id
        self.registration_id = registration_id
        self.steps = steps
        self.status = "created"
        self.ended = threading.Event()
        self.settled = threading.Event()
        """Set when it has ended, or waits for a future: its thread has nothing to do then."""
        self._aborting = False
        self._thread: int | None = None
        self._shielded = False
        self._future: Future[Any] | None = None
        self._lock = threading.Lock()

    @property
    def aborting(self) -> bool:
        """Whether it is to end."""
        return self._aborting

    def perform(self, work: Callable[[], Result]) -> Result:
        """Call `work` in this thread, open to interruption.

        Raises:
            ExecutionAbortedError: the execution was aborted before it began, or while it waited for a future.
        """
        with self._lock:
            if self._aborting:
                raise ExecutionAbortedError
            self.status = "running"
            self._thread = threading.get_ident()
        try:
            return work()
        finally:
            while True:
                # an exception that is on its way may strike here: leave all the same
                try:
                    self._leave()
                    break
                except GearsForceStopped:
                    continue

    def shielded(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call `function` uninterrupted: what it does with a connection must not be left half done."""
        try:
            with self._lock:
                self._shielded = True
            return function(*args)
        finally:
            self._shielded = False
            if self._aborting and self._thread == threading.get_ident():
                raise GearsForceStopped("the execution was aborted")

    def wait_for(self, future: Future[Result], parked: Callable[[], contextlib.AbstractContextManager[None]]) -> Result:
        """The future's result; meanwhile the execution counts as settled, and `parked()` is entered.

        Raises:
            ExecutionAbortedError: the execution was aborted meanwhile.
        """
        with self._lock:
            if self._aborting:
                raise ExecutionAbortedError
            self._future, thread, self._thread = future, self._thread, None
        self.settled.set()
        try:
            with parked():
                return future.result()
        except CancelledError:
            raise ExecutionAbortedError from None
        finally:
            with self._lock:
                self._future, self._thread = None, thread

    def end(self, status: str) -> None:
        """Note how it ended."""
        self.status = status
        self.ended.set()
        self.settled.set()

    def abort(self) -> None:
        """Begin to interrupt it; `ended` tells when that has succeeded."""
        with self._lock:
            if self._aborting:
                return
            self._aborting = True
        threading.Thread(target=self._interrupt, name=f"abort-{self.id}", daemon=True).start()

    def _interrupt(self) -> None:
        while True:
            with self._lock:
                if self._future is not None:
                    self._future.cancel()
                elif self._thread is not None and not self._shielded:
                    raise_in_thread(self._thread, GearsForceStopped)
            if self.ended.wait(INTERRUPT_INTERVAL):
                return

    def _leave(self) -> None:
        with self._lock:
            self._thread = None
        for _ in range(2):
            pass  # an exception that is on its way strikes at a jump like this one's at the latest


class LiveExecutions:
    """All executions of this process that have not ended."""

    def __init__(self) -> None:
        self._live: dict[str, LiveExecution] = {}

    @contextlib.contextmanager
    def hold(self, execution: LiveExecution) -> Iterator[LiveExecution]:
        """Show the execution until the outermost block ends, and take it for done then if nothing else was noted."""
        if execution.id in self._live:
            yield execution
            return
        self._live[execution.id] = execution
        try:
            yield execution
        finally:
            self._live.pop(execution.id, None)
            if not execution.ended.is_set():
                execution.end("done")

    def find(self, execution_id: str) -> LiveExecution | None:
        """The execution of that id, if it goes on here."""
        return self._live.get(execution_id)

    def all(self) -> list[LiveExecution]:
        """All of them, oldest first."""
        return list(self._live.values())
