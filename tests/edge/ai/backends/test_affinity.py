"""On which processors the threads of a run are, as the operating system reports it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rededge_nb import assets
from rededge_nb.control.models import load_card
from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.backends.affinity import ThreadAffinity

if not hasattr(os, "sched_getaffinity"):
    pytest.skip("this system does not report which processors a process may use", allow_module_level=True)

ALLOWED = sorted(os.sched_getaffinity(0))
needs_two_processors = pytest.mark.skipif(len(ALLOWED) < 2, reason="this process may use one processor only")


@contextmanager
def helpers(processors: list[int]) -> Iterator[list[int]]:
    """Ids of idle threads, each pinned to one of the processors, as ONNX Runtime starts its threads."""
    ids, pinned, end = [], threading.Barrier(len(processors) + 1), threading.Event()

    def idle(processor: int) -> None:
        os.sched_setaffinity(0, {processor})
        ids.append(threading.get_native_id())
        pinned.wait()
        end.wait()

    threads = [threading.Thread(target=idle, args=(processor,)) for processor in processors]
    for thread in threads:
        thread.start()
    pinned.wait()
    yield ids
    end.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def adopted() -> Iterator[tuple[ThreadAffinity, list[int]]]:
    """The affinity of runs that use all processors, and the ids of its helper threads."""
    affinity = ThreadAffinity(len(ALLOWED))
    with affinity.adopt():
        started = helpers(affinity.initial)
        ids = started.__enter__()
    yield affinity, ids
    started.__exit__(None, None, None)


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ALLOWED)


def processors_of(threads: list[int]) -> list[set[int]]:
    return sorted((os.sched_getaffinity(thread) for thread in threads), key=min)


@pytest.mark.parametrize("threads", [1, len(ALLOWED) + 1])
def test_runs_that_do_not_use_all_processors_are_not_pinned(threads: int) -> None:
    affinity = ThreadAffinity(threads)
    assert affinity.initial == []
    with affinity.adopt(), affinity.pinned():
        assert os.sched_getaffinity(0) == set(ALLOWED)


@needs_two_processors
def test_threads_that_are_pinned_otherwise_are_not_adopted() -> None:
    affinity = ThreadAffinity(len(ALLOWED))
    with affinity.adopt():
        started = helpers([ALLOWED[0]] * (len(ALLOWED) - 1))
        ids = started.__enter__()
    with on_processor(ALLOWED[0]), affinity.pinned():
        assert all(numbers == {ALLOWED[0]} for numbers in processors_of(ids))
    started.__exit__(None, None, None)


@needs_two_processors
def test_each_helper_has_a_processor_on_which_the_caller_is_not(adopted: tuple[ThreadAffinity, list[int]]) -> None:
    affinity, ids = adopted
    for number in ALLOWED:
        with on_processor(number):
            with affinity.pinned():
                assert os.sched_getaffinity(0) == {number}
                assert processors_of(ids) == [{other} for other in ALLOWED if other != number]
            assert os.sched_getaffinity(0) == {number}, "the caller's own affinity is restored"


@needs_two_processors
def test_a_caller_that_may_use_all_processors_stays_on_one(adopted: tuple[ThreadAffinity, list[int]]) -> None:
    affinity, ids = adopted
    with affinity.pinned():
        (number,) = os.sched_getaffinity(0)
        assert processors_of(ids) == [{other} for other in ALLOWED if other != number]
    assert os.sched_getaffinity(0) == set(ALLOWED)


@needs_two_processors
def test_helpers_are_not_moved_while_another_thread_runs_the_model(adopted: tuple[ThreadAffinity, list[int]]) -> None:
    affinity, ids = adopted
    begun, end = threading.Event(), threading.Event()

    def other() -> None:
        os.sched_setaffinity(0, {ALLOWED[0]})
        with affinity.pinned():
            begun.set()
            end.wait()

    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(10.0)
    before = processors_of(ids)
    with on_processor(ALLOWED[1]), affinity.pinned():
        assert processors_of(ids) == before
    end.set()
    thread.join()


@needs_two_processors
def test_the_caller_is_released_after_a_run_that_failed(adopted: tuple[ThreadAffinity, list[int]]) -> None:
    affinity, _ = adopted
    with pytest.raises(ValueError, match="no model"), affinity.pinned():
        raise ValueError("no model")
    assert os.sched_getaffinity(0) == set(ALLOWED)


@needs_two_processors
def test_the_threads_of_onnx_runtime_avoid_the_caller() -> None:
    before = threads_of_process()
    card = load_card(assets.model_card_file())
    source = backends.ModelSource(card.read())
    model = backends.load(card.backend, source, device="CPU", threads=len(ALLOWED))
    # the thread of the time limit is started by the first run, and is not pinned
    ids = [thread for thread in threads_of_process() - before if len(os.sched_getaffinity(thread)) == 1]
    image = np.zeros((1, *card.input_wh[::-1], 3), np.uint8)
    for number in reversed(ALLOWED):
        with on_processor(number):
            model.run([image])
            assert processors_of(ids) == [{other} for other in ALLOWED if other != number]


def threads_of_process() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}
