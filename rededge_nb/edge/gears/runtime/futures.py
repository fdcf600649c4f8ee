"""Futures and coroutines of gear code, and the event loop that the coroutines run on."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, InvalidStateError
from typing import Any

from rededge_nb.edge.gears.runtime.atomic import open_block
from rededge_nb.edge.gears.runtime.context import Context, current
from rededge_nb.edge.gears.runtime.errors import ExecutionAbortedError, GearsError, GearsForceStopped
from rededge_nb.edge.gears.runtime.live import LiveExecution, raise_in_thread

logger = logging.getLogger(__name__)

STUCK_AFTER = 1.0
"""Seconds that a cancelled coroutine may take to notice; one that does not await anything is interrupted then."""
ABORT_INTERVAL = 0.05
"""Seconds between looks whether an execution that has no place yet is to end."""


class GearsFuture:
    """What a step returns to park its record until `continueRun` or `continueFailed`, from any thread or execution."""

    def __init__(self) -> None:
        context = current()
        if context.script is not None or context.execution is None:
            raise GearsError("Future object can only be created inside certain execution steps")
        if not context.futures_allowed:
            raise GearsError("Step does not support async")
        if context.future is not None:
            raise GearsError("Can not create async record twice on the same step")
        context.future = self
        self._result: Future[Any] = Future()
        self._returned = False

    def continueRun(self, value: Any) -> None:  # noqa: N802
        """Let the record go on with `value` as what the step returned."""
        self._check()
        with contextlib.suppress(InvalidStateError):  # the execution was aborted meanwhile
            self._result.set_result(value)

    def continueFailed(self, error: Any) -> None:  # noqa: N802
        """Let the step fail with a text."""
        self._check()
        with contextlib.suppress(InvalidStateError):
            self._result.set_exception(FailedRecordError(str(error)))

    def parked(self) -> Future[Any]:
        """What the execution waits for, now that the step has returned this."""
        self._returned = True
        return self._result

    def _check(self) -> None:
        if not self._returned:
            raise GearsError("Can not handle future untill it returned from the callback")
        if self._result.done() and not self._result.cancelled():
            raise GearsError("Can not handle future twice")

    def __del__(self) -> None:
        if getattr(self, "_returned", False) and not self._result.done():
            self._result.set_exception(FailedRecordError("Async record did not called continue"))


class FailedRecordError(Exception):
    """A record's failure whose text stands in replies as it is."""


def settled(context: Context, value: Any) -> Any:
    """What a callback came to: waits if it returned a future or a coroutine."""
    if isinstance(value, GearsFuture):
        waiting = value.parked()
        context.future = value = None  # none but the gear's own code holds on to it: dropped there, it fails
        return wait(context, waiting)
    context.future = None
    if inspect.iscoroutine(value):
        if not context.futures_allowed:
            value.close()
            raise GearsError("Step does not support async")
        return wait(context, loop().submit(value))
    return value


def wait(context: Context, future: Future[Any]) -> Any:
    """The future's result; the execution is parked meanwhile."""
    if context.execution is None:
        return future.result()
    return context.execution.wait_for(future, lambda: context.executor.parked(context.execution))


class Watched(Coroutine[Any, Any, Any]):
    """A coroutine that may not await inside `with atomic():`, where RedisGears holds the server's lock."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        """Let it go on until it awaits something."""
        return self._checked(self._coroutine.send(value))

    def throw(self, *error: Any) -> Any:
        """Let it go on with an error."""
        return self._checked(self._coroutine.throw(*error))

    def close(self) -> None:
        """End it."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, None, Any]:
        """Awaited by another coroutine it is that one's part."""
        return self._coroutine.__await__()

    def _checked(self, awaited: Any) -> Any:
        while open_block() is not None:
            awaited = self._coroutine.throw(GearsError("await is not allow inside atomic block"))
        return awaited


