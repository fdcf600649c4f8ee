"""Since when a camera is silent, from what is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rededge_nb.edge.worker.silence import Signs, silence_of

NOW = 1_000_000
FEEDING = Signs(frame="900000-0", detected="900000-0", feeding_since=500_000, pace="realtime")
VANISHED = replace(FEEDING, feeding_since=None, pace="")
BROKEN = replace(
    FEEDING,
    frame="999000-0",
    detected="900000-0",
    undecodable="999000-0",
    undecodable_at=999_100,
    undecodable_reason="x",
)


@pytest.mark.parametrize(
    ("signs", "since_ms"),
    [
        (FEEDING, 900_000),
        (VANISHED, 900_000),
        (Signs(), None),
        # a capture that has begun, and has not sent a frame yet
        (Signs(feeding_since=700_000, pace="realtime"), 700_000),
        # recordings that are read as fast as possible wait for the gear
        (replace(FEEDING, pace="asap"), None),
        # captures that have ended
        (replace(VANISHED, ended_at="900000-0"), None),
        (replace(VANISHED, ended_at="900000-0", ended_problem="the network is gone"), 900_000),
        (replace(VANISHED, ended_at="800000-0"), 900_000),
        (Signs(ended_at=""), None),
        # a capture that begins after another one was stopped, or has vanished
        (replace(FEEDING, ended_at="900000-0", feeding_since=950_000), 950_000),
        (replace(FEEDING, feeding_since=905_000), 905_000),
        (replace(FEEDING, feeding_since=950_000), 910_000),
        # frames that cannot be decoded
        (BROKEN, 900_000),
        (replace(BROKEN, detected=""), 500_000),
        (replace(BROKEN, detected="999500-0"), 999_000),
        (replace(BROKEN, undecodable_at=900_500), 999_000),
        # a frame from the future of this clock
        (replace(FEEDING, frame="2000000-0"), NOW),
    ],
)
def test_since_when(signs: Signs, since_ms: int | None) -> None:
    assert silence_of(signs, NOW, 0).since_ms == since_ms


@pytest.mark.parametrize("signs", [FEEDING, VANISHED, BROKEN])
def test_nobody_was_watching_before(signs: Signs) -> None:
    assert silence_of(signs, NOW, 999_990).since_ms == 999_990


@pytest.mark.parametrize(
    ("signs", "words"),
    [
        (VANISHED, "nothing feeds the camera"),
        (replace(VANISHED, ended_at="900000-0", ended_problem="the network is gone"), "the network is gone"),
        (replace(FEEDING, problem="the camera is away"), "the camera is away"),
        (BROKEN, "cannot be decoded: x"),
    ],
)
def test_the_reason(signs: Signs, words: str) -> None:
    assert words in silence_of(signs, NOW, 0).reason
