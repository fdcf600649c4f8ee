"""A little of every kind of nonsense in files, parameters and WebSocket messages; `make fuzz` tries 100,000 inputs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import redis

from rededge_nb.edge.server.state import Instance
from tests.faults.fuzz.kinds import run


@pytest.mark.parametrize(
    ("kind", "count"), [("yaml", 200), ("video", 150), ("parameters", 300), ("http", 200), ("websocket", 300)]
)
def test_nonsense_is_refused_with_a_reason(
    edge: Instance, client: redis.Redis, tmp_path: Path, kind: str, count: int
) -> None:
    tally = run(kind, edge, tmp_path, count)
    assert tally.mishaps == []
    assert tally.inputs == count
    assert 10 < tally.refused < count


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg command, to compare with")
def test_damaged_videos_have_the_frames_that_ffmpeg_decodes(
    edge: Instance, client: redis.Redis, tmp_path: Path
) -> None:
    tally = run("decoding", edge, tmp_path, 40)
    assert tally.mishaps == []
    assert tally.inputs == 40
    assert 5 < tally.refused < 40
