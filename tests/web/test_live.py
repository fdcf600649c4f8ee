"""The page's WebSocket: what it is sent, and what it may say."""

from __future__ import annotations

import contextlib
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from websocket import ABNF, WebSocket, WebSocketBadStatusException, create_connection

from rededge_nb.analytics.events import event_commands
from rededge_nb.reading.events import active_alarms
from rededge_nb.reading.series import create_series
from rededge_nb.web import WebServer
from tests.web.site import TOKEN, Camera

pytest_plugins = ("tests.bare_fixtures",)

TIMEOUT = 60.0


class Message(NamedTuple):
    content: dict[str, Any]
    data: bytes


class Page:
    """Speaks as link.js does."""

    def __init__(self, connection: WebSocket) -> None:
        self.connection = connection
        self.messages: list[Message] = []

    def say(self, **content: Any) -> None:
        self.connection.send(json.dumps(content))

    def next(self, receiver: str, kind: str) -> Message:
        """The next message for one receiver, of one kind; others are kept."""
        return self.until(lambda each: (each.content["to"], each.content["kind"]) == (receiver, kind))

    def until(self, wanted: Callable[[Message], bool]) -> Message:
        while True:
            for message in self.messages:
                if wanted(message):
                    self.messages.remove(message)
                    return message
            raw = self.connection.recv()
            (length,) = struct.unpack(">I", raw[:4])
            self.messages.append(Message(json.loads(raw[4 : 4 + length]), raw[4 + length :]))

    def closed(self) -> int:
        """Wait until the server closes the connection; the code that it gives."""
        while True:
            kind, data = self.connection.recv_data()
            if kind == ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2], "big")


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(port: int) -> Iterator[OpenPage]:
    """Opens pages of the server, which are closed after the test."""
    with contextlib.ExitStack() as pages:

        def open_one(camera: str = "0", **headers: str) -> Page:
            return pages.enter_context(page_of(port, camera, **headers))

        yield open_one


@contextlib.contextmanager
def page_of(port: int, camera: str = "0", *, token: str | None = TOKEN, **headers: str) -> Iterator[Page]:
    """A page with the token in its cookie, as in a browser."""
    if token is not None:
        headers = {"Cookie": f"rededge_web_{port}={token}", **headers}
    origin = headers.pop("Origin", None)
    url = f"ws://127.0.0.1:{port}/live"
    connection = create_connection(url, timeout=TIMEOUT, header=headers, origin=origin, suppress_origin=origin is None)
    try:
        page = Page(connection)
        page.say(to="page", kind="watch", camera=camera, minutes=5)
        yield page
    finally:
        # unlike `close`, it also closes a socket that the server has left
        connection.shutdown()


def test_a_picture_comes_with_its_own_detections(open_page: OpenPage, camera: Camera, bare_client: redis.Redis) -> None:
    camera.detected()
    page = open_page()
    page.say(to="player", kind="ready")
    page.next("player", "frame")
    page.say(to="player", kind="painted", seq=1)
    first = camera.frame(50)
    second = camera.frame(200)
    camera.detect(first, boxes="[1, 2, 30, 40]")
    content, jpeg = page.next("player", "frame")
    assert content["ref"] == first != second
    assert (content["boxes"], content["people"], content["confidence"]) == ([[1.0, 2.0, 30.0, 40.0]], 1, [0.875])
    stored: Any = bare_client.xrange("camera:0", first, first)
    assert jpeg == stored[0][1][b"image"]


def test_two_pictures_are_under_way_at_most_and_the_newest_wins(open_page: OpenPage, camera: Camera) -> None:
    # a camera without any detections shows its frames without boxes, and then again with them
    refs = [camera.detected()]
    page = open_page()
    other = open_page()
    for each in (page, other):
        each.say(to="player", kind="ready")
    for number in range(1, 7):
        if number > 1:
            refs.append(camera.detected())
        assert (other.next("player", "frame")).content["ref"] == refs[-1]
        other.say(to="player", kind="painted", seq=number)
    page.next("player", "frame")
    page.next("player", "frame")
    assert not [each for each in page.messages if each.content["kind"] == "frame"]
    page.say(to="player", kind="painted", seq=1)
    assert (page.next("player", "frame")).content["ref"] == refs[-1]


def test_a_page_that_does_not_show_the_player_is_sent_no_picture(open_page: OpenPage, camera: Camera) -> None:
    page = open_page()
    camera.detected()
    page.say(to="player", kind="ready")
    page.next("player", "frame")
    page.say(to="player", kind="hidden")
    page.say(to="charts", kind="ready")
    page.until(lambda each: each.content["to"] == "charts" and each.content["kind"] != "state")
    newest = camera.detected()
    page.say(to="player", kind="ready")
    assert (page.next("player", "frame")).content["ref"] == newest


