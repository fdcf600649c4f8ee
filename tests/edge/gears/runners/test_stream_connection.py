"""What settles a batch goes with other commands, and is settled all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.gears.runners.stream_connection import Batch, StreamConnection
from rededge_nb.edge.server.state import Instance

READ = ("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "s", ">")


@pytest.fixture
def link(client: redis.Redis, edge: Instance) -> Iterator[StreamConnection]:
    """A link whose group of the stream `s` has read the first of three entries."""
    for number in (1, 2, 3):
        client.xadd("s", {"n": number}, id=f"{number}-0")
    client.xgroup_create("s", "g", "0")
    own = client_from_url(edge.url, name="link")
    own.response_callbacks.clear()
    link = StreamConnection(own)
    assert ids(link.read(READ)) == [b"1-0"]
    yield link
    own.close()


def ids(batch: list[Batch]) -> list[bytes]:
    return [entry_id for _, entries in batch for entry_id, _ in entries]


def pending(client: redis.Redis) -> list[bytes]:
    found: list[dict[str, bytes]] = client.xpending_range("s", "g", "-", "+", 10)  # type: ignore[assignment]
    return [entry["message_id"] for entry in found]


def test_a_batch_is_settled_with_the_next(link: StreamConnection, client: redis.Redis) -> None:
    link.unsent = [("XACK", "s", "g", "1-0")]
    assert ids(link.read(READ)) == [b"2-0"]
    assert pending(client) == [b"2-0"]
    assert link.command("ECHO", "x") == b"x", "replies are still told apart"


def test_the_last_batch_is_settled_without_a_next(link: StreamConnection, client: redis.Redis) -> None:
    link.unsent = [("XACK", "s", "g", "1-0")]
    link.flush()
    assert pending(client) == []


def test_what_could_not_be_settled_is_told_and_keeps_nothing_else_from_it(
    link: StreamConnection, client: redis.Redis
) -> None:
    link.unsent = [("NO.SUCH",)]
    with pytest.raises(redis.ResponseError, match=r"NO\.SUCH"):
        link.read(READ)
    assert pending(client) == [b"1-0", b"2-0"], "what was read with it is there for the next who takes up the stream"
    link.unsent = [("XACK", "s", "g", "2-0")]
    assert ids(link.read(READ)) == [b"3-0"]
    assert pending(client) == [b"1-0", b"3-0"]


def test_a_refused_command_does_not_mix_up_the_replies(link: StreamConnection, client: redis.Redis) -> None:
    link.unsent = [("XACK", "s", "g", "1-0")]
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        link.read((*READ[:2], "none", *READ[3:]))
    assert ids(link.read(READ)) == [b"2-0"]
    assert pending(client) == [b"2-0"]


def test_a_connection_that_was_closed_meanwhile_is_made_anew(link: StreamConnection, client: redis.Redis) -> None:
    (own,) = [each["id"] for each in client.client_list() if each["name"] == "link"]
    client.client_kill_filter(_id=own)
    link.unsent = [("XACK", "s", "g", "1-0")]
    assert ids(link.read(READ)) == [b"2-0"]
    assert pending(client) == [b"2-0"]


def test_replies_that_are_lost_with_the_connection_are_an_error(link: StreamConnection, client: redis.Redis) -> None:
    own = link.command("CLIENT", "ID")
    link.unsent = [
        ("CLIENT", "KILL", "SKIPME", "no", "ID", own),
        ("XACK", "s", "g", "1-0"),
    ]  # it is closed after its reply
    with pytest.raises(redis.ConnectionError):
        link.command("PING")
    assert link.command("ECHO", "x") == b"x"
    assert pending(client) == [b"1-0"]


def test_a_batch_is_read_ahead_and_what_was_unsettled_is_settled(link: StreamConnection, client: redis.Redis) -> None:
    link.unsent = [("XACK", "s", "g", "1-0")]
    link.prefetch(READ)
    assert ids(link.prefetched()) == [b"2-0"]
    assert pending(client) == [b"2-0"]
    assert link.prefetched() == [], "it was taken"
    link.unsent = [("XACK", "s", "g", "2-0")]
    link.prefetch(READ)
    assert link.command("ECHO", "x") == b"x", "replies are still told apart"
    assert [entry_id for entry_id, _ in link.prefetched_of(b"s")] == [b"3-0"]
    assert link.prefetched_of(b"t") == []
    assert ids(link.prefetched()) == [b"3-0"]
    link.prefetch(READ)
    assert link.prefetched() == [], "there is no more"


def test_what_was_read_ahead_can_be_left_to_others(link: StreamConnection, client: redis.Redis) -> None:
    link.prefetch(READ)
    link.drop_prefetched(b"t")
    assert [entry_id for entry_id, _ in link.prefetched_of(b"s")] == [b"2-0"]
    link.drop_prefetched(b"s")
    assert link.prefetched() == []
    assert pending(client) == [b"1-0", b"2-0"]


def test_an_error_of_reading_ahead_is_told_when_it_is_taken(link: StreamConnection, client: redis.Redis) -> None:
    link.prefetch((*READ[:2], "none", *READ[3:]))
    assert link.command("ECHO", "x") == b"x"
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        link.prefetched()
    assert link.prefetched() == []


def test_what_could_not_be_settled_is_told_before_what_was_prefetch(
    link: StreamConnection, client: redis.Redis
) -> None:
    link.unsent = [("NO.SUCH",)]
    link.prefetch(READ)
    with pytest.raises(redis.ResponseError, match=r"NO\.SUCH"):
        link.prefetched()
    assert ids(link.prefetched()) == [b"2-0"]
    assert pending(client) == [b"1-0", b"2-0"]


def test_what_was_read_ahead_is_lost_with_the_connection_and_pending(
    link: StreamConnection, client: redis.Redis
) -> None:
    own = link.command("CLIENT", "ID")
    link.unsent = [("CLIENT", "KILL", "SKIPME", "no", "ID", own)]
    link.prefetch(READ)
    with pytest.raises(redis.ConnectionError):
        link.prefetched()
    assert link.prefetched() == []
    assert ids(link.read((*READ[:-1], "0"))) == pending(client)[:1] == [b"1-0"]
