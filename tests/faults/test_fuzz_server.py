"""A little of every kind of nonsense that reaches Redis and the workers; `make fuzz` tries 100,000 inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from rededge_nb.edge.server.state import Instance
from tests.faults.fuzz.kinds import run


@pytest.mark.parametrize(("kind", "count"), [("frames", 400), ("ai", 800), ("rg", 500), ("keys", 800)])
def test_nonsense_is_refused_and_everything_continues(
    edge: Instance, client: redis.Redis, tmp_path: Path, kind: str, count: int
) -> None:
    tally = run(kind, edge, tmp_path, count)
    assert tally.mishaps == []
    assert tally.inputs == count
    assert count / 2 < tally.refused < count
    assert client.execute_command("RG.PYEXECUTE", "GB('ShardsIDReader').run()") == [[b"1"], []]


def test_the_search_for_keys_that_can_be_hidden_finds_them(
    edge: Instance, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with a user who may use all keys: what is looked for is there."""
    monkeypatch.setattr("tests.faults.fuzz.commands.KEYS_OF_THE_USER", "~*")
    assert run("keys", edge, tmp_path, 200).mishaps != []
