"""Where the threads of a run are."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from rededge_nb import assets
from rededge_nb.edge.ai import backends
from rededge_nb.edge.ai.backends import placement
from rededge_nb.edge.ai.backends.placement import Placement
from rededge_nb.models import load_card

if not hasattr(os, "sched_getaffinity"):
    pytest.skip("this system does not tell which processors a process may use", allow_module_level=True)

ALLOWED = sorted(os.sched_getaffinity(0))
all_of_several = pytest.mark.skipif(len(ALLOWED) < 2, reason="this process has one processor")


def test_threads_that_are_not_as_many_as_the_processors_are_left_to_the_kernel() -> None:
    for threads in (1, len(ALLOWED) + 1):
        apart = Placement(threads)
        assert apart.helpers == []
        with apart.of_run():
            assert os.sched_getaffinity(0) == set(ALLOWED)


@all_of_several
def test_after_a_pause_the_caller_has_the_processor_that_the_helpers_leave() -> None:
    apart = Placement(len(ALLOWED))
    assert apart.helpers == ALLOWED[1:]
    with apart.of_run():
        assert os.sched_getaffinity(0) == {ALLOWED[0]}
    assert os.sched_getaffinity(0) == set(ALLOWED)


@all_of_several
def test_a_caller_that_comes_soon_after_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = Placement(len(ALLOWED))
    with apart.of_run():
        pass
    monkeypatch.setattr(placement, "PAUSE", math.inf)
    with apart.of_run():
        assert os.sched_getaffinity(0) == set(ALLOWED)


@all_of_several
def test_the_caller_is_free_again_after_a_run_that_failed() -> None:
    apart = Placement(len(ALLOWED))
    with pytest.raises(ValueError, match="no model"), apart.of_run():
        raise ValueError("no model")
    assert os.sched_getaffinity(0) == set(ALLOWED)


@all_of_several
def test_onnx_runtimes_helpers_are_where_they_should_be() -> None:
    card = load_card(assets.model_card_file())
    before = set(Path("/proc/self/task").iterdir())
    model = backends.load(card.backend, card.read(), device="CPU", threads=len(ALLOWED))
    new = set(Path("/proc/self/task").iterdir()) - before
    wanted = {frozenset({number}) for number in ALLOWED[1:]}
    assert {frozenset(os.sched_getaffinity(int(task.name))) for task in new} >= wanted
    assert model.inputs, "the session must live as long as its threads are looked at"
