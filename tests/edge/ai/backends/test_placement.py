"""Where the threads of a run are."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from rededge_nb import assets
from rededge_nb.control.models import load_card
from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.backends.onnx import OnnxModel
from rededge_nb.edge.ai.backends.placement import Placement

if not hasattr(os, "sched_getaffinity"):
    pytest.skip("this system does not tell which processors a process may use", allow_module_level=True)

ALLOWED = sorted(os.sched_getaffinity(0))
all_of_several = pytest.mark.skipif(len(ALLOWED) < 2, reason="this process has one processor")


@pytest.fixture
def placed() -> Iterator[Placement]:
    """The placement of a model whose runs take all processors."""
    card = load_card(assets.model_card_file())
    model = backends.load(card.backend, card.read(), device="CPU", threads=len(ALLOWED))
    assert isinstance(model, OnnxModel)
    yield model._placement
    assert model.inputs, "the threads live as long as the model does"


@pytest.mark.parametrize("threads", [1, len(ALLOWED) + 1])
def test_threads_that_are_not_as_many_as_the_processors_are_left_to_the_kernel(threads: int) -> None:
    placement = Placement(threads)
    assert placement.at_first == []
    with placement.of_helpers(), placement.of_run():
        assert os.sched_getaffinity(0) == set(ALLOWED)


@all_of_several
def test_each_helper_has_a_processor_that_the_caller_is_not_on(placed: Placement) -> None:
    for here in ALLOWED:
        os.sched_setaffinity(0, {here})
        try:
            with placed.of_run():
                assert os.sched_getaffinity(0) == {here}
                assert _processors(placed) == [{number} for number in ALLOWED if number != here]
            assert os.sched_getaffinity(0) == {here}, "the caller has what it had before"
        finally:
            os.sched_setaffinity(0, ALLOWED)


@all_of_several
def test_a_caller_that_may_be_anywhere_stays_on_one_processor(placed: Placement) -> None:
    with placed.of_run():
        (here,) = os.sched_getaffinity(0)
        assert _processors(placed) == [{number} for number in ALLOWED if number != here]
    assert os.sched_getaffinity(0) == set(ALLOWED)


@all_of_several
def test_helpers_at_work_for_another_caller_stay(placed: Placement) -> None:
    begun, end = threading.Event(), threading.Event()

    def other() -> None:
        os.sched_setaffinity(0, {ALLOWED[0]})
        with placed.of_run():
            begun.set()
            end.wait()

    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(10.0)
    before = _processors(placed)
    os.sched_setaffinity(0, {ALLOWED[1]})
    try:
        with placed.of_run():
            assert _processors(placed) == before
    finally:
        os.sched_setaffinity(0, ALLOWED)
        end.set()
        thread.join()


@all_of_several
def test_the_caller_is_free_again_after_a_run_that_failed(placed: Placement) -> None:
    with pytest.raises(ValueError, match="no model"), placed.of_run():
        raise ValueError("no model")
    assert os.sched_getaffinity(0) == set(ALLOWED)


def _processors(placement: Placement) -> list[set[int]]:
    return sorted((os.sched_getaffinity(helper) for helper in placement._helpers), key=min)