class Loop:
    """The event loop of gear code, in a thread of its own."""

    def __init__(self) -> None:
        self.asyncio = asyncio.new_event_loop()
        self.asyncio.set_task_factory(
            lambda loop, coroutine, **options: asyncio.Task(Watched(coroutine), loop=loop, **options)
        )
        self._unfinished: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="gears-loop", daemon=True)
        self._thread.start()

    @property
    def turning(self) -> bool:
        """Whether it takes coroutines."""
        return self._thread.is_alive()

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Start a coroutine in the caller's context; cancelling what this returns ends it, if need be by force."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.asyncio)
        self._unfinished.add(future)
        future.add_done_callback(self._ended)
        if not self.turning:
            self._fail_all()
        return future

    def _ended(self, future: Future[Any]) -> None:
        self._unfinished.discard(future)
        if future.cancelled():
            self._end_if_stuck()

    def _fail_all(self) -> None:
        for future in tuple(self._unfinished):
            with contextlib.suppress(InvalidStateError):
                future.set_exception(GearsError("the event loop was ended by force: run it again"))

    def _end_if_stuck(self) -> None:
        """Interrupt the task that keeps the loop from turning, if it still does after STUCK_AFTER seconds."""
        turned = threading.Event()
        self.asyncio.call_soon_threadsafe(turned.set)

        def watch() -> None:
            while not turned.wait(STUCK_AFTER) and self.turning:
                if self._thread.ident is not None:
                    raise_in_thread(self._thread.ident, GearsForceStopped)

        threading.Thread(target=watch, name="gears-loop-watch", daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                try:
                    self._turn()
                except GearsForceStopped:  # two struck at once, the second between two turns
                    continue
        finally:
            # one has struck where asyncio cannot go on from: who waits is told, and the next coroutine gets a new loop
            self._fail_all()

    def _turn(self) -> None:
        asyncio.set_event_loop(self.asyncio)
        while True:
            try:
                self.asyncio.run_forever()
            except (GearsForceStopped, SystemExit, KeyboardInterrupt):
                # asyncio hands these on although the coroutine that raised them has ended, with them as its error
                continue


_loop: list[Loop] = []
_loop_lock = threading.Lock()


def loop() -> Loop:
    """The event loop, begun at the first use, and again should it have ended."""
    with _loop_lock:
        if not _loop or not _loop[0].turning:
            _loop[:] = [Loop()]
        return _loop[0]


def create_future() -> asyncio.Future[Any]:
    """A future that coroutines on the gears' event loop can await."""
    return loop().asyncio.create_future()


def set_future_results(future: asyncio.Future[Any], value: Any) -> None:
    """Give a future its result, from any thread."""
    _in_loop(lambda: None if future.done() else future.set_result(value))


def set_future_exception(future: asyncio.Future[Any], error: Any) -> None:
    """Let a future fail, from any thread."""
    failure = error if isinstance(error, BaseException) else GearsError(str(error))
    _in_loop(lambda: None if future.done() else future.set_exception(failure))


def run_coroutine(
    coroutine: Coroutine[Any, Any, Any], future: asyncio.Future[Any] | None = None, delay: float = 0
) -> None:
    """Start a coroutine after `delay` seconds; `future` gets its result or error."""

    async def work() -> None:
        if delay:
            await asyncio.sleep(delay)
        try:
            result = await coroutine
        except BaseException as error:  # also SystemExit and a cancellation: whoever waits is told of any end
            if future is None:
                logger.exception("a coroutine of a gear failed")
            else:
                set_future_exception(future, error)
        else:
            if future is not None:
                set_future_results(future, result)

    loop().submit(work())


class Slots:
    """How many executions may run at once; one that waits for a future leaves its place to another."""

    def __init__(self, count: int) -> None:
        self._places = threading.Semaphore(count)
        self._holders: set[int] = set()

    @contextlib.contextmanager
    def taken(self, execution: LiveExecution) -> Iterator[None]:
        """Hold a place.

        Raises:
            ExecutionAbortedError: the execution was aborted before there was one.
        """
        while not self._places.acquire(timeout=ABORT_INTERVAL):
            if execution.aborting:
                raise ExecutionAbortedError
        self._holders.add(id(execution))
        try:
            yield
        finally:
            self._holders.discard(id(execution))
            self._places.release()

    @contextlib.contextmanager
    def parked(self, execution: LiveExecution | None) -> Iterator[None]:
        """Give the place back, if there is one, while the block waits."""
        held = id(execution) in self._holders
        if held:
            self._places.release()
        try:
            yield
        finally:
            if held:
                self._places.acquire()


def _in_loop(function: Callable[[], object]) -> None:
    loop().asyncio.call_soon_threadsafe(function)
