"""The RG.* commands about registrations and sessions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from rededge_nb.edge.client.state_database import state_client
from tests.gear_scripts import execute, fields, only_registration, registrations
from tests.waiting import wait_for

SHARD = b"0" * 40


def test_a_script_that_registers_and_runs_replies_ok_and_is_described_completely(client: redis.Redis) -> None:
    script = """
import asyncio
GB('StreamReader', desc='twice').map(lambda r: r).register('s:*', batch=3, duration=20, trimStream=False)
GB('StreamReader').run('nothing')
"""
    assert execute(client, script, "ID", "mine", "DESCRIPTION", "a session") == b"OK"
    registration = only_registration(client)
    assert registration["id"].startswith(SHARD + b"-")
    assert registration["reader"] == b"StreamReader"
    assert registration["desc"] == b"twice"
    assert registration["ExecutionThreadPool"] == b"DefaultPool"
    assert b"'sessionName':'mine', 'sessionDescription':'a session'" in registration["PD"]
    assert registration["args"] == {
        "batchSize": 3,
        "durationMS": 20,
        "stream": b"s:*",
        "trimStream": 0,
        "onFailedPolicy": b"continue",
        "retryInterval": 1,
    }
    # clients index by position
    data = registration["RegistrationData"]
    assert data[:2] == [b"mode", b"async"]
    assert [data[index] for index in (2, 4, 6, 8, 20, 24)] == [
        b"numTriggered", b"numSuccess", b"numFailures", b"numAborted", b"lastError", b"status",
    ]  # fmt: skip
    assert data[21] is None
    assert data[25] == b"OK"


def test_upgrade_replaces_a_session_in_one_step(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').register('a')\nGB('StreamReader').register('b')", "ID", "mine")
    with pytest.raises(redis.ResponseError, match="Session mine already exists"):
        execute(client, "GB('StreamReader').register('c')", "ID", "mine")
    execute(client, "GB('StreamReader').register('c')", "ID", "mine", "UPGRADE")
    assert [registration["args"]["stream"] for registration in registrations(client)] == [b"c"]
    with pytest.raises(redis.ResponseError, match="ValueError"):
        execute(client, "GB('StreamReader').register('d')\nraise ValueError()", "ID", "mine", "UPGRADE")
    assert [registration["args"]["stream"] for registration in registrations(client)] == [b"c"]
    execute(client, "GB('StreamReader').register('e')", "ID", "yours", "REPLACE_WITH", "mine")
    assert [registration["args"]["stream"] for registration in registrations(client)] == [b"e"]


def test_unregister(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').register('a')\nGB('StreamReader').register('b')")
    first, second = (registration["id"] for registration in registrations(client))
    assert client.execute_command("RG.UNREGISTER", first) == b"OK"
    assert [registration["id"] for registration in registrations(client)] == [second]
    with pytest.raises(redis.ResponseError, match="execution is not registered"):
        client.execute_command("RG.UNREGISTER", first)
    assert client.execute_command("rg.unregister", second, "abortpending") == b"OK"
    assert registrations(client) == []

    def left() -> list[bytes]:
        return [
            key for key in state_client(client).keys("rededge:gears:*") if b"session:" in key or b"registration:" in key
        ]

    wait_for(lambda: left() == [], what="the removal of their keys")


def sessions(client: redis.Redis, *words: str) -> list[dict[str, object]]:
    return [fields(one) for one in client.execute_command("RG.PYDUMPSESSIONS", *words)]


WAITS = """
import time
def wait(x):
    execute('SET', 'began', 1)
    while not execute('EXISTS', 'end'):
        time.sleep(0.01)
