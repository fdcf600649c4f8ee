"""Writing while other clients write, connections break and Redis refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from rededge_nb.edge.ai.storage import hashes
from rededge_nb.edge.ai.storage.hashes import TENSOR
from rededge_nb.edge.ai.storage.writing import Replacement, set_tensor
from rededge_nb.edge.ai.tensors import Tensor
from rededge_nb.edge.switchboard.calls import CommandError


@pytest.fixture
def single(redis_socket: Path, client: redis.Redis) -> Iterator[redis.Redis]:
    """A client with one connection; the only key is a string."""
    client.set("text", "x")
    with redis.Redis(unix_socket_path=str(redis_socket), protocol=2, max_connections=1) as only:
        yield only


def tensor(value: float) -> Tensor:
    return Tensor.from_values("FLOAT", (1,), [value])


def fields(value: float) -> hashes.Fields:
    return hashes.fields_of(tensor(value))


def value_of(client: redis.Redis, key: str) -> float:
    value: float = hashes.get_tensor(client, key).array[0]
    return value


def test_a_key_that_changes_after_the_check_is_checked_again(client: redis.Redis) -> None:
    with closing(Replacement(client, TENSOR, ["k"])) as first, closing(Replacement(client, TENSOR, ["k"])) as second:
        first.send_checks()
        second.send_checks()
        first.write([("k", fields(1))], also=[("INCR", "n")])
        assert value_of(client, "k") == 1
        second.write([("k", fields(2))], also=[("INCR", "n")])
        assert value_of(client, "k") == 2
        assert client.get("n") == b"2"
        second.send_checks()
        client.set("k", "x")
        with pytest.raises(CommandError, match=r"^WRONGTYPE"):
            second.write([("k", fields(3))])
    assert client.get("k") == b"x"


@pytest.mark.parametrize("checked", [True, False])
def test_a_connection_that_is_lost_before_the_write_is_replaced(
    client: redis.Redis, single: redis.Redis, checked: bool
) -> None:
    with closing(Replacement(single, TENSOR, ["k", "l"])) as replacement:
        replacement.send_checks()
        if not checked:
            replacement.write([("l", fields(1))])
        client.client_kill_filter(_type="normal", skipme=True)
        replacement.write([("k", fields(1))], also=[("INCR", "n")])
    assert value_of(client, "k") == 1
    assert client.get("n") == b"1"


def fill_memory(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)


@pytest.mark.parametrize("refuse", [lambda client: client.set("k", "x"), fill_memory])
def test_no_key_is_watched_after_a_refused_write(
    client: redis.Redis, single: redis.Redis, refuse: Callable[[redis.Redis], object]
) -> None:
    refuse(client)
    try:
        with pytest.raises(CommandError, match=r"^(WRONGTYPE|OOM) "):
            set_tensor(single, "k", tensor(1))
    finally:
        client.config_set("maxmemory", 0)
    client.set("k", "changed")
    with single.pipeline(transaction=True) as pipeline:
        assert pipeline.get("k").execute() == [b"changed"]


@pytest.mark.parametrize("command", ["watch", "exists", "hget"])
def test_errors_other_than_wrongtype_are_raised_unchanged(
    client: redis.Redis, redis_socket: Path, command: str
) -> None:
    client.acl_setuser("limited", enabled=True, nopass=True, keys=["*"], commands=["+@all", f"-{command}"])
    try:
        with (
            redis.Redis(unix_socket_path=str(redis_socket), protocol=2, username="limited", password="") as limited,
            pytest.raises(redis.exceptions.NoPermissionError, match=f"'{command}'"),
        ):
            set_tensor(limited, "k", tensor(1))
    finally:
        client.acl_deluser("limited")
    assert not client.exists("k")


def test_a_failing_command_after_the_write_is_logged(
    client: redis.Redis, single: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Replacement(single, TENSOR, ["k"])) as replacement:
        replacement.write([("k", fields(1))], also=[("INCR", "text")])
    assert value_of(client, "k") == 1
    assert "a command after writing the tensor failed" in caplog.text
