"""The player's side in the kernel, without a browser: what it sends, and when."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import redis

from rededge_nb import Workbench, schema
from rededge_nb.edge.server.state import Instance
from rededge_nb.errors import ConfigurationError
from rededge_nb.live import follow
from rededge_nb.widgets.pages import Pages
from rededge_nb.widgets.player import Player, PlayerStats
from tests.waiting import wait_for


class Recorded(Player):
    """A player whose messages are kept, with a browser that answers when it is told to."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.messages: list[tuple[dict[str, Any], bytes]] = []
        super().__init__(*arguments, **options)

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.messages.append((content, bytes(buffers[0]) if buffers else b""))

    def browser(self, kind: str, page: str = "a", **content: Any) -> None:
        self._handle_custom_msg({"kind": kind, "page": page, **content}, [])

    def confirm_all(self, page: str = "a") -> None:
        self.browser("painted", page, seq=self.stats().sent)

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [content for content, _ in self.messages if content["kind"] == "frame"]

    @property
    def notice(self) -> str:
        return next((content["notice"] for content, _ in reversed(self.messages) if content["kind"] == "status"), "")


class Camera:
    """Adds frames and detections as capture and gear would."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.jpeg = cv2.imencode(".jpg", np.full((60, 80, 3), 90, np.uint8))[1].tobytes()
        self.count = 0

    def frame(self) -> str:
        self.count += 1
        fields: Any = {"count": self.count, "ts": time.time_ns() // 1_000_000, "image": self.jpeg + bytes([self.count])}
        added: Any = self.client.xadd(schema.frames_key("0"), fields)
        return str(added.decode())

    def detect(self, ref: str, **more: Any) -> None:
        fields: Any = {"ref": ref, "boxes": "[1, 2, 30, 40]", "people": 1, "confidence": "[0.875]", **more}
        self.client.xadd(schema.detections_key("0"), fields)

    def detected(self) -> str:
        ref = self.frame()
        self.detect(ref)
        return ref


@pytest.fixture(autouse=True)
def no_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine, too, detections count as recent, and frames are not shown without them."""
    monkeypatch.setattr(follow, "SILENT_AFTER", 3600.0)
    monkeypatch.setattr(follow, "NO_DETECTIONS_AFTER", 3600.0)


@pytest.fixture
def camera(client: redis.Redis) -> Camera:
    return Camera(client)


@pytest.fixture
def player(client: redis.Redis) -> Iterator[Recorded]:
    player = Recorded(client)
    yield player
    player.close()


def test_a_frame_is_sent_unchanged_with_its_own_detections(camera: Camera, player: Recorded) -> None:
    begin(camera, player)
    first = camera.frame()
    second = camera.frame()
    camera.detect(first)
    wait_for(lambda: len(player.frames) == 2, what="a frame")
    content, jpeg = next(each for each in player.messages if each[0].get("seq") == 2)
    assert jpeg == camera.jpeg + b"\x02"
    assert content["ref"] == first != second
    assert content["boxes"] == [[1.0, 2.0, 30.0, 40.0]]
    assert (content["people"], content["confidence"], content["names"]) == (1, [0.875], ["person"])
    assert content["live"]
    json.dumps(content, allow_nan=False)


def test_tracks_are_sent_and_a_missing_confidence_is_none(
    camera: Camera, player: Recorded, client: redis.Redis
) -> None:
    begin(camera, player)
    fields: Any = {"ref": camera.frame(), "boxes": "[1, 2, 30, 40]", "tracks": "[7]"}
    client.xadd(schema.detections_key("0"), fields)
    wait_for(lambda: len(player.frames) == 2, what="a frame")
    assert (player.frames[1]["names"], player.frames[1]["confidence"]) == (["#7"], [None])


def test_nothing_is_read_or_sent_before_a_browser_shows_it(camera: Camera, player: Recorded) -> None:
    camera.detected()
    assert not _threads()
    assert player.messages == []
    player.browser("painted", seq=3)
    assert not _threads()
    player.browser("ready")
    wait_for(lambda: player.frames, what="the last frame")
    assert _threads() == ["rededge player 0"]


