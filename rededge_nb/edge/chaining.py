"""Chaining futures of `concurrent.futures`: what to do with a result when another thread brings it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def complete(future: Future[T], work: Callable[[], T]) -> None:
    """Set a future's result to what `work` returns, or its exception to what `work` raises.

    Nothing is raised here: the caller is a thread or a callback, where an exception would be lost and whoever waits
    for the future would wait for ever.
    """
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - passed on to whoever waits for the future
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
    else:
        future.set_result(result)


def then(
    future: Future[Any], on_result: Callable[[Any], T], on_error: Callable[[Exception], T] | None = None
) -> Future[T]:
    """A future with the value of `on_result(result)`; both functions run in the thread that completes `future`.

    Args:
        future: The future to wait for.
        on_result: Called with its result.
        on_error: Called with its exception; it returns a value or raises. Without it the exception is passed on.
    """
    following: Future[T] = Future()

    def value(done: Future[Any]) -> T:
        try:
            result = done.result()
        except Exception as error:
            if on_error is None:
                raise
            return on_error(error)
        return on_result(result)

    def follow(done: Future[Any]) -> None:
        # False if the following future was cancelled, for example by a coroutine whose time limit has passed
        if following.set_running_or_notify_cancel():
            complete(following, lambda: value(done))

    future.add_done_callback(follow)
    return following
