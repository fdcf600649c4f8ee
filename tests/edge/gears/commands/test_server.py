"""The RG.* commands about options, memory and the cluster."""

from __future__ import annotations

import redis

from tests.gear_scripts import fields


def test_pystats(client: redis.Redis) -> None:
    stats = fields(client.execute_command("RG.PYSTATS"))
    assert list(stats) == ["TotalAllocated", "PeakAllocated", "CurrAllocated"]
    assert 10_000_000 < stats["CurrAllocated"] <= stats["PeakAllocated"]


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


def test_there_is_no_cluster(client: redis.Redis) -> None:
    assert client.execute_command("RG.INFOCLUSTER") == b"no cluster mode"
    assert client.execute_command("RG.REFRESHCLUSTER") == b"OK"
    ((_, name, _, version),) = client.execute_command("RG.DUMPPLUGINS")
    assert name == b"rg_python"
    assert isinstance(version, int)
