"""RG.PYDUMPSESSIONS, RG.PYPROFILE, RG.CONFIG*, and the commands about a cluster that there is not."""

from __future__ import annotations

import pytest
import redis

from rededge_nb.edge.client import key_names
from tests.gear_scripts import execute, fields, only_registration
from tests.waiting import wait_for


def sessions(client: redis.Redis, *words: str) -> list[dict[str, object]]:
    return [fields(one) for one in client.execute_command("RG.PYDUMPSESSIONS", *words)]


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


def test_what_is_measured_of_a_session(client: redis.Redis) -> None:
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


def test_steps_have_durations_when_executions_are_measured(client: redis.Redis) -> None:
    client.execute_command("RG.CONFIGSET", "ProfileExecutions", 1)
    script = "import time\nGB('ShardsIDReader').map(lambda r: time.sleep(0.05)).run()"
    execution = execute(client, script, "UNBLOCKING")
    client.execute_command("RG.GETRESULTSBLOCKING", execution)
    ((_, _, _, plan),) = client.execute_command("RG.GETEXECUTION", execution)
    durations = [fields(step)["duration"] for step in plan[15]]
    assert durations[-1] >= 50
    assert sum(durations[:-1]) < durations[-1]


def test_options(client: redis.Redis) -> None:
    get, put = "RG.CONFIGGET", "RG.CONFIGSET"
    assert client.execute_command(get, "MaxExecutions", "ExecutionThreads", "DependenciesUrl") == [1000, 3, b""]
    known, unknown = client.execute_command(get, "MaxExecutions", "maxexecutions")
    assert known == 1000
    assert str(unknown) == "(error) Unsupported config parameter: maxexecutions"
    reply = client.execute_command(
        put, "MaxExecutions", 7, "mine", "x", "ExecutionThreads", 5, "SendMsgRetries", "x", "y"
    )
    assert reply[:2] == [b"OK", b"OK - value was saved in extra config dictionary"]
    assert [str(one) for one in reply[2:]] == [
        "(error) ExecutionThreads is not configurable at runtime",
        "(error) Failed setting config value SendMsgRetries",
        "(error) Value was not given to y",
    ]
    assert client.execute_command(get, "MaxExecutions", "mine") == [7, b"x"]


def test_the_oldest_executions_go(client: redis.Redis) -> None:
    client.execute_command("RG.CONFIGSET", "MaxExecutions", 3, "MaxExecutionsPerRegistration", 2)
    ids = []
    for _ in range(5):
        ids.append(execute(client, "GB('ShardsIDReader').run()", "UNBLOCKING"))
        # one that ends when it was pushed out already comes back, in place of another
        client.execute_command("RG.GETRESULTSBLOCKING", ids[-1])
    assert [fields(one)["executionId"] for one in client.execute_command("RG.DUMPEXECUTIONS")] == ids[-3:]
    execute(client, "GB('StreamReader').register('s')")
    for _ in range(5):
        client.xadd("s", {"x": 1})
    wait_for(lambda: only_registration(client)["data"]["numSuccess"] == 6, what="the runs")
    assert len(client.execute_command("RG.DUMPEXECUTIONS")) == 3 + 2


def test_one_that_was_pushed_out_before_it_ended_leaves_nothing_behind(client: redis.Redis) -> None:
    client.execute_command("RG.CONFIGSET", "MaxExecutions", 1)
    wait = "import time\ndef wait(r):\n    execute('SET', 'begun', 1)\n    execute('BLPOP', 'go', 0)\n"
    slow = execute(client, wait + "GB('ShardsIDReader').foreach(wait).run()", "UNBLOCKING")
    wait_for(lambda: client.exists("begun"), what="the run")
    fast = execute(client, "GB('ShardsIDReader').run()", "UNBLOCKING")
    assert client.execute_command("RG.GETRESULTSBLOCKING", fast) == [[b"1"], []]
    client.rpush("go", 1)
    assert client.execute_command("RG.GETRESULTSBLOCKING", slow) == [[b"1"], []]
    assert [fields(one)["executionId"] for one in client.execute_command("RG.DUMPEXECUTIONS")] == [slow]
    assert client.keys(key_names.execution(client, "*")) == [key_names.execution(client, slow.decode()).encode()]


def test_counting_from_nothing_again(client: redis.Redis) -> None:
    execute(client, "GB('StreamReader').map(lambda r: 1 / 0).register('s')")
    client.xadd("s", {"x": 1})
    wait_for(lambda: only_registration(client)["data"]["lastError"], what="the failure")
    assert client.execute_command("RG.CLEARREGISTRATIONSSTATS") == b"OK"
    data = only_registration(client)["data"]
    assert [data[name] for name in list(data)[1:12]] == [0, 0, 0, 0, 0, 0, b"0", 0, b"0", None, data["args"]]
    assert data["status"] == b"OK"


def test_there_is_no_cluster(client: redis.Redis) -> None:
    assert client.execute_command("RG.INFOCLUSTER") == b"no cluster mode"
    assert client.execute_command("RG.REFRESHCLUSTER") == b"OK"
    ((_, name, _, version),) = client.execute_command("RG.DUMPPLUGINS")
    assert name == b"rg_python"
    assert isinstance(version, int)


def test_pausing_nothing(client: redis.Redis) -> None:
    for command in ("RG.PAUSEREGISTRATIONS", "RG.UNPAUSEREGISTRATIONS"):
        with pytest.raises(redis.ResponseError, match="no registration to pause"):
            client.execute_command(command)
