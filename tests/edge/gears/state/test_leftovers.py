"""Keys of registrations that were removed while a batch was running."""

from __future__ import annotations

from rededge_nb.edge.client import key_names
from rededge_nb.edge.client.state_database import state_client
from tests.edge.gears.own_server import Server
from tests.gear_scripts import execute, only_registration
from tests.waiting import wait_for


def test_keys_of_unknown_registrations_are_deleted_and_others_stay(own: Server) -> None:
    execute(own.client, "GB('StreamReader').foreach(lambda r: 1).register('s')")
    own.client.xadd("s", {"n": 1})
    wait_for(lambda: only_registration(own.client)["data"]["numSuccess"] >= 1, what="an entry", timeout=30)
    state = state_client(own.client)
    known = only_registration(own.client)["id"].decode()
    kept = key_names.registration_keys(state, known)["statistics"]
    left = key_names.registration_keys(state, "gone-1")
    state.hset(left["statistics"], "triggered", 1)
    state.rpush(left["executions"], "x")
    wait_for(lambda: not state.exists(left["statistics"], left["executions"]), what="the deletion", timeout=30)
    assert state.exists(kept) == 1
