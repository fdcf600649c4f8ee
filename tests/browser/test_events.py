"""Events and alarms on the web page and in a notebook: filters, keyboard, frames, clips that play, silent cameras."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Page, expect

from rededge_nb import schema
from rededge_nb.analytics.events import event_commands
from rededge_nb.clips.clip import make_clip
from rededge_nb.live import follow
from rededge_nb.web import WebServer
from tests.browser import jupyter, layout
from tests.clips.filling import add_boxes, add_frame
from tests.waiting import wait_for

pytest_plugins = ("tests.bare_fixtures",)

ROW = ".rededge-events-row"
ALARM = ".rededge-events-alarm"
DIALOG = ".rededge-events-dialog"
VIDEO = f"document.querySelector('{DIALOG} video')"


@pytest.fixture
def server(bare_client: redis.Redis, tmp_path: Path) -> Iterator[WebServer]:
    url = f"unix://{bare_client.connection_pool.connection_kwargs['path']}"
    with WebServer(url, port=0, directory=tmp_path, edit=True) as server:
        yield server


@pytest.fixture
def page(server: WebServer, page: Page) -> Page:
    """A page that is closed before the server."""
    return page


def until(page: Page, condition: str, what: str) -> Any:
    """Wait for a condition in the page, whose policy does not let Playwright do that by itself."""
    return wait_for(lambda: page.evaluate(condition), timeout=jupyter.TIMEOUT, what=what)


def add(client: redis.Redis, now_ms: int, **fields: Any) -> None:
    event = {"severity": "info", "ts": now_ms, **fields}
    for command in event_commands("camera:0", [event], "", now_ms):
        client.execute_command(*command)


def fill(client: redis.Redis, clips: Path) -> float:
    """Frames of three seconds that are some seconds old, events, two alarms, a clip; returns its seconds."""
    first = time.time_ns() // 1_000_000 - 20_000
    times = [first, *range(first + 40, first + 1000, 40), *range(first + 2000, first + 3000, 90)]
    for ts in times:
        ref = add_frame(client, ts, size_wh=(321, 243))
        add_boxes(client, ref, ts, [(100, 60, 180, 220)])
    add(client, first + 3000, kind="line_crossed", line="<b>door</b>", direction="forward", track=7, ref=f"{first}-0")
    add(client, first + 3001, kind="zone_left", zone="desk", track=7, seconds=4, ref=f"{first + 40}-0")
    common = {"kind": "alarm_raised", "severity": "alarm", "zone": "desk", "ref": f"{first + 80}-0"}
    add(
        client,
        first + 3002,
        **common,
        alarm="queue-1",
        rule="queue",
        condition="occupancy",
        value=3,
        clip="0-queue-1.mp4",
    )
    add(
        client,
        first + 3003,
        **common | {"severity": "warning"},
        alarm="stay-1",
        rule="stay",
        condition="dwell",
        value=60,
    )
    clips.mkdir()
    clip = make_clip(client, "0", first + 1500, before=1.5, after=2)
    clip.save(clips / "0-queue-1.mp4")
    return clip.video.duration_ms / 1000


def test_events_are_listed_filtered_and_shown_and_alarms_acknowledged(
    page: Page, server: WebServer, bare_client: redis.Redis, tmp_path: Path, open_page: Callable[[], Page]
) -> None:
    seconds = fill(bare_client, tmp_path / "clips")
    assert seconds > 2.5
    page.goto(str(server.ready.edit_link))
    page.wait_for_selector(f"{ROW} img")
    texts = page.locator(f"{ROW} .rededge-events-text").all_inner_texts()
    assert texts == [
        "stay: somebody has been in the zone desk for 60 s",
        "queue: 3 people in the zone desk clip",
        "somebody left the zone desk after 4 s #7",
        "somebody crossed the line <b>door</b> (forward) #7",
    ]
    name = page.get_attribute(f"{ROW}[data-kind=zone_left]", "aria-label")
    assert name is not None
    assert name.startswith("somebody left the zone desk after 4 s, ")
    assert name.endswith("info, show the frame")

    page.get_by_role("button", name="Edit lines and zones").click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert layout.keyboard_problems(page, "body") == []

    page.select_option("select[aria-label=Kind]", "lines")
    expect(page.locator(ROW)).to_have_count(1)
    page.select_option("select[aria-label=Kind]", "")
    page.select_option("select[aria-label=Severity]", "alarm")
    expect(page.locator(ROW)).to_have_count(1)

    page.click(ROW)
    page.wait_for_selector(f"{DIALOG} video")
    until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.currentTime > 0", "the clip to play")
    assert page.evaluate(f"{VIDEO}.duration") == pytest.approx(seconds, abs=0.3)
    assert page.evaluate(f"[{VIDEO}.videoWidth, {VIDEO}.videoHeight]") == [322, 244]
    page.keyboard.press("Escape")
    page.wait_for_selector(DIALOG, state="detached")

    page.select_option("select[aria-label=Severity]", "")
    page.focus(f"{ROW} >> nth=0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{DIALOG} img")
    until(page, f"document.querySelector('{DIALOG} img').naturalWidth === 321", "the frame")
    page.keyboard.press("Escape")
    page.wait_for_selector(DIALOG, state="detached")
    until(page, "document.activeElement.dataset.kind === 'zone_left'", "the focus to come back")

    viewer = open_page()
    viewer.goto(server.ready.link)
    viewer.wait_for_selector(ALARM)
    assert viewer.locator(f"{ALARM} >> text=Acknowledge").count() == 0
    expect(page.locator(ALARM)).to_have_count(2)
    page.click(f"{ALARM}:has-text('queue') >> text=Acknowledge")
    for each in (page, viewer):
        expect(each.locator(ALARM)).to_have_count(1)
    add(bare_client, time.time_ns() // 1_000_000, kind="alarm_cleared", alarm="stay-1", rule="stay", zone="desk")
    expect(page.locator(ALARM)).to_have_count(0)
    # an event of a recording, which a live source has followed
    recording = {"capture": "c1", "start_ms": 5_000, "first_id": "1-0", "last_id": "9-0", "ended_ms": 9}
    for record in (recording, {"capture": "c2", "ended_ms": 20}):
        bare_client.xadd("camera:0:captures", record)
    add(bare_client, time.time_ns() // 1_000_000, kind="zone_entered", zone="desk", ts=47_900, ref="7-0")
    page.wait_for_selector(f"{ROW}[data-kind=zone_entered] .rededge-events-time:text-is('at 0:42')")


def test_a_silent_camera_does_not_look_live(
    page: Page, server: WebServer, bare_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_client.sadd(schema.CAMERAS_KEY, "0")
    ts = time.time_ns() // 1_000_000 - 30_000
    add_boxes(bare_client, add_frame(bare_client, ts), ts, [(20, 20, 60, 100)])
    page.goto(server.ready.link)
    page.wait_for_selector(".rededge-player-silent .rededge-player-mark:text('silent')")
    assert "grayscale" in page.evaluate("getComputedStyle(document.querySelector('.rededge-player-image')).filter")
    until(page, "document.title.startsWith('(silent) camera 0')", "the title")
    until(page, "document.querySelector('#camera').selectedOptions[0].text === '0 (silent)'", "the list of cameras")
    monkeypatch.setattr(follow, "SILENT_AFTER", 3600.0)  # as if frames had arrived lately
    page.wait_for_selector(".rededge-player:not(.rededge-player-silent)")
    until(page, "document.title.startsWith('(1) camera 0')", "the title")
