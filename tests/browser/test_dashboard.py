"""The dashboard in JupyterLab, and as a page of its own."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Page, expect

from rededge_nb import assets, schema, streams
from rededge_nb.control import gears, provision
from tests.browser import jupyter, layout
from tests.browser.conftest import FAST_MODEL, RunNotebook
from tests.browser.jupyter import Lab
from tests.waiting import wait_for

CELLS = [
    f"from rededge_nb import Workbench\nwb = Workbench()\nchanges = wb.provision('0', model='{FAST_MODEL}')",
    "board = wb.dashboard('0')\nboard",
]
BOARD = ".rededge-dashboard"
PARTS = ("player", "charts", "capture", "model", "gear")
DRAWER = ".rededge-drawer-button"


@pytest.fixture
def board(client: redis.Redis, run_notebook: RunNotebook) -> Page:
    """A page with a dashboard whose drawer is open, and the notebook's kernel idle."""
    page = run_notebook(CELLS)
    page.click(DRAWER, timeout=jupyter.TIMEOUT * 1000)
    expect(page.locator(f"{BOARD} .rededge-area-gear td").first).to_be_visible(timeout=jupyter.TIMEOUT * 1000)
    jupyter.wait_until_idle(page)
    return page


def part(page: Page, name: str) -> str:
    return f"{BOARD} .rededge-area-{name}"


def press(page: Page, where: str, name: str) -> None:
    page.locator(part(page, where)).get_by_role("button", name=name, exact=True).click()


def stage_size(page: Page) -> tuple[float, float]:
    """Width and height of the player's picture in pixels."""
    box = page.locator(".rededge-player-stage").bounding_box()
    assert box is not None
    return box["width"], box["height"]


def assert_nothing_sticks_out(page: Page) -> None:
    layout.wait_until_none(layout.sticking_out, page, BOARD)
    layout.wait_until_none(layout.scrollable, page, BOARD)
    for name in PARTS:
        box = page.locator(part(page, name)).bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 60, name


def test_it_fits_the_window(board: Page) -> None:
    for width, height in ((1280, 800), (1024, 768)):
        board.set_viewport_size({"width": width, "height": height})
        board.wait_for_function(f"innerWidth === {width}")
        assert_nothing_sticks_out(board)


def test_the_drawer_works_with_the_keyboard_and_while_a_cell_runs(board: Page, client: redis.Redis) -> None:
    drawer = board.locator(".rededge-drawer")
    board.focus(f"{part(board, 'capture')} input[type=text]")
    board.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(board.locator(DRAWER)).to_be_focused()
    expect(board.locator(DRAWER)).to_have_attribute("aria-expanded", "false")
    # the server says when the cell has begun and whether it has ended: the kernel's status in the page comes later
    cell = "wb.client.set('begun', 1); wb.client.blpop('go-on', 120); wb.client.set('ended', 1)"
    board.evaluate(f'void notebookPanel.sessionContext.session.kernel.requestExecute({{ code: "{cell}" }})')
    wait_for(lambda: client.exists("begun"), timeout=60, what="the cell to begin")
    board.keyboard.press("Enter")
    expect(drawer).to_be_visible()
    assert not client.exists("ended")
    client.rpush("go-on", 1)
    wait_for(lambda: client.exists("ended"), timeout=60, what="the cell to end")


def test_a_gear_is_unregistered_only_after_a_confirmation(board: Page, client: redis.Redis) -> None:
    press(board, "gear", "Unregister gear")
    expect(board.locator(f"{part(board, 'gear')} .rededge-confirmation")).to_contain_text("people_counter on camera:0")
    press(board, "gear", "Cancel")
    press(board, "gear", "Unregister gear")
    press(board, "gear", "Unregister")
    wait_for(lambda: gears.list_registrations(client) == [], what="the end of the gear")


