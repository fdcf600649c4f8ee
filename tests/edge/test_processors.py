"""Which processors a run uses."""

from __future__ import annotations

import pytest

from rededge_nb.edge import processors


@pytest.mark.parametrize(
    ("allowed", "threads", "used"),
    [
        ([0, 1], 2, [0, 1]),
        ([2, 5, 7], 3, [2, 5, 7]),
        ([0, 1], 1, []),
        (list(range(8)), 4, []),
        ([3], 1, []),
        ([], 2, []),
    ],
)
def test_a_run_uses_all_processors_if_it_has_as_many_threads(
    allowed: list[int], threads: int, used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "allowed", lambda: allowed)
    assert processors.used_by_run(threads) == used
