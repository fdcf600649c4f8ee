"""Which gear is blamed for the death of a worker."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from rededge_nb.edge.gears.chain.code_identity import code_identity
from rededge_nb.edge.gears.runtime.gear import Step
from rededge_nb.edge.gears.state import crashes
from rededge_nb.edge.gears.state.crashes import CrashGuard, RetrySlot, Verdict
from tests.edge.bare_redis import bare_redis
from tests.waiting import wait_for

PATIENCE = 20.0


class Workers:
    """Workers one after the other: `die()` ends the present one and starts the next."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.number = 1

    @property
    def id(self) -> str:
        return f"worker-{self.number}"

    def alive(self, worker_id: str) -> bool:
        return worker_id == self.id

    def die(self) -> None:
        self.number += 1

    def guard(self, registration: str, code: str | None = None) -> CrashGuard:
        return CrashGuard(self.client, self, registration, code)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server() -> Iterator[redis.Redis]:
    with bare_redis() as running, running.client() as client:
        yield client


@pytest.fixture
def workers(server: redis.Redis) -> Workers:
    server.flushall()
    return Workers(server)


def try_and_die(workers: Workers, registration: str, place: str, *, code: str | None = None, **options: Any) -> Verdict:
    """Have a worker try the entry 1-0 of a stream, unless it may not, and die over it."""
    guard = workers.guard(registration, code)
    verdict = guard.verdict(place, "1-0")
    if verdict is Verdict.GO:
        guard.begin(place, "1-0", **options)
        workers.die()
    return verdict


def test_two_deaths_while_an_entry_was_tried_alone_are_enough(workers: Workers) -> None:
    assert [try_and_die(workers, "r", "s") for _ in range(3)] == [Verdict.GO, Verdict.GO, Verdict.CRASHED]
    assert try_and_die(workers, "r", "s") is Verdict.GO, "after a pause it has all attempts again"


def test_a_death_before_there_was_a_note_counts(workers: Workers) -> None:
    guard = workers.guard("r")
    assert guard.verdict("s", "1-0", crashes=1) is Verdict.GO
    guard.begin("s", "1-0")
    workers.die()
    guard = workers.guard("r")
    assert guard.verdict("s", "1-0", crashes=1) is Verdict.CRASHED
    assert guard.deaths == 2


def test_deaths_while_others_were_tried_too_count_half(workers: Workers) -> None:
    verdicts = [try_and_die(workers, "r", "s", alone=False) for _ in range(5)]
    assert verdicts == [Verdict.GO] * 4 + [Verdict.CRASHED]


def test_one_that_was_not_alone_to_the_end_counts_half(workers: Workers) -> None:
    for _ in range(3):
        guard = workers.guard("r")
        assert guard.verdict("s", "1-0") is Verdict.GO
        guard.begin("s", "1-0")
        guard.not_alone("s")
        workers.die()
    assert workers.guard("r").verdict("s", "1-0") is Verdict.GO


def test_nothing_is_tried_while_the_worker_that_tries_it_is_alive(workers: Workers) -> None:
    workers.guard("r").begin("s", "1-0")
    other = Workers(workers.client)
    other.number = 2
    other.alive = lambda worker_id: True  # type: ignore[method-assign]
    assert other.guard("r").verdict("s", "1-0") is Verdict.WAIT


@pytest.mark.parametrize("ending", [CrashGuard.survived, lambda guard, place: guard.left_on_purpose(place, "1-0")])
def test_an_attempt_that_nobody_died_over_does_not_count(
    workers: Workers, ending: Callable[[CrashGuard, str], None]
) -> None:
    for _ in range(5):
        guard = workers.guard("r")
        assert guard.verdict("s", "1-0") is Verdict.GO
        guard.begin("s", "1-0")
        ending(guard, "s")
        workers.die()


def test_another_entry_begins_from_zero(workers: Workers) -> None:
    try_and_die(workers, "r", "s")
    try_and_die(workers, "r", "s")
    assert workers.guard("r").verdict("s", "2-0") is Verdict.GO


def test_code_that_crashed_workers_on_two_streams_may_not_be_tried_anywhere(workers: Workers) -> None:
    assert try_and_die(workers, "r1", "camera:1", code="c") is Verdict.GO
    assert try_and_die(workers, "r2", "camera:2", code="c") is Verdict.GO
    assert workers.guard("r1", "c").verdict("camera:1", "1-0") is Verdict.GO, "one death is not enough by itself"
    assert workers.guard("r2", "c").verdict("camera:2", "1-0") is Verdict.CODE_CRASHED
    assert workers.guard("r2", "c").verdict("camera:2", "1-0") is Verdict.GO, "after a pause all have all attempts"


