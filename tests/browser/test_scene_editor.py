"""The editor of lines, zones and masks: mouse, touch, keyboard, two editors at once, and people who may only look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Browser, Page

from rededge_nb.analytics.scene import Scene
from rededge_nb.control.camera_scene import CameraScene
from rededge_nb.edge.server.state import Instance
from rededge_nb.web import WebServer
from tests.browser import jupyter
from tests.browser.conftest import RunNotebook
from tests.browser.jupyter import Watch
from tests.waiting import wait_for
from tests.web.site import Camera

STAGE = ".rededge-player-stage"
EDIT = ".rededge-player-edit"
TEXT = ".rededge-player-edit-text"
DOOR = Scene().with_line("door", (0.25, 0.5), (0.75, 0.5), forward="in", backward="out")


@pytest.fixture
def scene(client: redis.Redis) -> CameraScene:
    Camera(client).detected()
    return CameraScene(client, "0")


@pytest.fixture
def server(edge: Instance, client: redis.Redis, tmp_path: Path) -> Iterator[WebServer]:
    with WebServer(edge.url, port=0, directory=tmp_path, edit=True) as server:
        yield server


@pytest.fixture
def page(server: WebServer, page: Page) -> Page:
    """A watched page, which is closed before the server that it speaks with."""
    return page


@pytest.fixture
def phone(server: WebServer, browser: Browser) -> Iterator[Page]:
    """A page on a phone: small, and with touch."""
    context = browser.new_context(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    watch = Watch()
    page = context.new_page()
    page.set_default_timeout(jupyter.TIMEOUT * 1000)
    watch.attach(page)
    yield page
    context.close()
    watch.check()


def begin(page: Page, link: str | None) -> None:
    page.goto(str(link))
    page.wait_for_selector(".rededge-player-has-frame")
    page.click(f"{EDIT}:not([disabled])")


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    box = page.locator(STAGE).bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def press(page: Page, name: str) -> None:
    page.click(f"{EDIT}-{name}")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=4)
    page.mouse.up()


def rename(page: Page, field: str, value: str) -> None:
    page.fill(f"{EDIT}-{field}", value)
    page.press(f"{EDIT}-{field}", "Enter")


def saved(page: Page, scene: CameraScene, version: int) -> Scene:
    press(page, "save")
    page.wait_for_selector(f"{EDIT}-bar", state="hidden")
    stored = scene.load()
    assert stored.version == version
    return stored


def near(points: Any, expected: Any) -> bool:
    return all(
        abs(a - b) < 0.02 for one, other in zip(points, expected, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_a_line_and_a_zone_are_drawn_with_the_mouse(page: Page, server: WebServer, scene: CameraScene) -> None:
    begin(page, server.ready.edit_link)
    press(page, "line")
    drag(page, (0.2, 0.6), (0.8, 0.6))
    rename(page, "name", "door")
    rename(page, "forward", "in")
    rename(page, "backward", "out")
    press(page, "zone")
    corners = [(0.3, 0.2), (0.7, 0.2), (0.7, 0.5), (0.3, 0.5)]
    for corner in (*corners, corners[0]):
        page.mouse.click(*place(page, *corner))
    rename(page, "name", "desk")
    stored = saved(page, scene, 1)
    (line,), (zone,) = stored.lines, stored.zones
    assert (line.name, line.forward, line.backward, zone.name) == ("door", "in", "out", "desk")
    assert near((line.a, line.b), ((0.2, 0.6), (0.8, 0.6)))
    assert near(zone.points, corners)


def test_a_line_and_a_zone_are_drawn_by_touch_on_a_phone(phone: Page, server: WebServer, scene: CameraScene) -> None:
    begin(phone, server.ready.edit_link)

    def tap(name: str) -> None:
        phone.tap(f"{EDIT}-{name}")

    tap("line")
    for end in ((0.2, 0.7), (0.8, 0.7)):
        phone.touchscreen.tap(*place(phone, *end))
    tap("zone")
    corners = [(0.3, 0.2), (0.7, 0.2), (0.5, 0.6)]
    for corner in corners:
        phone.touchscreen.tap(*place(phone, *corner))
    tap("finish")
    assert phone.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    tap("save")
    wait_for(lambda: scene.load().version == 1, what="the scene")
    stored = scene.load()
    assert near((stored.lines[0].a, stored.lines[0].b), ((0.2, 0.7), (0.8, 0.7)))
    assert near(stored.zones[0].points, corners)


def test_a_line_and_a_zone_are_drawn_with_the_keyboard(page: Page, server: WebServer, scene: CameraScene) -> None:
    begin(page, server.ready.edit_link)

    def keys(text: str) -> None:
        for key in text.split():
            name, _, times = key.partition("*")
            for _ in range(int(times or 1)):
                page.keyboard.press("Space" if name == "_" else f"Arrow{name}" if name[0].isupper() else name)

    page.focus(f"{EDIT}-line")
    page.keyboard.press("Enter")
    keys("Left*5 _ Right*10 _")
    page.focus(f"{EDIT}-zone")
    page.keyboard.press("Enter")
    keys("Up*10 _ Right*5 _ Down*5 _")
    page.keyboard.press("Enter")
    page.focus(f"{EDIT}-save")
    page.keyboard.press("Enter")
    wait_for(lambda: scene.load().version == 1, what="the scene")
    stored = scene.load()
    assert near((stored.lines[0].a, stored.lines[0].b), ((0.4, 0.5), (0.6, 0.5)))
    assert near(stored.zones[0].points, ((0.5, 0.3), (0.6, 0.3), (0.6, 0.4)))


def test_lines_are_moved_reversed_deleted_and_changes_undone(page: Page, server: WebServer, scene: CameraScene) -> None:
    scene.save(DOOR.with_zone("desk", [(0.1, 0.1), (0.3, 0.1), (0.3, 0.3)]))
    begin(page, server.ready.edit_link)
    page.mouse.click(*place(page, 0.5, 0.5))
    assert page.input_value(f"{EDIT}-name") == "door"
    drag(page, (0.4, 0.5), (0.5, 0.6))  # the line
    drag(page, (0.85, 0.6), (0.9, 0.8))  # its end
    press(page, "reverse")
    page.select_option(f"{EDIT}-items", label="desk")
    press(page, "delete")
    assert page.locator(f"{EDIT}-items option").all_inner_texts() == ["select …", "door"]
    press(page, "undo")
    page.select_option(f"{EDIT}-items", label="desk")
    page.focus(STAGE)
    page.keyboard.press("ArrowDown")
    stored = saved(page, scene, 2)
    assert near((stored.lines[0].a, stored.lines[0].b), ((0.9, 0.8), (0.35, 0.6)))
    assert near(stored.zones[0].points, ((0.1, 0.12), (0.3, 0.12), (0.3, 0.32)))


def test_two_editors_at_once_are_a_conflict(page: Page, server: WebServer, scene: CameraScene) -> None:
    scene.save(DOOR)
    begin(page, server.ready.edit_link)
    press(page, "line")
    drag(page, (0.2, 0.2), (0.8, 0.2))
    scene.line("other", (0, 0), (1, 1))
    page.wait_for_selector(f"{TEXT}:has-text('Somebody else has saved version 2')")
    press(page, "save")
    page.wait_for_selector(f"{TEXT}:has-text('Not saved: somebody else has saved')")
    assert [line.name for line in scene.load().lines] == ["door", "other"]
    press(page, "cancel")
    page.click(EDIT)
    assert "other" in page.locator(f"{EDIT}-items").inner_text()


def test_whoever_may_only_look_sees_everything_and_cannot_save(
    page: Page, server: WebServer, scene: CameraScene, open_page: Callable[[], Page]
) -> None:
    scene.save(DOOR)
    page.goto(server.ready.link)
    page.wait_for_selector(f"{EDIT}[disabled]")
    # a page that was changed by its user does not help either
    begin_saving = """() => {
        const socket = new WebSocket(document.baseURI.replace("http", "ws") + "live");
        socket.binaryType = "arraybuffer";
        return new Promise((resolve) => {
            socket.onopen = () => {
                socket.send(JSON.stringify({ to: "page", kind: "watch", camera: "0" }));
                socket.send(JSON.stringify({ to: "player", kind: "save", scene: { version: 1 }, version: 1 }));
            };
            socket.onmessage = ({ data }) => {
                const text = new TextDecoder().decode(new Uint8Array(data, 4));
                if (text.includes("refused")) resolve(text);
            };
        });
    }"""
    assert "this link is for looking only" in page.evaluate(begin_saving)
    assert scene.load().lines == DOOR.lines
    assert scene.load().version == 1


def test_mistakes_are_named(page: Page, server: WebServer, scene: CameraScene) -> None:
    begin(page, server.ready.edit_link)
    press(page, "line")
    drag(page, (0.2, 0.6), (0.8, 0.6))
    rename(page, "name", "front door")
    page.wait_for_selector(f"{TEXT}:has-text('A name has 1 to 32 letters')")
    press(page, "zone")
    for corner in ((0.2, 0.2), (0.6, 0.6), (0.6, 0.2), (0.2, 0.6)):
        page.mouse.click(*place(page, *corner))
    press(page, "finish")
    press(page, "save")
    page.wait_for_selector(f"{TEXT}:has-text('Not saved: zones[0].points')")
    assert scene.load().version == 0


def test_the_editor_works_in_a_notebook(client: redis.Redis, scene: CameraScene, run_notebook: RunNotebook) -> None:
    page = run_notebook(["from rededge_nb import Workbench\nwb = Workbench()\nplayer = wb.player('0')", "player"])
    page.wait_for_selector(".rededge-player-has-frame")
    page.locator(STAGE).scroll_into_view_if_needed()
    page.click(f"{EDIT}:not([disabled])")
    press(page, "line")
    page.locator(STAGE).scroll_into_view_if_needed()
    drag(page, (0.2, 0.4), (0.8, 0.4))
    stored = saved(page, scene, 1)
    assert near((stored.lines[0].a, stored.lines[0].b), ((0.2, 0.4), (0.8, 0.4)))