def test_the_camera_may_be_changed(open_page: OpenPage, camera: Camera, bare_client: redis.Redis) -> None:
    other = Camera(bare_client, "garden")

    camera.detected()
    page = open_page()
    page.say(to="player", kind="ready")
    assert (page.next("player", "frame")).content["camera"] == "0"
    ref = other.detected()
    page.say(to="page", kind="watch", camera="garden", minutes=5)
    found = (page.next("player", "frame")).content
    assert (found["camera"], found["ref"]) == ("garden", ref)


def test_problems_are_reported_to_the_page(open_page: OpenPage, camera: Camera) -> None:
    page = open_page()
    page.say(to="player", kind="ready")
    status = (page.next("player", "status")).content
    assert status["notice"] == "no frame yet: is the capture running?"
    assert status["sender"] == "the server"
    camera.detected()
    page.until(lambda each: each.content["kind"] == "status" and not each.content["notice"])
    camera.detect(camera.frame(), boxes="[1, 2, 3]")
    page.until(lambda each: "malformed: boxes has 3 numbers" in each.content.get("notice", ""))


def test_charts_get_the_history_and_then_updates(open_page: OpenPage, bare_client: redis.Redis) -> None:
    create_series(bare_client, "0")
    client: Any = bare_client
    now = time.time_ns() // 1_000_000

    page = open_page()
    state = (page.next("charts", "state")).content["state"]
    assert state["_setup"]["sender"] == "the server"
    client.execute_command("TS.ADD", "camera:0:people", now - 1000, 4)
    page.say(to="charts", kind="ready")
    history = page.next("charts", "history")
    assert history.content["minutes"] == 5.0
    assert history.content["tables"][0]["rows"] == 1
    client.execute_command("TS.ADD", "camera:0:people", now + 1000, 6)
    news = page.until(lambda each: each.content["kind"] == "new" and each.content["rows"][0] == 1)
    assert news.content["seq"] > history.content["seq"]
    assert news.data
    # who comes later gets the same, from the history on
    later = open_page()
    later.say(to="charts", kind="visible")
    assert (later.next("charts", "history")).content == history.content
    assert (later.until(lambda each: each.content.get("seq") == news.content["seq"])).data == news.data
    page.say(to="charts", kind="set", minutes=2.4)
    assert (page.next("charts", "history")).content["minutes"] == 2.0


def test_a_long_log_starts_again(
    open_page: OpenPage, bare_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rededge_nb.web.charts._RENEW_BYTES", -1_000_000)
    create_series(bare_client, "0")

    page = open_page()
    page.say(to="charts", kind="ready")
    first = page.next("charts", "history")
    again = page.next("charts", "history")
    assert again.content["seq"] == first.content["seq"] + 1


def test_missing_series_are_reported_with_the_remedy(open_page: OpenPage) -> None:
    page = open_page("7")
    page.say(to="charts", kind="ready")
    told = page.until(lambda each: bool(each.content.get("state", {}).get("_notice")))
    expected = "Camera 7 has no time series: `rededge init --camera 7` creates them."
    assert told.content["state"]["_notice"] == expected


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[]",
        "{}",
        '{"to": "page", "kind": "watch", "camera": "a b", "minutes": 5}',
        '{"to": "charts", "kind": "set", "minutes": 61}',
        '{"to": "charts", "kind": "set", "minutes": "5"}',
        '{"to": "charts", "kind": "set", "minutes": NaN}',
        '{"to": "player", "kind": "painted", "seq": Infinity}',
        '{"to": "player", "kind": "painted", "seq": [1]}',
        "[" * 20_000,
        b"\xff\xfe",
    ],
)
def test_a_page_that_sends_malformed_messages_is_disconnected(open_page: OpenPage, message: str | bytes) -> None:
    page = open_page()
    page.connection.send(message, ABNF.OPCODE_BINARY if isinstance(message, bytes) else ABNF.OPCODE_TEXT)
    assert page.closed() == 1008


def test_a_page_that_sends_a_large_message_is_disconnected(open_page: OpenPage) -> None:
    page = open_page()
    page.connection.send("x" * 100_000)
    # of what it has not read the kernel may tell first
    with contextlib.suppress(ConnectionResetError):
        assert page.closed() == 1009
    open_page().next("charts", "state")