def test_it_has_no_serious_problems_of_accessibility(board: Page, client: redis.Redis) -> None:
    press(board, "capture", "Start capture")
    wait_for(lambda: client.xlen(schema.detections_key("0")) > 5, timeout=60, what="detections")
    # JupyterLab's arrow, which is black, is drawn white; other selects have the browser's own
    chooser, filters = (
        f"document.querySelector('{BOARD} {each} select')" for each in (".widget-dropdown", ".rededge-events")
    )
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        board.evaluate(f"void jupyterapp.commands.execute('apputils:change-theme', {{ theme: '{theme}' }})")
        light = str(theme.endswith("Light")).lower()
        board.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
        assert "url" in board.evaluate(f"getComputedStyle({chooser}).backgroundImage"), theme
        assert board.evaluate(f"getComputedStyle({filters}).backgroundImage") == "none", theme
        layout.wait_until_none(layout.serious_problems, board, BOARD)


def test_a_capture_is_started_and_stopped_by_clicking(board: Page, client: redis.Redis) -> None:
    state = board.locator(f"{part(board, 'capture')} [role=status]")
    press(board, "capture", "Start capture")
    wait_for(lambda: client.xlen(schema.frames_key("0")) > 5, timeout=30, what="frames")
    expect(state.filter(has_text=re.compile(r"walking.mp4: \d+ frames at"))).to_be_visible()
    press(board, "capture", "Stop capture")
    expect(state.filter(has_text="ended after")).to_be_visible()
    frames = client.xlen(schema.frames_key("0"))
    expect(board.locator(part(board, "capture")).get_by_role("button", name="Stop capture")).to_be_disabled()
    assert client.xlen(schema.frames_key("0")) == frames


def test_an_error_is_shown_as_text(board: Page) -> None:
    source = board.locator(f"{part(board, 'capture')} input[type=text]").first
    source.fill("<img src=x onerror=alert(1)>.mp4")
    source.press("Tab")
    press(board, "capture", "Start capture")
    expect(board.locator(f"{part(board, 'capture')} [data-level=error]")).to_contain_text(
        "<img src=x onerror=alert(1)>"
    )
    assert board.locator(f"{BOARD} img[src=x]").count() == 0


def test_a_file_that_is_dropped_arrives_and_is_captured(board: Page, client: redis.Redis) -> None:
    press(board, "capture", "Upload")
    zone = board.locator(f"{part(board, 'capture')} .rededge-upload")
    expect(zone).to_contain_text("Drop a file here")
    zone.locator("input").set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no video"})
    expect(zone).to_contain_text("notes.txt is not accepted")
    # larger than a single message of the Jupyter server may be
    zone.locator("input").set_input_files(_padded(assets.sample_video()))
    expect(zone).to_contain_text("MB", timeout=jupyter.TIMEOUT * 1000)
    press(board, "capture", "Start capture")
    wait_for(lambda: client.xlen(schema.frames_key("0")) > 5, timeout=30, what="frames")
    expect(zone).to_contain_text("long.mp4")


def _padded(video: Path) -> dict[str, object]:
    """The video with a box of nothing at its end, which players pass over."""
    free = 12 * 1024 * 1024
    return {
        "name": "long.mp4",
        "mimeType": "video/mp4",
        "buffer": video.read_bytes() + free.to_bytes(4, "big") + b"free" + bytes(free - 8),
    }


def test_a_file_is_dropped_with_the_mouse(board: Page) -> None:
    press(board, "capture", "Upload")
    zone = board.locator(f"{part(board, 'capture')} .rededge-upload")
    expect(zone).to_be_visible()
    board.evaluate(
        """selector => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(600_000)], "small.mp4"));
            const drop = new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true });
            document.querySelector(selector).dispatchEvent(drop);
        }""",
        f"{part(board, 'capture')} .rededge-upload",
    )
    expect(zone).to_contain_text("small.mp4, 0.6 MB")


