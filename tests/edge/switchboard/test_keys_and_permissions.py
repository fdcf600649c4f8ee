"""Keys, ACL categories, arity and flags of commands."""

from __future__ import annotations

import pytest
import redis

from tests.edge.bare_redis import BareRedis, Wire
from tests.edge.switchboard.bare_switchboard import skip_without_categories


def ro(*names: str) -> list[list]:
    return [[name.encode(), [b"RO", b"access"]] for name in names]


def ow(*names: str) -> list[list]:
    return [[name.encode(), [b"OW", b"update"]] for name in names]


def rw(*names: str) -> list[list]:
    return [[name.encode(), [b"RW", b"access", b"update"]] for name in names]


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("T.ONE k", ow("k")),
        ("T.ALL a b c", ro("a", "b", "c")),
        ("T.MIXED skipped a b c", rw("a") + ow("b", "c")),
        ("T.MIXED skipped a", rw("a")),
        ("AI.MODELEXECUTE m INPUTS 2 a b OUTPUTS 1 c", ro("m", "a", "b") + ow("c")),
        ("AI.MODELEXECUTE m inputs 1 a outputs 1 c TIMEOUT 5", ro("m", "a") + ow("c")),
        ("AI.MODELEXECUTE m INPUTS 0 OUTPUTS 1 c", ro("m") + ow("c")),
        ("AI.MODELEXECUTE m INPUTS 1 OUTPUTS OUTPUTS 1 secret", ro("m", "OUTPUTS") + ow("secret")),
        ("AI.MODELEXECUTE m INPUTS 2 a OUTPUTS 1 secret", ro("m", "a", "OUTPUTS") + rw("1", "secret")),
        ("AI.MODELEXECUTE m INPUTS 9 a OUTPUTS 1 c", ro("m") + rw("INPUTS", "9", "a", "OUTPUTS", "1", "c")),
        ("AI.MODELEXECUTE m INPUTS -1 a OUTPUTS 1 c", ro("m") + rw("INPUTS", "-1", "a", "OUTPUTS", "1", "c")),
        ("AI.MODELEXECUTE m INPUTS +1 a OUTPUTS 1 c", ro("m") + rw("INPUTS", "+1", "a", "OUTPUTS", "1", "c")),
        ("AI.MODELEXECUTE m OUTPUTS 1 c INPUTS 1", ro("m") + rw("OUTPUTS", "1", "c", "INPUTS", "1")),
        ("AI.MODELEXECUTE m INPUTS 1 a OUTPUTS", ro("m", "a") + rw("OUTPUTS")),
    ],
)
def test_the_keys_of_a_command(server: BareRedis, command: str, keys: list[list]) -> None:
    assert server.wire().call("COMMAND", "GETKEYSANDFLAGS", *command.split()) == keys


@pytest.fixture
def limited(server: BareRedis, admin: redis.Redis) -> Wire:
    """A connection whose user may read in:*, write out:* and run nothing dangerous."""
    rules = ("reset", "on", "nopass", "+@all", "-@dangerous", "%R~in:*", "%W~out:*")
    admin.execute_command("ACL", "SETUSER", "limited", *rules)
    wire = server.wire()
    wire.call("AUTH", "limited", "any")
    return wire


@pytest.mark.parametrize("command", ["RG.PYEXECUTE pass", "EDGE.NEXT 1 main", "EDGE.REPLY 1-1 x"])
def test_users_without_dangerous_commands_may_not_run_these(limited: Wire, command: str) -> None:
    assert limited.send(*command.split()).receive_error().startswith("NOPERM")


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("T.NOBODY in:or:not", True),
        ("T.ONE out:x", True),
        ("T.ONE in:x", False),
        ("T.ALL in:x in:y", True),
        ("T.ALL in:x secret", False),
        ("AI.MODELEXECUTE in:m INPUTS 1 in:x OUTPUTS 1 out:y", True),
        ("AI.MODELEXECUTE in:m INPUTS 1 out:x OUTPUTS 1 out:y", False),
        ("AI.MODELEXECUTE in:m INPUTS 1 in:x OUTPUTS 1 in:y", False),
        ("AI.MODELEXECUTE in:m INPUTS 1 OUTPUTS OUTPUTS 1 secret", False),
        ("AI.MODELEXECUTE in:m INPUTS 1 in:a OUTPUTS 9 secret", False),
        ("AI.MODELEXECUTE in:m ELSEWHERE 1 secret 1 2", False),
    ],
)
def test_key_patterns_are_enforced(limited: Wire, command: str, allowed: bool) -> None:
    assert limited.send(*command.split()).receive_error().startswith("NOWORKER" if allowed else "NOPERM")


def test_commands_are_in_the_given_acl_categories(admin: redis.Redis, server: BareRedis) -> None:
    skip_without_categories(admin)
    one, execute, take_next = server.wire().call("COMMAND", "INFO", "T.ONE", "RG.PYEXECUTE", "EDGE.NEXT")
    assert (one[6], execute[6]) == ([b"@write"], [b"@dangerous"])
    assert b"@dangerous" in take_next[6]


def test_commands_have_the_given_arity_and_flags(server: BareRedis) -> None:
    client = server.wire()
    one, execute, take_next = client.call("COMMAND", "INFO", "T.ONE", "RG.PYEXECUTE", "EDGE.NEXT")
    arity, flags = 1, 2
    assert (one[arity], execute[arity]) == (2, -2)
    assert b"write" in one[flags]
    assert {b"noscript", b"skip_monitor", b"skip_slowlog"} <= set(take_next[flags])
    assert "wrong number of arguments" in client.send("T.ONE", "a", "b").receive_error()
