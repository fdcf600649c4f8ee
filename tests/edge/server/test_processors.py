"""Which processors Redis is on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import redis

from rededge_nb.edge import processors, server
from rededge_nb.edge.server.instance import Instance

if not hasattr(os, "sched_getaffinity"):
    pytest.skip("this system does not tell which processors a process may use", allow_module_level=True)

ALLOWED = sorted(os.sched_getaffinity(0))
FEW = 1 < len(ALLOWED) <= processors.MAX_THREADS


def test_redis_leaves_the_first_of_few_processors_to_the_run(edge: Instance, client: redis.Redis) -> None:
    assert os.sched_getaffinity(edge.redis_pid) == set(ALLOWED[1:] if FEW else ALLOWED)
    whole = ",".join(map(str, ALLOWED)) if FEW else ""
    assert client.config_get("aof-rewrite-cpulist") == {"aof-rewrite-cpulist": whole}


def test_redis_is_where_it_may_be_on_one_processor(folder: Path) -> None:
    os.sched_setaffinity(0, ALLOWED[:1])
    try:
        instance = server.start(folder)
    finally:
        os.sched_setaffinity(0, ALLOWED)
    assert os.sched_getaffinity(instance.redis_pid) == {ALLOWED[0]}


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
