"""A few seconds of gears that call each other; `make deadlocks` does it for ten minutes."""

from __future__ import annotations

import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from tests.faults.hook_calls import CLIENTS, COMMANDS, PATIENCE, call_each_other

SECONDS = 6


def test_gears_that_call_each_other_do_not_wait_for_ever(client: redis.Redis, edge: Instance) -> None:
    answered = call_each_other(lambda: client_from_url(edge.url, timeout=PATIENCE), SECONDS)
    assert answered.keys() == COMMANDS.keys()
    assert min(answered.values()) >= CLIENTS