"""


@pytest.mark.parametrize("end", ["unregistered", "replaced", "replaced while a run goes on"])
def test_a_session_is_dead_while_its_executions_go_on(client: redis.Redis, end: str) -> None:
    script = WAITS + "GB('CommandReader').foreach(wait).register(trigger='t')\n"
    if end == "replaced while a run goes on":
        script += "GB('ShardsIDReader').foreach(wait).run()"
    execute(client, script, "ID", "s", "DESCRIPTION", "waits")
    with ThreadPoolExecutor(1) as pool:
        if end != "replaced while a run goes on":
            pool.submit(client.execute_command, "RG.TRIGGER", "t")
        wait_for(lambda: client.exists("began"), what="the execution")
        assert sessions(client, "DEAD") == []
        try:
            if end == "unregistered":
                client.execute_command("RG.UNREGISTER", only_registration(client)["id"])
            else:
                execute(client, "GB('CommandReader').register(trigger='u')", "ID", "s", "UPGRADE")
            (dead,) = sessions(client, "DEAD")
            expected = {"ID": b"s", "sessionDescription": b"waits", "refCount": 1, "linked": b"None", "dead": b"true"}
            assert expected.items() <= dead.items()
            assert len(sessions(client)) == (0 if end == "unregistered" else 1)
        finally:
            client.set("end", 1)
    wait_for(lambda: not sessions(client, "DEAD"), what="the end of the execution")


def test_sessions_are_listed_with_their_registrations(client: redis.Redis) -> None:
    assert sessions(client) == []
    script = "GB('StreamReader').register('a')\nGB('CommandReader').register(trigger='b')"
    execute(client, script, "ID", "mine", "DESCRIPTION", "of mine")
    (session,) = sessions(client)
    registered = [one[1] for one in client.execute_command("RG.DUMPREGISTRATIONS")]
    assert session == {
        "ID": b"mine", "sessionDescription": b"of mine", "refCount": 2, "linked": b"primary", "dead": b"false",
        "requirementInstallationNeeded": 0, "requirements": [], "registrations": registered,
    }  # fmt: skip
    assert list(session)[0::2] == ["ID", "refCount", "dead", "requirements"]
    assert sessions(client, "DEAD") == []
    (verbose,) = sessions(client, "VERBOSE")
    assert [fields(one)["id"] for one in verbose["registrations"]] == registered
    assert all(len(one) == 10 for one in verbose["registrations"])
    assert client.execute_command("RG.PYDUMPSESSIONS", "SESSIONS", "no")[0] == b"Session no does not exists"
    with pytest.raises(redis.ResponseError, match="Unknown option WHAT"):
        client.execute_command("RG.PYDUMPSESSIONS", "WHAT")


def test_a_session_without_an_id_has_forty_characters_of_its_own(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').register('a')")
    execute(client, "GB('StreamReader').register('b')")
    ids = {bytes(one["ID"]) for one in sessions(client)}
    assert len(ids) == 2
    assert all(len(one) == 40 for one in ids)


def test_a_session_ends_with_its_last_registration(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').register('a')", "ID", "mine")
    client.execute_command("RG.UNREGISTER", only_registration(client)["id"])
    assert sessions(client) == []
    execute(client, "GB('StreamReader').register('a')", "ID", "mine")


def test_a_session_is_replaced_in_one_step(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').register('a')", "ID", "one")
    execute(client, "GB('StreamReader').register('b')", "ID", "two")
    with pytest.raises(redis.ResponseError, match="Can not replace an existing session one with two"):
        execute(client, "GB('StreamReader').register('c')", "ID", "one", "REPLACE_WITH", "two")
    execute(client, "GB('StreamReader').register('c')", "ID", "three", "REPLACE_WITH", "two")
    assert {bytes(one["ID"]) for one in sessions(client)} == {b"one", b"three"}
    execute(client, "GB('StreamReader').register('d')", "ID", "four", "UPGRADE")
    assert len(sessions(client)) == 3


def test_the_profile_of_a_session(client: redis.Redis) -> None:
    script = "def work(r):\n    return sum(range(1000))\nGB('CommandReader').map(work).register(trigger='t')"
    execute(client, script, "ID", "mine")
    assert client.execute_command("RG.PYPROFILE", "STATS", "mine") == b""
    assert client.execute_command("RG.CONFIGSET", "ProfileExecutions", 1) == [b"OK"]
    client.execute_command("RG.TRIGGER", "t")
    assert b"work" in client.execute_command("RG.PYPROFILE", "STATS", "mine", "cumtime")
    assert client.execute_command("RG.PYPROFILE", "RESET", "mine") == b"OK"
    assert client.execute_command("RG.PYPROFILE", "STATS", "mine") == b""
    for words, error in (
        (("STATS", "no"), "session does not exists"),
        (("RESET", "no"), "session does not exists"),
        (("WHAT", "mine"), "Wrong subcommand given to RG.PYPROFILE"),
    ):
        with pytest.raises(redis.ResponseError, match=error):
            client.execute_command("RG.PYPROFILE", *words)


def test_clearing_statistics_sets_counters_to_zero(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').map(lambda r: 1 / 0).register('s')")
    client.xadd("s", {"x": 1})
    wait_for(lambda: only_registration(client)["data"]["lastError"], what="the failure")
    assert client.execute_command("RG.CLEARREGISTRATIONSSTATS") == b"OK"
    data = only_registration(client)["data"]
    assert [data[name] for name in list(data)[1:12]] == [0, 0, 0, 0, 0, 0, b"0", 0, b"0", None, data["args"]]
    assert data["status"] == b"OK"


def test_pausing_nothing(client: redis.Redis) -> None:
    for command in ("RG.PAUSEREGISTRATIONS", "RG.UNPAUSEREGISTRATIONS"):
        with pytest.raises(redis.ResponseError, match="no registration to pause"):
            client.execute_command(command)