def test_moving_the_slider_changes_the_setting_at_once(board: Page, client: redis.Redis) -> None:
    before = provision.read_settings(client)["confidence"]
    handle = board.locator(f"{part(board, 'model')} .rededge-slider input").first
    handle.focus()
    for _ in range(5):
        handle.press("ArrowRight")
    wanted = f"{float(before) + 0.05:g}"
    wait_for(lambda: provision.read_settings(client)["confidence"] == wanted, what=f"confidence {wanted}")
    client.hset(schema.GEAR_SETTINGS_KEY, "confidence", "0.12")
    expect(board.locator(f"{part(board, 'model')} .rededge-slider output").first).to_have_text("0.12")


def test_pause_and_unpause_by_clicking(board: Page, client: redis.Redis) -> None:
    status = board.locator(f"{part(board, 'gear')} .rededge-pill").first
    expect(status).to_have_text("ok")
    press(board, "gear", "Pause gear")
    expect(status).to_have_text("paused")
    assert [found.status for found in gears.list_registrations(client)] == ["PAUSED"]
    press(board, "gear", "Unpause gear")
    expect(status).to_have_text("ok")


def test_closing_the_workbench_leaves_an_image(board: Page, client: redis.Redis) -> None:
    press(board, "capture", "Start capture")
    wait_for(lambda: client.xlen(schema.detections_key("0")) > 5, timeout=60, what="detections")
    jupyter.execute(board, "wb.close()")
    expect(board.locator(BOARD)).to_have_count(0)
    expect(board.locator(".jp-OutputArea-output img[src^='data:image/jpeg']")).to_be_visible()


TELL = """
import threading, time
from ipykernel.comm.comm import BaseComm
from rededge_nb.widgets import charts, presence
presence.PAGE_TIMEOUT = charts.PAGE_TIMEOUT = 1
sent, publish = 0, BaseComm.publish_msg
def counted(*words, **more):
    global sent
    sent += 1
    return publish(*words, **more)
BaseComm.publish_msg = counted
def tell():
    while True:
        wb.client.rpush("told", f"{board.presence.absent} {sent}")
        time.sleep(0.1)
threading.Thread(target=tell, daemon=True).start()
"""
"""Lets a kernel say ten times in a second what its dashboard does, and forget a page after a second."""


def test_nothing_is_sent_when_the_page_has_gone_and_it_is_up_to_date_when_it_is_back(
    lab: Lab, lab_page: Page, client: redis.Redis
) -> None:
    path = jupyter.write_notebook(lab, "gone", CELLS)
    page = lab_page
    jupyter.open_in_same_page(page, path.name)
    jupyter.run_all_cells(page)
    shown = "Boolean(document.querySelector('.rededge-area-gear td'))"
    page.wait_for_function(shown)
    jupyter.wait_until_idle(page)
    page.evaluate("notebookPanel.context.save()")
    jupyter.execute(page, TELL)
    page.goto("about:blank")

    def told() -> str:
        words: Any = client.blpop(["told"], 60)
        return str(words[1])

    def nothing_is_sent() -> bool:
        client.delete("told")
        texts = {told() for _ in range(30)}
        return len(texts) == 1 and "True" in texts.pop()

    wait_for(nothing_is_sent, timeout=180, what="a kernel that sends nothing for three seconds")
    client.hset(schema.GEAR_SETTINGS_KEY, "confidence", "0.12")
    jupyter.load_again(page, lab, path.name, shown=shown)
    output = page.locator(f"{part(page, 'model')} .rededge-slider output").first
    expect(output).to_have_text("0.12", timeout=jupyter.TIMEOUT * 1000)
    client.delete("told")
    wait_for(lambda: "False" in told(), timeout=60, what="the kernel to hear of the page")
    jupyter.shut_down_kernel(page)


