"""A few random kills; `make kills` does two hundred."""

from __future__ import annotations

from tests.faults.kills import run

KILLS, STOPS = 6, 2


def test_no_frame_is_lost_when_processes_are_killed() -> None:
    outcome = run(KILLS, STOPS, seed=2)
    shown = "\n".join(outcome.lines())
    assert outcome.account is not None
    assert outcome.account.broken_promises() == [], shown
    assert (sum(outcome.kills.values()), sum(outcome.stops.values())) == (KILLS, STOPS)
    assert outcome.account.detected > 0, shown
    assert outcome.account.refused > 0, shown
