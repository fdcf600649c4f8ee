"""The dashboard without a browser."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import redis

from rededge_nb import Workbench, schema
from rededge_nb.edge.server.state import Instance
from rededge_nb.live.tiles import Tile
from rededge_nb.widgets import snapshot
from rededge_nb.widgets.dashboard import ALL, Dashboard
from tests.waiting import wait_for

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def wb(client: redis.Redis, edge: Instance) -> Iterator[Workbench]:
    with Workbench(edge.url) as workbench:
        yield workbench


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a front end would get."""
    bundles: list[dict[str, Any]] = []
    for name in ("display", "update_display"):
        monkeypatch.setattr(snapshot, name, lambda bundle, **options: bundles.append(bundle))
    return bundles


def test_selecting_a_camera_changes_every_part(wb: Workbench) -> None:
    wb.provision("0", "7")
    board = wb.dashboard("0")
    assert [name for _, name in board.chooser.options] == ["0", "7", ALL]
    board.chooser.value = "7"
    assert board.camera == "7"
    assert [part.camera for part in (board.player, board.charts, board.capture, board.gear)] == ["7"] * 4


def test_new_cameras_are_offered(wb: Workbench) -> None:
    wb.provision("0")
    board = wb.dashboard("0")
    wb.provision("8")
    wait_for(lambda: [name for _, name in board.chooser.options] == ["0", "8", ALL], what="the new camera")
    assert board.camera == "0"
    board.camera = "9"
    assert board.camera == "9"


def test_silent_cameras_are_marked(wb: Workbench) -> None:
    wb.provision("0", "8")
    board = wb.dashboard("0")
    event = {"kind": "camera_silent", "ts": 1, "alarm": "silence-1", "event": "1-0"}
    wb.client.hset(schema.alarms_key("8"), "silence", json.dumps(event))
    wait_for(lambda: ("8 (silent)", "8") in board.chooser.options, what="the mark")
    board.chooser.value = "8"
    assert board.camera == "8"
    wb.client.delete(schema.alarms_key("8"))
    wait_for(lambda: ("8", "8") in board.chooser.options, what="the end of the silence")
    assert board.camera == "8"


def test_all_cameras_are_shown_in_a_grid_and_one_of_them_can_be_selected(wb: Workbench) -> None:
    wb.provision("0", "7", "door")
    board = wb.dashboard("7")
    board.chooser.value = ALL
    assert board.shows_all
    players = board.grid.children
    assert [(player.camera, player.compact) for player in players] == [("0", True), ("7", True), ("door", True)]
    # as when the choice comes while the figures of one camera are read
    board.tiles.show([Tile("people", "people now", "7")])
    wait_for(lambda: board.tiles.tiles == [], what="no figures of a single camera")
    wb.provision("yard")
    wait_for(lambda: len(board.grid.children) == 4, what="the new camera")
    assert players[0] in board.grid.children, "players that are there stay"
    players[2]._handle_custom_msg({"kind": "open", "page": "p"}, [])
    assert (board.camera, board.player.camera, board.shows_all) == ("door", "door", False)
    assert board.grid.children == ()
    assert all(player.comm is None for player in players)


def test_the_figures_of_the_camera_are_shown(wb: Workbench, video: Path) -> None:
    wb.provision("0")
    wb.camera("0").capture(video, frames=5, pace="asap")
    board = wb.dashboard("0")
    wait_for(lambda: board.tiles.tiles, what="tiles")
    assert [tile["key"] for tile in board.tiles.tiles] == ["people", "seen", "stay", "peak", "fps", "latency"]
    board.camera = "elsewhere"
    wait_for(lambda: board.tiles.tiles == [], what="no tiles for a camera without series")


def test_its_snapshot_has_the_frame_beside_the_charts(wb: Workbench, video: Path, shown: list[dict[str, Any]]) -> None:
    wb.provision("0")
    wb.camera("0").capture(video, frames=5, pace="asap")
    board = wb.dashboard("0")
    board._ipython_display_()
    board.close()
    displayed, saved, left_behind, empty = shown
    assert WIDGET_VIEW in displayed
    assert "run this cell" in saved["text/html"]
    assert saved["image/jpeg"] in saved["text/html"]
    assert not {WIDGET_VIEW, "text/html"} & set(left_behind)
    assert empty == {"text/plain": ""}
    for bundle in (saved, left_behind):
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(bundle["image/jpeg"]), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape[0] == 360
        assert picture.shape[1] > 600
        assert len(bundle["image/jpeg"]) < 200_000


def test_it_is_shown_without_any_frame(wb: Workbench, shown: list[dict[str, Any]]) -> None:
    wb.dashboard("nobody")._ipython_display_()
    assert WIDGET_VIEW in shown[0]
    assert "nothing to show yet" in shown[1]["text/html"]


def test_a_new_dashboard_replaces_the_previous_one(wb: Workbench) -> None:
    first, other = wb.dashboard("0"), wb.dashboard("1")
    second = wb.dashboard("0")
    assert first.comm is None
    assert None not in (other.comm, second.comm)


def test_closing_leaves_no_thread_and_may_be_repeated(wb: Workbench) -> None:
    before = set(threading.enumerate())
    board = wb.dashboard("0")
    board.capture.start(loop=True)
    capture = wait_for(lambda: board.capture.capture, what="a capture")
    board.close()
    board.close()
    assert not capture.running
    assert set(threading.enumerate()) <= before
    assert isinstance(board, Dashboard)
    assert all(part.comm is None for part in (board.player, board.charts, board.capture, board.model, board.gear))
