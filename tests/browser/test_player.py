"""The player in JupyterLab: what is painted, counted in the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Page

from rededge_nb.capture.run import Capture, start_capture
from rededge_nb.control import provision
from rededge_nb.reading import detections
from tests.browser import jupyter
from tests.browser.conftest import FAST_MODEL, RunNotebook
from tests.waiting import wait_for

RECORD_PAINTS = """
window.paints = [];
window.recordPaint ??= event => window.paints.push(event.detail);
document.addEventListener("rededge-paint", window.recordPaint);
"""
SETUP = "from rededge_nb import Workbench\nwb = Workbench()\nplayer = wb.player('0')"
STAGE = ".rededge-player-stage"
NOTICE = ".rededge-player-notice"


@pytest.fixture(autouse=True)
def paints_recorded(lab_page: Page) -> None:
    lab_page.evaluate(f"() => {{ {RECORD_PAINTS} }}")


@pytest.fixture
def captured(client: redis.Redis, video: Path) -> Iterator[Capture]:
    """Camera 0 with the people counter, and the sample video on it for ever."""
    provision.provision(client, model=FAST_MODEL)
    with start_capture(client, video, loop=True) as capture:
        yield capture


def paints(page: Page) -> list[dict[str, Any]]:
    return list(page.evaluate("window.paints"))


def wait_for_paints(page: Page, more: int) -> None:
    """Wait until so many more frames with detections have been painted."""
    page.evaluate("window.from = window.paints.length")
    page.wait_for_function(f"window.paints.slice(window.from).filter(each => each.detected).length >= {more}")


def wait_for_frames(captured: Capture, more: int) -> None:
    """Wait until so many more frames have been captured."""
    before = captured.report.frames
    wait_for(lambda: captured.report.frames >= before + more, what="the capture to go on")


def test_frames_are_painted_with_their_own_boxes(
    captured: Capture, client: redis.Redis, run_notebook: RunNotebook
) -> None:
    page = run_notebook([SETUP, "player"])
    wait_for_paints(page, 30)
    painted = [each for each in paints(page) if each["detected"]]
    found = {each.ref: each for each in detections.read_detections(client, "0")}
    for each in painted:
        assert each["drawn"] == found[each["ref"]].xyxy.tolist()
        assert each["people"] == found[each["ref"]].people
    refs = [each["ref"] for each in painted]
    assert sorted(set(refs)) == refs, "each frame once, in order"
    assert any(each["drawn"] for each in painted)
    assert jupyter.execute(page, "print(player.stats().in_flight <= 2)") == "True\n"


def test_boxes_are_at_the_right_places(captured: Capture, client: redis.Redis, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "player"])
    wait_for_paints(page, 1)
    page.click(".rededge-player-toggle-labels")
    page.click(".rededge-player-toggle-paused")
    page.wait_for_selector(f"{STAGE} .rededge-player-mark:text-is('paused')")
    # somewhere on a box's left edge: elsewhere, another box or a trail may cover it
    found = page.evaluate(
        """() => {
            const overlay = document.querySelector(".rededge-player-overlay");
            const image = document.querySelector(".rededge-player-image");
            const { drawn, colors } = window.paints.at(-1);
            const scale = overlay.width / image.width;
            const context = overlay.getContext("2d");
            const channels = color => [1, 3, 5].map(at => parseInt(color.slice(at, at + 2), 16));
            return drawn.map(([left, top, right, bottom], index) => {
                const wanted = channels(colors[index]);
                return [0.1, 0.3, 0.5, 0.7, 0.9].some(part => {
                    const y = (top + part * (bottom - top)) * scale;
                    const pixel = context.getImageData(Math.max(1, left * scale), y, 1, 1).data;
                    return pixel[3] > 200 && wanted.every((value, at) => Math.abs(value - pixel[at]) < 30);
                });
            });
        }"""
    )
    assert found
    assert all(found)


def test_pause_stops_paints_and_resume_continues(captured: Capture, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "player"])
    wait_for_paints(page, 3)
    page.focus(STAGE)
    page.keyboard.press(" ")
    wait_for(lambda: jupyter.execute(page, "print(player.paused)") == "True\n", what="the kernel to hear of the pause")
    # what was on its way arrives
    wait_for_frames(captured, 5)
    sent = jupyter.execute(page, "print(player.stats().sent)")
    painted = len(paints(page))
    wait_for_frames(captured, 10)
    assert jupyter.execute(page, "print(player.stats().sent)") == sent
    assert len(paints(page)) == painted
    page.keyboard.press(" ")
    wait_for_paints(page, 3)


def test_toggles_change_what_is_drawn(captured: Capture, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "player"])
    wait_for_paints(page, 1)
    page.focus(STAGE)
    page.keyboard.press("b")
    page.wait_for_function("window.paints.at(-1).drawn.length === 0 && window.paints.at(-1).people > 0")
    assert page.get_attribute(".rededge-player-toggle-boxes", "aria-pressed") == "false"
    jupyter.execute(page, "player.boxes = True")
    page.wait_for_function("window.paints.at(-1).drawn.length > 0")
    assert page.locator(".jp-Cell").count() == 2, "b is not JupyterLab's key for a new cell here"


def test_a_second_view_shows_the_same_and_a_hidden_player_is_sent_nothing(
    captured: Capture, run_notebook: RunNotebook
) -> None:
    page = run_notebook([SETUP, "player", "player"])
    page.wait_for_function(f"document.querySelectorAll('{STAGE}').length === 2")
    page.evaluate("window.views = new Map()")
    page.evaluate(
        "document.addEventListener('rededge-paint', event => {"
        "  const refs = window.views.get(event.target) ?? []; refs.push(event.detail.ref);"
        "  window.views.set(event.target, refs); })"
    )
    page.wait_for_function("[...window.views.values()].filter(refs => refs.length >= 10).length === 2")
    first, second = page.evaluate("[...window.views.values()]")
    assert len(set(first) & set(second)) >= min(len(first), len(second)) - 1
    jupyter.command(page, "launcher:create")
    wait_for(
        lambda: ", unseen:" in jupyter.execute(page, "print(player)"), timeout=60, what="the player to be out of sight"
    )
    # what was on its way arrives
    wait_for_frames(captured, 5)
    painted = len(paints(page))
    wait_for_frames(captured, 10)
    assert len(paints(page)) == painted


def test_a_page_that_is_loaded_again_continues(captured: Capture, lab: jupyter.Lab, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "player"])
    wait_for_paints(page, 3)
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    path = str(page.evaluate("notebookPanel.context.path"))
    page.add_init_script(RECORD_PAINTS)
    jupyter.load_again(page, lab, path, shown="window.paints.length > 0")
    wait_for_paints(page, 3)
    assert jupyter.execute(page, "print(player.stats().in_flight <= 2)") == "True\n"


def test_close_replaces_the_view_by_the_last_frame(captured: Capture, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "player"])
    wait_for_paints(page, 3)
    jupyter.execute(page, "wb.close()")
    page.wait_for_selector(STAGE, state="detached")
    page.wait_for_selector(".jp-OutputArea-output img[src^='data:image/jpeg']")
    threads = jupyter.execute(page, "import threading; print([each.name for each in threading.enumerate()])")
    assert "rededge player" not in threads


def test_a_notice_about_silence_appears_and_goes(client: redis.Redis, video: Path, run_notebook: RunNotebook) -> None:
    provision.provision(client, model=FAST_MODEL)
    page = run_notebook([SETUP, "player"])
    page.wait_for_selector(f"{NOTICE}:text('no frame yet: is the capture running?')")
    with start_capture(client, video, loop=True):
        wait_for_paints(page, 3)
        page.wait_for_selector(NOTICE, state="hidden")
    page.wait_for_selector(f"{NOTICE}:text-matches('no frame for [0-9]+ s: the capture has ended')")
    for registration in client.execute_command("RG.DUMPREGISTRATIONS"):
        client.execute_command("RG.UNREGISTER", registration[1])
    with start_capture(client, video, loop=True):
        page.wait_for_selector(f"{NOTICE}:text-matches('frames arrive, but no detections for [0-9]+ s: is the gear')")
        page.wait_for_selector(f"{STAGE} .rededge-player-count:text-is('no detections')")
        page.wait_for_function("window.paints.filter(each => !each.detected).length >= 3")
        provision.provision(client, model=FAST_MODEL)
        wait_for_paints(page, 3)
        page.wait_for_selector(NOTICE, state="hidden")


def test_a_click_opens_the_frame_in_full_size(captured: Capture, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "player"])
    wait_for_paints(page, 1)
    page.click(STAGE)
    still = page.wait_for_selector(".rededge-player-full canvas")
    assert (still.get_attribute("width"), still.get_attribute("height")) == ("768", "576")
    page.keyboard.press("Escape")
    page.wait_for_selector(".rededge-player-full", state="detached")
    page.keyboard.press("Enter")
    page.click(".rededge-player-full canvas")
    page.wait_for_selector(".rededge-player-full", state="detached")
    assert len(page.context.pages) == 1


def test_hovering_a_box_shows_the_person(captured: Capture, client: redis.Redis, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "player"])
    page.wait_for_function("window.paints.length && window.paints.at(-1).drawn.length > 0")
    page.click(".rededge-player-toggle-paused")
    page.wait_for_selector(f"{STAGE} .rededge-player-mark:text-is('paused')")
    last = paints(page)[-1]
    [found] = [each for each in detections.read_detections(client, "0") if each.ref == last["ref"]]
    smallest = min(range(len(found)), key=lambda index: _area(last["drawn"][index]))
    left, top, right, bottom = last["drawn"][smallest]
    stage = page.locator(STAGE)
    width = page.locator(".rededge-player-image").bounding_box()["width"]
    scale = width / 768
    stage.hover(position={"x": (left + right) / 2 * scale, "y": (top + bottom) / 2 * scale})
    assert found.tracks is not None
    assert found.since_ms is not None
    page.wait_for_selector(f".rededge-player-tip:text('#{found.tracks[smallest]}')")
    tip = page.inner_text(".rededge-player-tip")
    since_ms = int(found.since_ms[smallest])
    clock = page.evaluate("ms => new Date(ms).toLocaleTimeString([], { hour12: false })", since_ms)
    # rounded as JavaScript does
    seconds = int((found.ts_ms - since_ms) / 1000 + 0.5)
    assert f"here since {clock} ({seconds} s)" in tip or f"here since {clock} ({seconds // 60} min" in tip


def test_trails_lead_to_the_feet_and_can_be_switched_off(captured: Capture, run_notebook: RunNotebook) -> None:
    page = run_notebook([SETUP, "player"])
    page.wait_for_function("window.paints.length && window.paints.at(-1).trails?.some(trail => trail.length > 8)")
    page.click(".rededge-player-toggle-paused")
    page.wait_for_selector(f"{STAGE} .rededge-player-mark:text-is('paused')")
    for name in ("boxes", "labels"):
        page.click(f".rededge-player-toggle-{name}")
    last = paints(page)[-1]
    for box, trail in zip(last["boxes"], last["trails"], strict=True):
        assert trail[-2:] == pytest.approx([(box[0] + box[2]) / 2, box[3]], abs=1)
    drawn = """() => {
        const overlay = document.querySelector(".rededge-player-overlay");
        return overlay.getContext("2d").getImageData(0, 0, overlay.width, overlay.height).data.some(value => value > 0);
    }"""
    assert page.evaluate(drawn)
    page.focus(STAGE)
    page.keyboard.press("t")
    page.wait_for_selector(".rededge-player-toggle-trails[aria-pressed=false]")
    assert not page.evaluate(drawn)


def _area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