def test_the_dashboard_continues_after_the_last_cell(lab: Lab, lab_page: Page, client: redis.Redis) -> None:
    provision.use_model(client, FAST_MODEL)
    shutil.copytree(assets.folder("notebooks"), lab.folder / "dashboard", dirs_exist_ok=True)
    page = lab_page
    jupyter.open_in_same_page(page, "dashboard/06_dashboard.ipynb")
    jupyter.run_all_cells(page)
    wait_for(lambda: client.exists(schema.detections_key("0")), timeout=120, what="detections")
    jupyter.wait_until_idle(page)
    # JupyterLab has only those cells in the page that are in sight
    page.evaluate("notebookPanel.content.scrollToItem(4, 'start')")
    page.click(DRAWER)
    expect(page.locator(f"{part(page, 'capture')} [data-level=good]")).to_contain_text("frames at", timeout=120_000)
    seen = client.xlen(schema.detections_key("0"))
    wait_for(lambda: client.xlen(schema.detections_key("0")) > seen + 10, timeout=60, what="more detections")
    assert_nothing_sticks_out(page)
    page.locator(BOARD).evaluate("board => board.scrollIntoView()")
    if folder := os.environ.get("CI_ARTIFACTS_DIR"):
        page.screenshot(path=Path(folder) / "06_dashboard.png")
    # the end of the kernel is the end of its capture
    jupyter.shut_down_kernel(page)

    def silent() -> bool:
        newest = streams.last_id(client, schema.frames_key("0"))
        page.wait_for_timeout(1000)
        return streams.last_id(client, schema.frames_key("0")) == newest

    wait_for(silent, timeout=30, what="the capture to end with its kernel")


def test_it_is_a_page_of_its_own_behind_the_jupyter_server(lab: Lab, page: Page, client: redis.Redis) -> None:
    provision.use_model(client, FAST_MODEL)
    page.goto(f"{lab.url}/lab?reset")
    for title in ("People dashboard", "Live video"):
        icon = page.locator(".jp-LauncherCard", has_text=title).locator("img")
        expect(icon).to_be_visible(timeout=60_000)
        wait_for(lambda icon=icon: icon.evaluate("img => img.naturalWidth"), what=f"the icon of {title}")
    # with a token, as the address of JupyterLab has it
    page.goto(f"{lab.url}/rededge/?token=of-the-jupyter-server", timeout=jupyter.TIMEOUT * 1000)
    page.click(DRAWER, timeout=jupyter.TIMEOUT * 1000)
    expect(page.locator(f"{part(page, 'capture')} [data-level=good]")).to_contain_text("frames at", timeout=120_000)
    expect(page.get_by_role("heading", name="Exercises")).to_be_hidden()
    expect(page).to_have_title("People dashboard")
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", re.compile(r"^data:image/svg\+xml,"))
    assert_nothing_sticks_out(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        layout.wait_until_none(layout.serious_problems, page, "body")
    press(page, "capture", "Stop capture")
    expect(page.locator(f"{part(page, 'capture')} [role=status]").filter(has_text="ended after")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert layout.keyboard_problems(page, "body") == []
    page.click(DRAWER)
    for width, height in layout.SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(f"innerWidth === {width}")
        layout.wait_until_none(layout.sticking_out, page, "body")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if (width, height) == layout.PHONE:
            wait_for(lambda width=width: stage_size(page)[0] > width - 70, what="a player as wide as the phone")
        else:
            layout.wait_until_none(layout.scrollable, page, "body")
            wait_for(
                lambda width=width, height=height: (
                    stage_size(page)[0] > 0.5 * width or stage_size(page)[1] > 0.7 * height
                ),
                what=f"a large player in a window of {width} x {height} pixels",
                timeout=30,
            )
    # with four cameras, two rows of two are the largest pictures that are all in the window
    client.sadd(schema.CAMERAS_KEY, "door", "gate", "yard")
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.get_by_label("Camera", exact=True).select_option(label="all cameras")
    grid = ".rededge-camera-grid"
    wait_for(lambda: len(layout.pictures(page, grid)) == 4, what="four cameras", timeout=30)
    wait_for(lambda: layout.columns(page, grid) == 2, what="two rows of two", timeout=30)
    layout.wait_until_none(layout.scrollable, page, "body")
