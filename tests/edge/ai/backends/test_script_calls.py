"""What TorchScript may ask of Redis; torch itself is not needed for that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb.edge.ai.backends.script_calls import call


@pytest.fixture
def single(redis_socket: Path, client: redis.Redis) -> Iterator[redis.Redis]:
    """A client with one connection."""
    client.set("k", "v")
    with redis.Redis(unix_socket_path=str(redis_socket), protocol=2, max_connections=1) as only:
        yield only


def test_replies_are_text_and_numbers(single: redis.Redis) -> None:
    assert call(single, "SET", ["k", "é"]) == "OK"
    assert call(single, "GET", ["k"]) == "é"
    assert call(single, "rpush", ["l", "1", "2"]) == 2
    assert call(single, "LRANGE l 0", ["-1"]) == ["1", "2"]
    assert call(single, "GET", ["missing"]) is None


@pytest.mark.parametrize(
    "words",
    [
        ("SELECT", "1"),
        ("select 1",),
        ("MULTI",),
        ("WATCH", "k"),
        ("SUBSCRIBE", "c"),
        ("PSUBSCRIBE", "c"),
        ("MONITOR",),
        ("AUTH", "x"),
        ("HELLO", "3"),
        ("CLIENT", "REPLY", "OFF"),
        ("Client Reply", "Off"),
        ("QUIT",),
        ("BLPOP", "l", "0"),
        ("XREAD", "block", "0", "STREAMS", "s", "$"),
        ("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"),
        ("XREAD", "BLOCK"),
        ("RG.TRIGGER", "t"),
        ("ai.modelexecute", "m"),
    ],
)
def test_commands_that_affect_other_users_of_the_connection_are_refused(
    single: redis.Redis, words: tuple[str, ...]
) -> None:
    with pytest.raises(RuntimeError, match=r"^Redis command returned an error: ERR .* script$"):
        call(single, words[0], list(words[1:]))
    assert single.client_info()["resp"] == "2"
    assert single.get("k") == b"v"


@pytest.mark.parametrize("words", [("GET",), ("",), ("XREAD", "COUNT", "1"), ("XREAD", "STREAMS", "block")])
def test_an_error_of_redis_is_raised(single: redis.Redis, words: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeError, match=r"^Redis command returned an error: "):
        call(single, words[0], list(words[1:]))
    assert single.get("k") == b"v"


def test_a_stream_named_block_is_not_the_option_block(single: redis.Redis) -> None:
    entry = call(single, "XADD", ["BLOCK", "*", "a", "1"])
    assert call(single, "XREAD", ["STREAMS", "BLOCK", "0"]) == [["BLOCK", [[entry, ["a", "1"]]]]]
