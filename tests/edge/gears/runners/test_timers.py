"""Timers that gears start with registerTE."""

from __future__ import annotations

import base64
import json
import pickle
import sys
from pathlib import Path

import pytest
import redis

from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client
from rededge_nb.edge.gears.state import stored_code
from rededge_nb.edge.server.state import Instance
from tests.edge.worker.test_worker import workers_of
from tests.gear_scripts import execute
from tests.waiting import wait_for


def test_a_timer_without_a_key_runs_until_it_raises(client: redis.Redis) -> None:
    script = """
def tick():
    if execute('INCR', 'ticks') == 3:
        raise ValueError('enough')
registerTE(0.01, tick)
"""
    execute(client, script)
    wait_for(lambda: client.get("ticks") == b"3", what="the last call")


def test_a_timer_with_a_key_runs_until_the_key_is_deleted(client: redis.Redis) -> None:
    execute(client, "registerTE(0.01, lambda: execute('INCR', 'ticks'), 'my timer')")
    wait_for(lambda: int(client.get("ticks") or 0) > 2, what="calls")
    assert client.exists("my timer")
    client.delete("my timer")
    wait_for(lambda: not state_client(client).exists("rededge:gears:owner:timer my timer"), what="its end")
    ticks = client.get("ticks")
    assert client.get("ticks") == ticks


def stored_timer(pickled: bytes) -> str:
    """A timer that loads this pickle as its function."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    function = base64.b64encode(pickled).decode()
    return json.dumps({"format": stored_code.FORMAT, "python": python, "seconds": 0.01, "function": function})


SPOILT = [
    ("SET", "spoilt", "text"),
    ("SET", "spoilt", "{}"),
    ("SET", "spoilt", stored_timer(pickle.dumps("no function"))),
    ("RPUSH", "spoilt", "a list"),
]


@pytest.mark.parametrize("command", SPOILT)
def test_a_timer_whose_key_holds_something_else_ends_and_others_go_on(
    client: redis.Redis, edge: Instance, command: tuple[object, ...]
) -> None:
    (worker,) = workers_of(edge.pid)
    # as a timer that its worker has lost, and whose key somebody has overwritten meanwhile
    client.execute_command(*command)
    state_client(client).sadd(key_names.timers(client), "spoilt")
    wait_for(lambda: not state_client(client).scard(key_names.timers(client)), what="its end")
    execute(client, "registerTE(0.01, lambda: execute('INCR', 'ticks'), 'other')")
    wait_for(lambda: int(client.get("ticks") or 0) > 2, what="calls of another timer")
    assert client.exists("spoilt"), "what is there is not ours to delete"
    assert not state_client(client).exists(key_names.lease(client, "timer spoilt"))
    assert workers_of(edge.pid) == [worker]


def test_a_timer_waits_until_a_module_is_installed(client: redis.Redis, tmp_path: Path) -> None:
    # the pickle of a reference to tick_module.tick: loading it imports the module
    client.set("timer", stored_timer(b"ctick_module\ntick\n."))
    state_client(client).sadd(key_names.timers(client), "timer")
    execute(client, f"import sys\nsys.path.append({str(tmp_path)!r})")
    (tmp_path / "tick_module.py").write_text(
        "import redisgears\ndef tick():\n    redisgears.executeCommand('INCR', 'n')\n"
    )
    wait_for(lambda: int(client.get("n") or 0) > 2, what="calls after the module was installed")
