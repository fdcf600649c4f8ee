"""The charts' widget, with its messages recorded in place of a page."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
import redis

from rededge_nb import Workbench, schema
from rededge_nb.edge.client import client_from_url
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import ConfigurationError
from rededge_nb.reading import series
from rededge_nb.widgets import charts as charts_module
from rededge_nb.widgets.charts import Charts
from tests.waiting import wait_for


class Recorded(Charts):
    """Charts of which a test is the page."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.sent: list[tuple[dict[str, Any], bytes]] = []
        super().__init__(*arguments, **options)

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.sent.append((content, buffers[0]))

    def page_says(self, kind: str, page: str = "page") -> None:
        self._handle_custom_msg({"kind": kind, "page": page}, [])

    def kinds(self) -> list[str]:
        return [content["kind"] for content, _ in self.sent]

    def wait_for_messages(self, count: int) -> None:
        wait_for(lambda: len(self.sent) >= count, what=f"{count} messages")


@pytest.fixture
def make(client: redis.Redis) -> Iterator[Callable[..., Recorded]]:
    """Makes charts that are closed in the end."""
    made: list[Recorded] = []

    def make(*arguments: Any, **options: Any) -> Recorded:
        made.append(Recorded(client, *arguments, **options))
        return made[-1]

    yield make
    for charts in made:
        charts.close()


@pytest.fixture
def now(client: redis.Redis) -> int:
    """The server's time, with the series of camera 0 there."""
    series.create_series(client, "0")
    seconds, microseconds = client.time()
    return seconds * 1000 + microseconds // 1000


def add(client: redis.Redis, name: str, at: int, value: float, camera: str = "0") -> None:
    client.execute_command("TS.ADD", schema.series_key(camera, name), at, value)


def test_a_page_gets_the_history_and_then_what_is_new(
    client: redis.Redis, now: int, make: Callable[..., Recorded]
) -> None:
    add(client, "people", now - 2000, 3)
    charts = make(minutes=1.0)
    charts.page_says("ready")
    charts.wait_for_messages(1)
    assert charts.sent[0][0]["tables"][0]["rows"] == 1
    add(client, "people", now - 1000, 4)
    charts.wait_for_messages(2)
    add(client, "people", now - 900, 5)
    charts.wait_for_messages(3)
    assert charts.kinds() == ["history", "new", "new"]
    assert [content["seq"] for content, _ in charts.sent] == [0, 1, 2]
    assert [content["rows"][0] for content, _ in charts.sent[1:]] == [1, 1]
    stats = charts.stats()
    sizes = [len(json.dumps(content, separators=(",", ":"))) + len(buffer) for content, buffer in charts.sent]
    assert (stats.messages, stats.histories, stats.bytes, stats.last_bytes) == (3, 1, sum(sizes), sizes[-1])
    assert sizes[-1] < 200


def test_nothing_is_read_or_sent_while_no_page_shows_the_charts(
    client: redis.Redis, now: int, make: Callable[..., Recorded]
) -> None:
    charts = make()
    feed = charts._feed
    assert feed is not None
    assert not feed.active
    charts.page_says("ready", "one")
    charts.page_says("visible", "two")
    charts.wait_for_messages(1)
    charts.page_says("hidden", "one")
    add(client, "people", now, 1)
    charts.wait_for_messages(2)
    charts.page_says("hidden", "two")
    wait_for(lambda: not feed.active, what="the feed to rest")
    assert "unseen" in repr(charts)
    add(client, "people", now + 1, 2)
    charts.page_says("visible", "two")
    charts.wait_for_messages(3)
    assert charts.kinds() == ["history", "new", "new"], "what came meanwhile is sent, and not more"