def test_two_frames_are_in_flight_at_most_and_the_newest_wins(camera: Camera, player: Recorded) -> None:
    camera.detected()
    player.browser("ready")
    wait_for(lambda: len(player.frames) == 1, what="a frame")
    camera.detected()
    wait_for(lambda: len(player.frames) == 2, what="another frame")
    refs = [camera.detected() for _ in range(5)]
    wait_for(lambda: player.stats().dropped == 4, what="older ones to be dropped")
    assert player.stats() == PlayerStats(sent=2, confirmed=0, in_flight=2, dropped=4)
    player.browser("painted", seq=1)
    wait_for(lambda: len(player.frames) == 3, what="the newest")
    assert player.frames[2]["ref"] == refs[-1]
    assert player.stats() == PlayerStats(sent=3, confirmed=1, in_flight=2, dropped=4)
    player.confirm_all()
    assert player.stats().in_flight == 0


def test_a_hidden_or_paused_player_sends_nothing(camera: Camera, player: Recorded) -> None:
    begin(camera, player)
    for leave, come_back in (
        (lambda: player.browser("hidden"), lambda: player.browser("ready")),
        (lambda: player.set_trait("paused", True), lambda: player.set_trait("paused", False)),
    ):
        leave()
        wait_for(lambda: _is_quiet(player), what="the feed to rest")
        sent = len(player.frames)
        camera.detected()
        newest = camera.detected()
        assert _is_quiet(player)
        assert len(player.frames) == sent
        come_back()
        wait_for(lambda sent=sent: len(player.frames) > sent, what="the newest frame")
        assert player.frames[-1]["ref"] == newest
        player.confirm_all()


def test_frames_are_shown_without_boxes_when_no_gear_answers(camera: Camera, player: Recorded) -> None:
    player.browser("ready")
    wait_for(lambda: player.notice == "no frame yet: is the capture running?", what="a notice")
    first = camera.frame()
    wait_for(lambda: player.frames, what="a frame")
    assert (player.frames[0]["ref"], player.frames[0]["live"]) == (first, True)
    assert "boxes" not in player.frames[0]
    expected = "frames arrive, but no detections yet: is the gear registered, and not paused?"
    wait_for(lambda: player.notice == expected, what="another notice")
    player.confirm_all()
    ref = camera.detected()
    wait_for(lambda: player.frames[-1]["ref"] == ref and "boxes" in player.frames[-1], what="boxes")
    wait_for(lambda: player.notice == "", what="the end of the notice")


def test_malformed_detections_are_reported_and_skipped(camera: Camera, player: Recorded) -> None:
    begin(camera, player)
    camera.detect(camera.frame(), boxes="[1, 2, 3]")
    wait_for(lambda: "malformed: boxes has 3 numbers" in player.notice, what="the error")
    ref = camera.detected()
    wait_for(lambda: player.frames[-1]["ref"] == ref, what="the next frame")
    wait_for(lambda: player.notice == "", what="the end of the notice")


def test_a_key_of_another_type_is_reported(client: redis.Redis, player: Recorded) -> None:
    client.set(schema.detections_key("0"), "no stream")
    player.browser("ready")
    wait_for(lambda: "WRONGTYPE" in player.notice, what="the error")


def test_the_camera_may_be_changed(camera: Camera, client: redis.Redis) -> None:
    player = Recorded(client, "garden")
    player.browser("ready")
    ref = camera.detected()
    player.camera = "0"
    wait_for(lambda: player.frames, what="a frame of the other camera")
    assert (player.frames[0]["ref"], player.frames[0]["camera"]) == (ref, "0")
    with pytest.raises(ConfigurationError):
        player.camera = "a b"
    player.close()


def test_close_ends_the_thread_and_may_come_twice(camera: Camera, player: Recorded) -> None:
    begin(camera, player)
    player.close()
    assert not _threads()
    player.browser("ready")
    assert not _threads()
    player.close()
    assert "closed: 1 frames sent" in repr(player)


def test_a_workbench_closes_its_players(edge: Instance, client: redis.Redis) -> None:
    with Workbench() as wb:
        player = wb.player("0", labels=False)
        assert (player.camera, player.boxes, player.labels) == ("0", True, False)
    assert "closed" in repr(player)


