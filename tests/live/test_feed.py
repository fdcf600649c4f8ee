"""The thread that reads Redis for a widget."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb.edge import server
from rededge_nb.edge.client import client_from_url
from rededge_nb.errors import ServerUnavailableError
from rededge_nb.live import feed as feeds
from rededge_nb.live.feed import Feed
from tests.waiting import wait_for


class Reader:
    """A step that counts itself, and what the feed tells."""

    def __init__(self) -> None:
        self.steps = 0
        self.told: list[Exception | None] = []
        self.fails_with: Exception | None = None
        self.clients: set[redis.Redis] = set()
        self.feed: Feed | None = None

    def step(self, client: redis.Redis) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        client.ping()
        self.clients.add(client)
        self.steps += 1
        assert self.feed is not None
        self.feed.wait(0.01)


@pytest.fixture
def reader(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setattr(feeds, "RETRY_INTERVAL", 0.01)
    reader = Reader()
    reader.feed = Feed(client, reader.step, on_error=reader.told.append, name="feed under test")
    yield reader
    reader.feed.close()


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "feed under test"]


def test_it_starts_with_start_and_ends_with_close(reader: Reader, client: redis.Redis) -> None:
    feed = reader.feed
    assert feed is not None
    assert threads() == []
    assert not feed.active
    feed.start()
    feed.start()
    assert threads() == ["feed under test"]
    assert feed.active
    wait_for(lambda: reader.steps > 3, what="steps")
    assert client not in reader.clients, "it has a client of its own"
    feed.close()
    feed.close()
    assert threads() == []
    assert feed.closed
    feed.start()
    assert threads() == []


def test_a_paused_feed_runs_no_steps(reader: Reader) -> None:
    feed = reader.feed
    assert feed is not None
    feed.start()
    wait_for(lambda: reader.steps, what="a step")
    feed.pause()
    assert not feed.active
    # the step that was under way may still end
    wait_for(lambda: _rests(reader), what="the steps to end")
    assert threads() == ["feed under test"]
    steps = reader.steps
    feed.start()
    wait_for(lambda: reader.steps > steps, what="another step")
    feed.pause()
    feed.close()
    assert threads() == []


def test_an_error_is_reported_and_the_feed_continues(reader: Reader) -> None:
    feed = reader.feed
    assert feed is not None
    error = ValueError("on purpose")
    reader.fails_with = error
    feed.start()
    wait_for(lambda: len(reader.told) > 2, what="errors")
    assert set(reader.told) == {error}
    reader.fails_with = None
    wait_for(lambda: reader.told[-1] is None, what="the end of the errors")
    steps = reader.steps
    wait_for(lambda: reader.steps > steps, what="another step")
    assert reader.told.count(None) == 1


def test_it_survives_a_server_that_goes_away_and_returns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY_INTERVAL", 0.01)
    reader = Reader()
    client = client_from_url(server.start(folder / "state").url)
    reader.feed = Feed(client, reader.step, on_error=reader.told.append)
    reader.feed.start()
    wait_for(lambda: reader.steps, what="a step")
    server.stop(folder / "state")
    wait_for(lambda: reader.told, what="an error")
    assert isinstance(reader.told[0], ServerUnavailableError)
    server.start(folder / "state")
    wait_for(lambda: reader.told[-1] is None, timeout=30, what="the connection")
    reader.feed.close()
    client.close()


def test_a_listener_that_fails_does_not_end_it(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY_INTERVAL", 0.01)
    told: list[Exception | None] = []

    def step(_client: redis.Redis) -> None:
        raise ValueError("on purpose")

    def tell(error: Exception | None) -> None:
        told.append(error)
        raise RuntimeError("cannot hear")

    feed = Feed(client, step, on_error=tell)
    feed.start()
    wait_for(lambda: len(told) > 1, what="a second try")
    feed.close()


def _rests(reader: Reader) -> bool:
    steps = reader.steps
    return not threading.Event().wait(0.05) and reader.steps == steps