def test_a_page_that_is_not_heard_of_any_more_counts_as_gone(
    now: int, make: Callable[..., Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    charts = make()
    charts.page_says("ready")
    charts.wait_for_messages(1)
    monkeypatch.setattr(charts_module, "PAGE_TIMEOUT", 0.0)
    feed = charts._feed
    assert feed is not None
    wait_for(lambda: not feed.active, what="the feed to rest")


def test_a_page_that_was_reloaded_gets_the_history_again(now: int, make: Callable[..., Recorded]) -> None:
    charts = make()
    charts.page_says("ready", "before")
    charts.wait_for_messages(1)
    charts.page_says("ready", "after")
    charts.wait_for_messages(2)
    assert charts.kinds() == ["history", "history"]


def test_a_page_that_cannot_be_heard_yet_gets_histories(now: int, make: Callable[..., Recorded]) -> None:
    charts = make()
    charts._ipython_display_()
    charts.wait_for_messages(2)
    assert charts.kinds() == ["history", "history"]
    charts.page_says("visible")
    charts.page_says("hidden")
    feed = charts._feed
    assert feed is not None
    wait_for(lambda: not feed.active, what="the feed to rest once the page was heard")


def test_minutes_and_camera_may_be_set(client: redis.Redis, now: int, make: Callable[..., Recorded]) -> None:
    series.create_series(client, "gate")
    add(client, "people", now - 100_000, 3)
    add(client, "people", now, 1, camera="gate")
    charts = make(minutes=1.0)
    charts.page_says("ready")
    charts.wait_for_messages(1)
    charts.minutes = 10
    charts.wait_for_messages(2)
    charts.camera = "gate"
    charts.wait_for_messages(3)
    told = [(c["camera"], c["minutes"], c["tables"][0]["rows"]) for c, _ in charts.sent]
    assert told[0][:2] == ("0", 1.0)
    assert told[1:] == [("0", 10.0, 1), ("gate", 10.0, 1)]


@pytest.mark.parametrize(("name", "value"), [("minutes", 0.5), ("minutes", 61), ("average", 2), ("camera", "a b")])
def test_what_is_out_of_range_is_refused(make: Callable[..., Recorded], name: str, value: object) -> None:
    charts = make()
    before = getattr(charts, name)
    with pytest.raises(ConfigurationError, match=str(value)):
        setattr(charts, name, value)
    assert getattr(charts, name) == before


def test_constructor_errors(client: redis.Redis) -> None:
    with pytest.raises(ConfigurationError, match="minutes is 0"):
        Charts(client, minutes=0)
    with pytest.raises(ConfigurationError, match="camera id"):
        Charts(client, "a b")
    with pytest.raises(TypeError, match="window"):
        Charts(client, window=5)  # type: ignore[call-arg]


def test_missing_series_are_named_in_the_widget(client: redis.Redis, make: Callable[..., Recorded]) -> None:
    charts = make("9")
    charts.page_says("ready")
    charts.wait_for_messages(1)
    assert charts._notice == (
        "Camera 9 has no time series: wb.provision('9') creates them, or `rededge init --camera 9`."
    )
    series.create_series(client, "9")
    client.delete("camera:9:out_fps")
    charts.page_says("ready")
    wait_for(lambda: "Camera 9 lacks the series out_fps:" in charts._notice, what="the other notice")
    series.create_series(client, "9")
    wait_for(lambda: charts._notice == "", what="the notice to go")


def test_a_server_that_does_not_answer_is_reported_in_the_widget() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = client_from_url(f"redis://127.0.0.1:{taken.getsockname()[1]}")
        charts = Recorded(nobody)
        charts.page_says("ready")
        wait_for(lambda: "does not answer" in charts._notice, what="the notice")
        charts.close()
        nobody.close()
    assert charts.sent == []


def test_an_image_is_saved_with_the_view(
    client: redis.Redis, now: int, make: Callable[..., Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Jupyter resizes pyplot's figures whenever it pleases, in any thread
    monkeypatch.delattr(plt, "figure")
    charts = make()
    bundle = charts.snapshot()
    assert "image/png" not in bundle
    assert "no samples yet" in bundle["text/plain"]
    for step in range(50):
        at = now - 60_000 + step * 1000
        for name in ("people", "prf_model", "prf_total"):
            add(client, name, at, step % 5)
        for name in ("in_fps", "out_fps"):
            add(client, name, at // 1000 * 1000, 10)
    bundle = charts.snapshot()
    image = cv2.imdecode(np.frombuffer(base64.b64decode(bundle["image/png"]), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    height, width = image.shape[:2]
    assert (width, height) == (810, 3 * 234)
    assert len(bundle["image/png"]) < 200_000


def test_saved_state_has_no_samples(client: redis.Redis, now: int, make: Callable[..., Recorded]) -> None:
    charts = make()
    before = len(json.dumps(charts.get_state(), default=str))
    for step in range(500):
        add(client, "people", now - step * 100, step)
    charts.page_says("ready")
    charts.wait_for_messages(1)
    assert len(json.dumps(charts.get_state(), default=str)) == before < 60_000


def test_close_ends_the_thread_and_may_be_called_again(now: int, make: Callable[..., Recorded]) -> None:
    charts = make("closing")
    charts.page_says("ready")
    charts.wait_for_messages(1)
    assert any(thread.name == "rededge charts closing" for thread in threading.enumerate())
    charts.close()
    charts.close()
    assert not any(thread.name == "rededge charts closing" for thread in threading.enumerate())
    charts.page_says("ready")
    assert "closed" in repr(charts)


def test_a_workbench_closes_its_charts(edge: Instance, client: redis.Redis) -> None:
    with Workbench(edge.url) as workbench:
        charts = workbench.charts("0", minutes=2)
        assert (charts.camera, charts.minutes) == ("0", 2.0)
    assert "closed" in repr(charts)
