"""Chaining futures."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future

import pytest

from rededge_nb.edge.chaining import complete, then

PATIENCE = 20.0


def failed(error: BaseException) -> Future[int]:
    future: Future[int] = Future()
    future.set_exception(error)
    return future


def test_the_result_is_passed_on() -> None:
    first: Future[int] = Future()
    following = then(first, lambda value: value + 1)
    assert not following.done()
    first.set_result(1)
    assert following.result(PATIENCE) == 2


def test_errors_of_the_future_and_of_the_function_are_passed_on() -> None:
    with pytest.raises(KeyError):
        then(failed(KeyError("k")), lambda value: value).result(PATIENCE)
    first: Future[int] = Future()
    first.set_result(0)
    with pytest.raises(ZeroDivisionError):
        then(first, lambda value: 1 // value).result(PATIENCE)


def test_on_error_returns_another_value_or_raises() -> None:
    assert then(failed(KeyError("k")), str, lambda error: f"no {error}").result(PATIENCE) == "no 'k'"

    def refuse(error: Exception) -> str:
        raise ValueError("refused") from error

    with pytest.raises(ValueError, match="refused"):
        then(failed(KeyError("k")), str, refuse).result(PATIENCE)


def test_on_error_is_not_called_for_an_error_of_on_result() -> None:
    first: Future[int] = Future()
    first.set_result(0)
    with pytest.raises(ZeroDivisionError):
        then(first, lambda value: 1 // value, lambda error: 7).result(PATIENCE)


def test_a_cancelled_future_cancels_what_follows() -> None:
    first: Future[int] = Future()
    following = then(first, lambda value: value)
    first.cancel()
    with pytest.raises(CancelledError):
        following.result(PATIENCE)


def test_a_result_that_nobody_waits_for_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    first: Future[int] = Future()
    seen: list[int] = []
    following = then(first, seen.append)
    assert following.cancel()
    first.set_result(1)
    assert seen == []
    assert not caplog.records


def test_whoever_waits_learns_even_of_an_exit() -> None:
    future: Future[int] = Future()

    def leave() -> int:
        raise SystemExit(3)

    complete(future, leave)
    with pytest.raises(RuntimeError, match=r"SystemExit\(3\)"):
        future.result(PATIENCE)
