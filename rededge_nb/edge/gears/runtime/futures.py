"""Futures and coroutines of gear code, and the event loop that the coroutines run on.

A step may return a future instead of a value: its record waits until some other code, in any thread or execution, says
how it goes on. In RedisGears this frees the thread for other executions. Here an execution keeps its thread, but gives
its slot (one of the three that execute at once) to another one while it waits, which has the same effect.

Coroutines of all gears share one event loop in one thread. asyncio was not made for code that may do anything, so:

- A coroutine that never awaits keeps the loop from running. When its execution is aborted it is interrupted by force
  after STUCK_AFTER seconds, in the same way as live.py does it.
- SystemExit and KeyboardInterrupt of a coroutine would end the loop: asyncio passes them on. The loop starts again.
- An interruption may strike inside asyncio itself, where nothing is sure any more. Then this loop ends, everybody who
  waits for one of its coroutines gets an error, and the next coroutine gets a new loop.
- `with atomic():` may not contain an `await`, because RedisGears holds the server's lock meanwhile. AtomicGuard, which
  wraps every task, raises an error there.
- A future that nobody can continue any more, because no code refers to it, must fail, or its record would wait for
  ever. Python tells us by `__del__`. So nothing of ours may keep a reference to it while its record waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, InvalidStateError
from typing import Any

from rededge_nb.edge.gears.runtime.atomic import current_block
from rededge_nb.edge.gears.runtime.context import Context, current
from rededge_nb.edge.gears.runtime.errors import ExecutionAbortedError, GearsError, GearsForceStopped, ServerAwayError
from rededge_nb.edge.gears.runtime.live import LiveExecution, raise_in_thread

logger = logging.getLogger(__name__)

STUCK_AFTER = 1.0
"""Seconds that a cancelled coroutine may take to end. One that does not await anything is interrupted then."""
ABORT_INTERVAL = 0.05
"""Seconds between two checks whether an execution that waits for a slot was aborted."""


class GearsFuture:
    """A step returns it to let its record wait for `continueRun` or `continueFailed`, from any thread or execution."""

    def __init__(self) -> None:
        context = current()
        if context.script is not None or context.execution is None:
            raise GearsError("Future object can only be created inside certain execution steps")
        if not context.futures_allowed:
            raise GearsError("Step does not support async")
        if not context.can_wait:
            raise GearsError("Creating async record is not allowed")
        if context.future is not None:
            raise GearsError("Can not create async record twice on the same step")
        context.future = self
        self._result: Future[Any] = Future()
        self._returned = False
        self._thread = threading.get_ident()

    def continueRun(self, value: Any) -> None:  # noqa: N802
        """Let the record go on, as if the step had returned `value`; before the step returns, if that is sooner."""
        self._check()
        with contextlib.suppress(InvalidStateError):  # the execution was aborted meanwhile
            self._result.set_result(value)

    def continueFailed(self, error: Any) -> None:  # noqa: N802
        """Let the step fail with a text as its error."""
        self._check()
        with contextlib.suppress(InvalidStateError):
            self._result.set_exception(FailedRecordError(str(error)))

    def returned_from_step(self) -> Future[Any]:
        """Allow the record to be continued; returns the future that its execution has to wait for."""
        self._returned = True
        return self._result

    def _check(self) -> None:
        # another thread or execution may be faster than the callback that returns the future: its value is kept
        if not self._returned and self._thread == threading.get_ident():
            raise GearsError("Can not handle future untill it returned from the callback")
        if self._result.done() and not self._result.cancelled():
            raise GearsError("Can not handle future twice")

    def __del__(self) -> None:
        if getattr(self, "_returned", False) and not self._result.done():
            self._result.set_exception(FailedRecordError("Async record did not called continue"))


class FailedRecordError(Exception):
    """A record's failure. Replies show its text alone, without a traceback."""


def resolve(context: Context, value: Any) -> Any:
    """The value that a callback returned; waits for it if it is a future or a coroutine."""
    future = begin(context, value)
    if future is None:
        return value
    value = None  # from now on only user code refers to it: see __del__
    return wait(context, future)


def begin(context: Context, value: Any) -> Future[Any] | None:
    """Begin to wait for what a callback returned, if it is a future or a coroutine; None for any other value."""
    if isinstance(value, GearsFuture):
        context.future = None
        return _begin_to_wait(context, value.returned_from_step)
    context.future = None
    if inspect.iscoroutine(value):
        if not context.futures_allowed:
            value.close()
            raise GearsError("coroutine are not allow on this step")
        if not context.can_wait:
            value.close()
            raise GearsError("Creating async record is not allowed")
        return _begin_to_wait(context, lambda: loop().submit(_with_bare_error(value)))
    return None


def _begin_to_wait(context: Context, start: Callable[[], Future[Any]]) -> Future[Any]:
    return start() if context.execution is None else context.execution.begin_to_wait(start)


