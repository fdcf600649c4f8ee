"""A switchboard with commands of its own, for tests in which bare connections act as callers and workers."""

from __future__ import annotations

import pytest
import redis

from tests.edge.bare_redis import Wire
from tests.waiting import wait_for

NEVER = 3_600_000
CLASSES = (
    f"main,0,{NEVER},100",
    f"other,0,{NEVER},100",
    "nobody,0,0,100",
    "graced,0,250,100",
    f"hasty,250,{NEVER},100",
    f"narrow,0,{NEVER},2",
)
COMMANDS = (
    "T.CALL,main,-1,,,",
    "T.OTHER,other,-1,,,",
    "T.NOBODY,nobody,-1,readonly,read,",
    "T.GRACED,graced,-1,,,",
    "T.HASTY,hasty,-1,,,",
    "T.NARROW,narrow,-1,,,",
    "T.ONE,nobody,2,write,write,w",
    "T.ALL,nobody,-2,readonly,read,r*",
    "T.MIXED,nobody,-2,write,write,. rw w*",
    "AI.MODELEXECUTE,nobody,-6,write,write,r INPUTS:r OUTPUTS:w",
    "RG.PYEXECUTE,nobody,-2,,dangerous,",
)


SIGNS_OF_A_CRASH = ("REDIS BUG REPORT", "ERROR: AddressSanitizer", "runtime error:")


def module_arguments(classes: tuple[str, ...] = CLASSES, commands: tuple[str, ...] = COMMANDS) -> list[str]:
    words = [word for text in commands for word in ("CMD", text)]
    return words + [word for text in classes for word in ("CLASS", text)]


def state(client: redis.Redis, name: str) -> dict[str, int]:
    """The counters of a class in INFO."""
    return client.info("rededge_switchboard")[f"rededge_{name}"]


def take(worker: Wire, *, count: int = 1, classes: tuple[str, ...] = ("main",)) -> list[list]:
    """Calls for a worker, which asks again when the switchboard wants that: after another worker has gone."""
    while True:
        if (calls := worker.call("EDGE.NEXT", count, *classes)) is not None:
            return calls


def wait_until(client: redis.Redis, name: str, **expected: int) -> None:
    wait_for(lambda: expected.items() <= state(client, name).items(), what=f"{name} to have {expected}")


def skip_without_categories(client: redis.Redis) -> None:
    if [int(part) for part in client.info("server")["redis_version"].split(".")[:2]] < [7, 2]:
        pytest.skip("before Redis 7.2 a module's command cannot join an ACL category")
