"""The connection of a stream runner: unsent commands, prefetched batches, and lost connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.gears.runners.stream_connection import Batch, StreamConnection
from rededge_nb.edge.server.state import Instance

READ = ("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "s", ">")


@pytest.fixture
def connection(client: redis.Redis, edge: Instance) -> Iterator[StreamConnection]:
    """A connection whose group of the stream `s` has read the first of three entries."""
    for number in (1, 2, 3):
        client.xadd("s", {"n": number}, id=f"{number}-0")
    client.xgroup_create("s", "g", "0")
    own_client = client_from_url(edge.url, name="connection")
    own_client.response_callbacks.clear()
    connection = StreamConnection(own_client)
    assert ids(connection.read(READ)) == [b"1-0"]
    yield connection
    own_client.close()


def ids(batch: list[Batch]) -> list[bytes]:
    return [entry_id for _, entries in batch for entry_id, _ in entries]


def pending(client: redis.Redis) -> list[bytes]:
    found: list[dict[str, bytes]] = client.xpending_range("s", "g", "-", "+", 10)  # type: ignore[assignment]
    return [entry["message_id"] for entry in found]


def test_unsent_commands_go_with_the_next_read(connection: StreamConnection, client: redis.Redis) -> None:
    connection.unsent = [("XACK", "s", "g", "1-0")]
    assert ids(connection.read(READ)) == [b"2-0"]
    assert pending(client) == [b"2-0"]
    assert connection.command("ECHO", "x") == b"x", "replies are still in order"


def test_flush_sends_unsent_commands(connection: StreamConnection, client: redis.Redis) -> None:
    connection.unsent = [("XACK", "s", "g", "1-0")]
    connection.flush()
    assert pending(client) == []


def test_an_unsent_command_that_fails_raises_and_does_not_affect_the_next(
    connection: StreamConnection, client: redis.Redis
) -> None:
    connection.unsent = [("NO.SUCH",)]
    with pytest.raises(redis.ResponseError, match=r"NO\.SUCH"):
        connection.read(READ)
    assert pending(client) == [b"1-0", b"2-0"], "the batch that was read with it stays pending for the next owner"
    connection.unsent = [("XACK", "s", "g", "2-0")]
    assert ids(connection.read(READ)) == [b"3-0"]
    assert pending(client) == [b"1-0", b"3-0"]


def test_replies_stay_in_order_after_a_refused_command(connection: StreamConnection, client: redis.Redis) -> None:
    connection.unsent = [("XACK", "s", "g", "1-0")]
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        connection.read((*READ[:2], "none", *READ[3:]))
    assert ids(connection.read(READ)) == [b"2-0"]
    assert pending(client) == [b"2-0"]


def test_a_connection_that_the_server_closed_is_opened_again(connection: StreamConnection, client: redis.Redis) -> None:
    (own_client,) = [each["id"] for each in client.client_list() if each["name"] == "connection"]
    client.client_kill_filter(_id=own_client)
    connection.unsent = [("XACK", "s", "g", "1-0")]
    assert ids(connection.read(READ)) == [b"2-0"]
    assert pending(client) == [b"2-0"]


def test_lost_replies_are_an_error(connection: StreamConnection, client: redis.Redis) -> None:
    own_client = connection.command("CLIENT", "ID")
    connection.unsent = [
        ("CLIENT", "KILL", "SKIPME", "no", "ID", own_client),
        ("XACK", "s", "g", "1-0"),
    ]  # it is closed after its reply
    with pytest.raises(redis.ConnectionError):
        connection.command("PING")
    assert connection.command("ECHO", "x") == b"x"
    assert pending(client) == [b"1-0"]


def test_prefetch_sends_unsent_commands_and_reads_a_batch(connection: StreamConnection, client: redis.Redis) -> None:
    connection.unsent = [("XACK", "s", "g", "1-0")]
    connection.prefetch(READ)
    assert ids(connection.prefetched()) == [b"2-0"]
    assert pending(client) == [b"2-0"]
    assert connection.prefetched() == [], "they are returned once"
    connection.unsent = [("XACK", "s", "g", "2-0")]
    connection.prefetch(READ)
    assert connection.command("ECHO", "x") == b"x", "replies are still in order"
    assert [entry_id for entry_id, _ in connection.prefetched_of(b"s")] == [b"3-0"]
    assert connection.prefetched_of(b"t") == []
    assert ids(connection.prefetched()) == [b"3-0"]
    connection.prefetch(READ)
    assert connection.prefetched() == [], "there is no more"


def test_a_prefetched_batch_can_be_dropped_and_stays_pending(connection: StreamConnection, client: redis.Redis) -> None:
    connection.prefetch(READ)
    connection.drop_prefetched(b"t")
    assert [entry_id for entry_id, _ in connection.prefetched_of(b"s")] == [b"2-0"]
    connection.drop_prefetched(b"s")
    assert connection.prefetched() == []
    assert pending(client) == [b"1-0", b"2-0"]


def test_an_error_of_prefetch_is_raised_when_its_batch_is_asked_for(
    connection: StreamConnection, client: redis.Redis
) -> None:
    connection.prefetch((*READ[:2], "none", *READ[3:]))
    assert connection.command("ECHO", "x") == b"x"
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        connection.prefetched()
    assert connection.prefetched() == []


def test_an_error_of_an_unsent_command_comes_before_the_prefetched_batch(
    connection: StreamConnection, client: redis.Redis
) -> None:
    connection.unsent = [("NO.SUCH",)]
    connection.prefetch(READ)
    with pytest.raises(redis.ResponseError, match=r"NO\.SUCH"):
        connection.prefetched()
    assert ids(connection.prefetched()) == [b"2-0"]
    assert pending(client) == [b"1-0", b"2-0"]


def test_a_prefetched_batch_that_is_lost_with_the_connection_stays_pending(
    connection: StreamConnection, client: redis.Redis
) -> None:
    own_client = connection.command("CLIENT", "ID")
    connection.unsent = [("CLIENT", "KILL", "SKIPME", "no", "ID", own_client)]
    connection.prefetch(READ)
    with pytest.raises(redis.ConnectionError):
        connection.prefetched()
    assert connection.prefetched() == []
    assert ids(connection.read((*READ[:-1], "0"))) == pending(client)[:1] == [b"1-0"]