async def _with_bare_error(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The coroutine's result. Its exceptions are reported by their text alone, as in RedisGears."""
    try:
        return await coroutine
    except (asyncio.CancelledError, GearsForceStopped, ServerAwayError):
        raise
    except Exception as error:
        raise FailedRecordError(str(error)) from error


def wait(context: Context, future: Future[Any]) -> Any:
    """The future's result; another execution may use this one's slot meanwhile."""
    if context.execution is None:
        return future.result()
    return context.execution.wait_for(future, lambda: context.executor.slot_released(context.execution))


class AtomicGuard(Coroutine[Any, Any, Any]):
    """A coroutine that gets an error where it awaits inside `with atomic():`."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        """Continue until it awaits something."""
        return self._checked(self._coroutine.send(value))

    def throw(self, *error: Any) -> Any:
        """Continue with an error."""
        return self._checked(self._coroutine.throw(*error))

    def close(self) -> None:
        """End it."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, None, Any]:
        """As a part of another coroutine, which has a guard of its own."""
        return self._coroutine.__await__()

    def _checked(self, awaited: Any) -> Any:
        while current_block() is not None:
            awaited = self._coroutine.throw(GearsError("await is not allow inside atomic block"))
        return awaited


class Loop:
    """The event loop of gear code, in a thread of its own."""

    def __init__(self) -> None:
        self.asyncio = asyncio.new_event_loop()
        self.asyncio.set_task_factory(
            lambda loop, coroutine, **options: asyncio.Task(AtomicGuard(coroutine), loop=loop, **options)
        )
        self._unfinished: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="gears-loop", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it accepts coroutines."""
        return self._thread.is_alive()

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Start a coroutine in the caller's context. Cancelling the future ends it, by force if necessary."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.asyncio)
        self._unfinished.add(future)
        future.add_done_callback(self._ended)
        if not self.running:
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
        """Interrupt the running task if the loop does nothing else for STUCK_AFTER seconds."""
        alive = threading.Event()
        self.asyncio.call_soon_threadsafe(alive.set)

        def watch() -> None:
            while not alive.wait(STUCK_AFTER) and self.running:
                if self._thread.ident is not None:
                    raise_in_thread(self._thread.ident, GearsForceStopped)

        threading.Thread(target=watch, name="gears-loop-watch", daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                try:
                    self._run_forever()
                except GearsForceStopped:  # a second one struck in the handler of the first
                    continue
        finally:
            self._fail_all()

    def _run_forever(self) -> None:
        asyncio.set_event_loop(self.asyncio)
        while True:
            try:
                self.asyncio.run_forever()
            except (GearsForceStopped, SystemExit, KeyboardInterrupt):
                continue  # the coroutine that raised it has ended with it; asyncio only passes it on


_loop: list[Loop] = []
_loop_lock = threading.Lock()


def loop() -> Loop:
    """The event loop; a new one at the first use, and after the last one has ended."""
    with _loop_lock:
        if not _loop or not _loop[0].running:
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
        except BaseException as error:  # SystemExit and a cancellation, too: the future must get an end, whatever it is
            if future is None:
                logger.exception("a coroutine of a gear failed")
            else:
                set_future_exception(future, error)
        else:
            if future is not None:
                set_future_results(future, result)

    loop().submit(work())


class Slots:
    """How many executions may run at once. One that waits for a future gives its slot to another."""

    def __init__(self, count: int) -> None:
        self._free = threading.Semaphore(count)
        self._holders: set[int] = set()

    @contextlib.contextmanager
    def held(self, execution: LiveExecution) -> Iterator[None]:
        """Hold a slot inside the block; waits until one is free.

        Raises:
            ExecutionAbortedError: the execution was aborted while it waited.
        """
        if not self._take(execution):
            raise ExecutionAbortedError
        try:
            yield
        finally:
            self._give_back(execution)

    @contextlib.contextmanager
    def released(self, execution: LiveExecution | None) -> Iterator[None]:
        """Give the execution's slot to others inside the block, if it holds one.

        It takes a slot again afterwards, unless it was aborted: its end needs none, and must not wait for others.
        """
        holds = execution is not None and self._give_back(execution)
        try:
            yield
        finally:
            if holds and execution is not None:
                self._take(execution)

    def _take(self, execution: LiveExecution) -> bool:
        """Wait for a free slot and take it; False if the execution was aborted meanwhile."""
        while not self._free.acquire(timeout=ABORT_INTERVAL):
            if execution.aborting:
                return False
        self._holders.add(id(execution))
        return True

    def _give_back(self, execution: LiveExecution) -> bool:
        """Release the execution's slot; False if it has none."""
        if id(execution) not in self._holders:
            return False
        self._holders.discard(id(execution))
        self._free.release()
        return True


def _in_loop(function: Callable[[], object]) -> None:
    loop().asyncio.call_soon_threadsafe(function)