def test_wrong_arguments_are_refused(client: redis.Redis) -> None:
    with pytest.raises(TypeError, match="colour"):
        Player(client, "0", colour="red")  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="'a b' cannot be used"):
        Player(client, "a b")


def test_a_saved_notebook_has_an_image(camera: Camera, player: Recorded) -> None:
    bundle = player.snapshot()
    assert "image/jpeg" not in bundle
    assert bundle["text/plain"].startswith("Camera 0 has nothing to show: camera:0 has no frames")
    camera.detected()
    bundle = player.snapshot()
    assert bundle["image/jpeg"].startswith("/9j/"), "base64 of a JPEG's first bytes"


def test_no_frame_is_kept_in_the_widget_s_state(camera: Camera, player: Recorded) -> None:
    begin(camera, player)
    state = {name: str(value) for name, value in player.get_state().items() if name not in ("_esm", "_css")}
    assert len(json.dumps(state)) < 2_000
    assert not any(isinstance(value, bytes) for value in player.get_state().values())


class TestPages:
    def test_a_frame_is_sent_only_if_a_page_is_ready_for_it(self) -> None:
        pages = Pages()
        assert pages.next_sequence() is None
        pages.show("a")
        assert [pages.next_sequence(), pages.next_sequence(), pages.next_sequence()] == [1, 2, None]
        assert pages.blocked_for >= 0
        pages.confirm("a", 1)
        assert pages.wait_until_ready(0)
        assert pages.next_sequence() == 3
        assert not pages.wait_until_ready(0)

    def test_the_slowest_page_sets_the_pace_unless_it_is_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pages = Pages()
        pages.show("fast")
        pages.show("slow")
        pages.next_sequence()
        pages.next_sequence()
        pages.confirm("fast", 2)
        assert (pages.in_flight, pages.confirmed, pages.next_sequence()) == (2, 2, None)
        pages.confirm("slow", 1)
        assert pages.next_sequence() == 3
        monkeypatch.setattr("rededge_nb.widgets.pages.SILENT_AFTER", -1.0)
        pages.confirm("fast", 3)
        assert (pages.in_flight, pages.next_sequence()) == (0, 4)

    def test_a_page_that_was_closed_without_a_message_does_not_stop_a_new_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pages = Pages()
        pages.show("closed")
        pages.next_sequence()
        pages.next_sequence()
        pages.show("new")
        assert not pages.wait_until_ready(0)
        monkeypatch.setattr("rededge_nb.widgets.pages.SILENT_AFTER", -1.0)
        assert pages.wait_until_ready(0)
        assert (pages.shows("new"), pages.shows("closed"), pages.next_sequence()) == (True, False, 3)

    def test_a_single_page_that_is_silent_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rededge_nb.widgets.pages.SILENT_AFTER", -1.0)
        pages = Pages()
        pages.show("busy")
        pages.next_sequence()
        pages.next_sequence()
        assert not pages.wait_until_ready(0)
        assert pages.shows("busy")

    def test_wrong_confirmations_change_nothing(self) -> None:
        pages = Pages()
        pages.show("a")
        pages.next_sequence()
        pages.confirm("a", 7)
        pages.confirm("stranger", 1)
        assert pages.in_flight == 1
        pages.confirm("a", 1)
        pages.confirm("a", 1)
        assert pages.in_flight == 0

    def test_a_page_that_returns_need_not_confirm_old_frames(self) -> None:
        pages = Pages()
        pages.show("a")
        pages.next_sequence()
        pages.next_sequence()
        pages.hide("a")
        assert not pages.seen
        pages.show("a")
        assert (pages.seen, pages.in_flight, pages.next_sequence()) == (True, 0, 3)


def begin(camera: Camera, player: Recorded) -> None:
    """Show the player, with a first frame that is painted."""
    camera.detected()
    player.browser("ready")
    wait_for(lambda: player.frames, what="a frame")
    player.confirm_all()


def _threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("rededge player")]


def _is_quiet(player: Recorded) -> bool:
    before = len(player.messages)
    return not threading.Event().wait(0.7) and len(player.messages) == before