@pytest.mark.parametrize("code", [None, "another"])
def test_deaths_over_different_code_are_not_added(workers: Workers, code: str | None) -> None:
    try_and_die(workers, "r1", "camera:1", code="c")
    try_and_die(workers, "r2", "camera:2", code=code)
    assert workers.guard("r1", "c").verdict("camera:1", "1-0") is Verdict.GO
    assert workers.guard("r2", code).verdict("camera:2", "1-0") is Verdict.GO


def test_a_stream_on_which_the_code_has_survived_since_does_not_count(workers: Workers) -> None:
    try_and_die(workers, "r1", "camera:1", code="c")
    guard = workers.guard("r1", "c")
    assert guard.verdict("camera:1", "1-0") is Verdict.GO
    guard.begin("camera:1", "1-0")
    guard.survived("camera:1")
    try_and_die(workers, "r2", "camera:2", code="c")
    assert workers.guard("r2", "c").verdict("camera:2", "1-0") is Verdict.GO


def test_crashes_of_code_are_forgotten_after_a_while(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashes, "CODE_TTL_MS", 1)
    try_and_die(workers, "r1", "camera:1", code="c")
    workers.guard("r1", "c").verdict("camera:1", "1-0")
    wait_for(lambda: not workers.client.keys("*crashes*"), what="the count to expire")


def test_one_batch_is_tried_at_a_time() -> None:
    slot, order = RetrySlot(cautious=False), []
    assert slot.enter("first", lambda: order.append("not alone"))

    def second() -> None:
        order.append(f"second, alone: {slot.enter('second', print)}")

    thread = threading.Thread(target=second)
    thread.start()
    order.append("first ends")
    slot.leave("first")
    thread.join(PATIENCE)
    assert order == ["first ends", "second, alone: True"]


def test_a_batch_that_takes_long_does_not_block_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashes, "ALONE_TIMEOUT", 0.01)
    slot, told = RetrySlot(cautious=False), []
    assert slot.enter("first", lambda: told.append("first"))
    assert not slot.enter("second", lambda: told.append("second"))
    assert not slot.enter("third", print)
    assert told == ["first", "first", "second"]


def test_after_a_death_nothing_is_tried_before_all_runners_have_read_their_notes() -> None:
    cautious, usual = RetrySlot(cautious=True), RetrySlot(cautious=False)
    entered = threading.Event()
    cautious.close_briefly()
    threading.Thread(target=lambda: (cautious.enter("first", print), entered.set())).start()
    assert not entered.wait(0.05)
    usual.close_briefly()
    assert usual.enter("first", print)
    assert entered.wait(PATIENCE)


def function_of(script: str) -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec(script, names)
    function: Callable[..., Any] = names["f"]
    return function


SAME = [
    ("f = lambda r: r['value'] + 1", "# another text\n\nf = lambda r: r['value'] + 1"),
    (
        "def f(r):\n def g(x): return {x, 'a'}\n return g(r)",
        "x = 5\ndef f(r):\n def g(x): return {x, 'a'}\n return g(r)",
    ),
]
DIFFERENT = [
    ("f = lambda r: r['value'] + 1", "f = lambda r: r['value'] + 2"),
    ("f = lambda r: int(r)", "f = lambda r: str(r)"),
    ("f = lambda r, n=1: r", "f = lambda r, n=2: r"),
    ("f = int", "f = str"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_code_of_two_scripts_is_recognised(one: str, other: str) -> None:
    assert code_identity([Step("map", function_of(one))]) == code_identity([Step("map", function_of(other))])


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_code_is_told_apart(one: str, other: str) -> None:
    assert code_identity([Step("map", function_of(one))]) != code_identity([Step("map", function_of(other))])
    assert code_identity([Step("map", function_of(one))]) != code_identity([Step("filter", function_of(one))])


def test_arguments_of_steps_and_partial_functions_matter() -> None:
    assert code_identity([Step("limit", argument=3)]) != code_identity([Step("limit", argument=4)])
    partials = [functools.partial(max, number) for number in (1, 1, 2)]
    first, same, other = (code_identity([Step("map", each)]) for each in partials)
    assert first == same != other
