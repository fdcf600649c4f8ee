"""Loading the module, and loading it with wrong arguments."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.edge.bare_redis import BareRedis, bare_redis
from tests.edge.switchboard.bare_switchboard import module_arguments, skip_without_categories, take


def test_the_module_cannot_be_unloaded_or_loaded_twice(server: BareRedis, admin: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError):
        admin.execute_command("MODULE", "UNLOAD", "rededge")
    with pytest.raises(redis.ResponseError):
        admin.execute_command("MODULE", "LOAD", str(server.binaries.switchboard), *module_arguments())
    caller, worker = server.wire().send("T.CALL"), server.wire()
    [call] = take(worker)
    worker.call("EDGE.REPLY", call[0], "+still here\r\n")
    assert caller.receive() == b"still here"


@pytest.fixture(scope="module")
def empty_server() -> Iterator[BareRedis]:
    with bare_redis(load=False) as server:
        yield server


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["KLASS", "a,0,0,1"], "'KLASS' is none of CLASS, CMD, HOOKS and MAXCALL"),
        (["MAXCALL", "0"], "MAXCALL '0' is not a number of bytes"),
        (["MAXCALL", "1mb"], "MAXCALL '1mb' is not a number of bytes"),
        (["MAXCALL"], "MAXCALL without a value"),
        (["CLASS"], "CLASS without a value"),
        (["CLASS", "a,0,0"], "CLASS 'a,0,0' is not"),
        (["CLASS", "a,0,0,1,"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,-1,0,1"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,0,0,0"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,0,1s,1"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,0,999999999999999999999,1"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a b,0,0,1"], "is not name,timeout_ms,grace_ms,maxqueue"),
        (["CLASS", "a,0,0,1", "CLASS", "a,0,0,1"], "CLASS 'a' is given twice"),
        ([word for number in range(33) for word in ("CLASS", f"c{number},0,0,1")], "more than 32 classes"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,,"], "is not NAME,class,arity,flags,categories,keys"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,,,,"], "is not NAME,class,arity,flags,categories,keys"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,0,,,"], "is not NAME,class,arity,flags,categories,keys"),
        (["CLASS", "a,0,0,1", "CMD", "X|Y,a,1,,,"], "is not NAME,class,arity,flags,categories,keys"),
        (["CMD", "X.Y,a,1,,,", "CLASS", "b,0,0,1"], "CMD 'X.Y,a,1,,,' names a class that is not given: a"),
        (["CLASS", "a,0,0,1", "HOOKS", "a,15"], "HOOKS 'a,15' is not class,db,key"),
        (["CLASS", "a,0,0,1", "HOOKS", "b,15,k"], "HOOKS 'b,15,k' names a class that is not given: b"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,,,", "CMD", "x.y,a,1,,,"], "CMD 'x.y' is given twice"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,writing,,"], "X.Y has unknown flags 'writing'"),
        (["CLASS", "a,0,0,1", "CMD", "X.Y,a,1,,harmful,"], "X.Y has unknown ACL categories 'harmful'"),
        *(
            (["CLASS", "a,0,0,1", "CMD", f"X.Y,a,1,,,{keys}"], f"CMD 'X.Y,a,1,,,{keys}' has a bad key grammar")
            for keys in ("x", "*", "r:", ":r", "INPUTS:x", "INPUTS:r*", "rr", "r " * 17)
        ),
    ],
)
def test_a_load_with_wrong_arguments_fails_and_names_them(
    empty_server: BareRedis, words: list[str], reason: str
) -> None:
    with empty_server.client() as client:
        if "categories" in reason and "is not" not in reason:
            skip_without_categories(client)
        with pytest.raises(redis.ResponseError):
            client.execute_command("MODULE", "LOAD", str(empty_server.binaries.switchboard), *words)
        assert reason in empty_server.log()[-1500:]
        assert b"rededge" not in [module[b"name"] for module in client.module_list()]


def test_existing_command_names_are_skipped_with_a_line_in_the_log() -> None:
    with bare_redis(load=False) as server, server.client() as client:
        client.execute_command("MODULE", "LOAD", str(server.binaries.timeseries))
        words = module_arguments(commands=("TS.GET,nobody,-1,,,", "get,nobody,-1,,,", "T.CALL,nobody,-1,,,"))
        client.execute_command("MODULE", "LOAD", str(server.binaries.switchboard), *words)
        assert "TS.GET is a command already" in server.log()
        assert "get is a command already" in server.log()
        assert client.get("key") is None
        assert server.wire().send("T.CALL").receive_error().startswith("NOWORKER ")


def test_calls_with_too_large_arguments_are_refused() -> None:
    with bare_redis(*module_arguments(), "MAXCALL", "100") as server, server.client() as client:
        error = r"^T.NOBODY has more than 100 bytes, the limit of this server for one command$"
        for words in (["x" * 93], ["x" * 10] * 10):
            with pytest.raises(redis.ResponseError, match=error):
                client.execute_command("T.NOBODY", *words)
        with pytest.raises(redis.ResponseError, match="NOWORKER"):
            client.execute_command("T.NOBODY", "x" * 92)
