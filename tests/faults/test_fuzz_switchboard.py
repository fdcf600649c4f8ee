"""Nonsense for the edge module; `make asan` runs it against a build with sanitizers."""

from __future__ import annotations

import random

import pytest

from tests.faults.fuzz.switchboard import switchboard_kind
from tests.faults.fuzz.world import Tally


@pytest.mark.parametrize("seed", range(2))
def test_the_switchboard_survives_nonsense(seed: int) -> None:
    tally = Tally()
    switchboard_kind(random.Random(seed), 700, tally)
    assert tally.mishaps == []
    assert 100 < tally.refused < tally.inputs == 700
