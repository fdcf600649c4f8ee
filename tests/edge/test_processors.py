"""How many processors a run takes."""

from __future__ import annotations

import pytest

from rededge_nb.edge import processors


@pytest.mark.parametrize(
    ("allowed", "threads", "taken"),
    [
        ([0, 1], 2, [0, 1]),
        ([2, 5, 7], 3, [2, 5, 7]),
        ([0, 1], 1, []),
        (list(range(8)), 4, []),
        ([3], 1, []),
        ([], 2, []),
    ],
)
def test_a_run_has_processors_of_its_own_where_it_takes_all(
    allowed: list[int], threads: int, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "allowed", lambda: allowed)
    assert processors.taken_by_run(threads) == taken
