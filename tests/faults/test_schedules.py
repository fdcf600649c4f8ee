"""A few scheduled runs in fast motion; `make schedules` makes a hundred."""

from __future__ import annotations

from pathlib import Path

from rededge_nb.edge.server.state import Instance
from tests.faults.schedules import planned, run


def test_list_retries_events_messages_and_comparison_of_scheduled_runs(
    edge: Instance, own_state_folder: Path, tmp_path: Path
) -> None:
    plan = planned(3, failing=1, failing_once=1, killed=1, seed=2)
    assert run(plan, own_state_folder / "state", tmp_path) == []