def test_unknown_messages_are_ignored(open_page: OpenPage, camera: Camera) -> None:
    camera.detected()
    page = open_page()
    for word in ({"to": "x", "kind": "y"}, {"to": "player", "kind": "set", "boxes": False}):
        page.say(**word)
    page.say(to="player", kind="painted", seq=10**30)
    page.say(to="player", kind="ready")
    assert (page.next("player", "frame")).content["people"] == 1


def test_the_number_of_viewers_is_limited(open_page: OpenPage, camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rededge_nb.web.hub.MAX_VIEWERS", 1)

    camera.detected()
    page = open_page()
    page.say(to="player", kind="ready")
    page.next("player", "frame")
    other = open_page()
    other.say(to="player", kind="ready")
    assert other.closed() == 1013


@pytest.mark.parametrize("origin", ["http://example.org", "http://127.0.0.1:1", "null", "http://["])
def test_pages_of_other_sites_are_refused(port: int, open_page: OpenPage, origin: str) -> None:
    open_page(Origin=f"http://127.0.0.1:{port}")
    with pytest.raises(WebSocketBadStatusException) as refused:
        open_page(Origin=origin)
    assert refused.value.status_code == 403


def test_the_token_is_asked_for(redis_url: str, bare_client: redis.Redis) -> None:
    elsewhere = "https://hub.example.org"

    def refused(port: int, *, token: str | None, **headers: str) -> int:
        with pytest.raises(WebSocketBadStatusException) as refusal, page_of(port, token=token, **headers):
            pass
        return int(refusal.value.status_code)

    with WebServer(redis_url, port=0, token=TOKEN) as server:
        assert refused(server.port, token=None) == 401
        assert refused(server.port, token="another-token-of-the-tests") == 401
        assert refused(server.port, token=TOKEN, Origin=elsewhere) == 403
        with page_of(server.port, Origin=f"http://127.0.0.1:{server.port}") as page:
            page.next("charts", "state")
        # a proxy adds the header, and Origin has the name of the proxy
        with page_of(server.port, token=None, Authorization=f"Bearer {TOKEN}", Origin=elsewhere) as page:
            page.next("charts", "state")


def raise_alarm(camera: Camera, **more: Any) -> str:
    event = {"kind": "alarm_raised", "severity": "alarm", "ts": 1, "alarm": "a", "rule": "queue", **more}
    for command in event_commands("camera:0", [event], "", 1000):
        camera.client.execute_command(*command)
    return "0/1000-0"


def test_events_and_alarms_are_sent_and_a_click_is_answered(open_page: OpenPage, camera: Camera) -> None:
    ref = camera.detected()
    page = open_page()
    page.say(to="player", kind="ready")
    assert page.next("events", "state").content["state"]["events"] == []
    raised = raise_alarm(camera, ref=ref)
    state = page.next("events", "state").content["state"]
    assert [event["id"] for event in state["events"]] == [event["id"] for event in state["alarms"]] == [raised]
    assert not state["editable"], "this link is for looking only"
    page.say(to="events", kind="open", id=raised)
    opened = page.next("events", "opened")
    assert (opened.content["show"], opened.data[:2]) == ("frame", b"\xff\xd8")
    page.say(to="events", kind="acknowledge", id=raised)
    assert page.next("events", "refused").content["reason"] == "this link is for looking only"
    assert active_alarms(camera.client, "0")[0].acknowledged_ms is None


def test_clips_are_sent_and_whoever_may_edit_acknowledges(redis_url: str, camera: Camera, tmp_path: Path) -> None:
    raised = raise_alarm(camera, clip="0-a.mp4")
    with (
        WebServer(redis_url, port=0, token=TOKEN, directory=tmp_path, edit=True) as server,
        page_of(server.port, token=server.ready.edit_token) as page,
    ):
        (tmp_path / "clips").mkdir()
        (tmp_path / "clips" / "0-a.mp4").write_bytes(b"a film")
        page.say(to="player", kind="ready")
        assert page.next("events", "state").content["state"]["editable"]
        page.say(to="events", kind="open", id=raised)
        opened = page.next("events", "opened")
        assert (opened.content["show"], opened.data) == ("clip", b"a film")
        page.say(to="events", kind="acknowledge", id=raised)
        page.next("events", "acknowledged")
        page.until(lambda each: each.content["to"] == "events" and each.content["state"]["alarms"][0]["acknowledged"])
        for content in ({}, {"id": 7}, {"id": "other/1-0"}):
            page.say(to="events", kind="open", **content)
        page.say(to="events", kind="open", id=raised)
        assert page.next("events", "opened").content["id"] == raised
