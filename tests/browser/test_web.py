"""The page of the web server: what is painted, counted in the page."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import redis
from playwright.sync_api import Browser, Page

from rededge_nb import schema
from rededge_nb.analytics.counted import Counted
from rededge_nb.analytics.events import event_commands
from rededge_nb.analytics.samples import create_commands
from rededge_nb.analytics.scene import Scene
from rededge_nb.edge.server.state import Instance
from rededge_nb.live import follow
from rededge_nb.reading.series import create_series
from rededge_nb.web import WebServer
from tests.browser import jupyter, layout
from tests.waiting import wait_for
from tests.web.site import Camera

pytest_plugins = ("tests.bare_fixtures",)

RECORD_PAINTS = """
window.paints = [];
document.addEventListener("rededge-paint", event => {
    const picture = event.target.querySelector(".rededge-player-image");
    const [level] = picture.getContext("2d").getImageData(4, picture.height - 4, 1, 1).data;
    window.paints.push({ ...event.detail, level });
});
window.texts = [];
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {
    window.texts.push(text);
    fillText.call(this, text, ...more);
};
"""
UNSCROLLED = "document.documentElement.scrollHeight <= innerHeight"
STAGE = ".rededge-player-stage"
NOTICE = ".rededge-player-notice"
TOKEN = "a-token-of-the-tests"


@pytest.fixture(autouse=True)
def no_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine, too, detections count as recent, and frames are not shown without them."""
    monkeypatch.setattr(follow, "SILENT_AFTER", 3600.0)
    monkeypatch.setattr(follow, "NO_DETECTIONS_AFTER", 3600.0)


@pytest.fixture
def page(server: WebServer, page: Page) -> Page:
    """A watched page, which is closed before the server that it speaks with."""
    page.add_init_script(RECORD_PAINTS)
    return page


@pytest.fixture
def camera(bare_client: redis.Redis) -> Camera:
    return Camera(bare_client)


@pytest.fixture
def url(bare_client: redis.Redis) -> str:
    return f"unix://{bare_client.connection_pool.connection_kwargs['path']}"


@pytest.fixture
def server(url: str) -> Iterator[WebServer]:
    with WebServer(url, port=0) as server:
        yield server


def until(page: Page, condition: str, what: str) -> Any:
    """Wait for a condition in the page, whose policy does not let Playwright do that by itself."""
    return wait_for(lambda: page.evaluate(condition), timeout=jupyter.TIMEOUT, what=what)


def wait_for_paint(page: Page, ref: str) -> dict[str, Any]:
    return dict(until(page, f"window.paints.find(each => each.ref === '{ref}')", f"frame {ref}"))


def test_frames_are_painted_with_their_own_boxes(page: Page, server: WebServer, camera: Camera) -> None:
    page.goto(server.ready.link)
    page.wait_for_selector(f"{NOTICE}:text('no frame yet: is the capture running?')")
    for badge in ("count", "mark"):
        page.wait_for_selector(f".rededge-player-{badge}", state="hidden")
    # before the first detections of a camera, frames are shown without
    first = camera.detected()
    until(page, f"window.paints.some(each => each.ref === '{first}' && each.detected)", "the first detections")
    for number in range(1, 9):
        level, boxes = 25 * number, [10 * number, 20, 10 * number + 60, 150]
        ref = camera.frame(level)
        # a frame that waits for its detections must not get those of another
        camera.frame(255)
        camera.detect(ref, boxes=str(boxes * 2), people=2, confidence="[0.5, 0.75]")
        painted = wait_for_paint(page, ref)
        assert painted["drawn"] == [boxes, boxes]
        assert painted["people"] == 2
        assert abs(painted["level"] - level) <= 3
    refs = page.evaluate(f"window.paints.map(each => each.ref).filter(ref => ref !== '{first}')")
    assert sorted(set(refs)) == refs, "each frame once, in order"
    assert page.text_content(".rededge-player-count") == "2 people"
    assert page.title() == "(2) camera 0 · RedisEdge"
    begin = 1_700_000_000_000
    camera.client.xadd("camera:0:captures", {"capture": "c1", "source": "door.mp4", "start_ms": begin})
    ref = camera.frame(ts=begin + 3_642_900, captured=begin + 9_000_000, capture="c1")
    camera.detect(ref)
    wait_for_paint(page, ref)
    until(page, "document.querySelector('.rededge-player-about').textContent.includes('at 1:00:42')", "the position")


def test_another_camera_can_be_selected(
    page: Page, server: WebServer, camera: Camera, bare_client: redis.Redis
) -> None:
    other = Camera(bare_client, "garden")
    ref = camera.detected()
    bare_client.sadd("cameras", "empty")
    other_ref = other.detected()
    page.goto(server.ready.link)
    wait_for_paint(page, ref)
    page.wait_for_selector("#camera option:text-is('garden')", state="attached")
    page.select_option("#camera", "garden")
    wait_for_paint(page, other_ref)
    assert page.url.endswith("/?camera=garden")
    assert page.get_attribute("#mjpeg", "href") == "video?camera=garden"
    assert page.locator(STAGE).count() == 1
    page.select_option("#camera", "empty")
    page.wait_for_selector(f"{NOTICE}:text('no frame yet')")
    assert not page.locator(".rededge-player-has-frame").count(), "nothing of the camera before"
    page.reload()
    page.wait_for_selector(f"{NOTICE}:text('no frame yet')")
    assert page.input_value("#camera") == "empty"


def test_charts_move_and_everything_follows_the_class_that_is_counted(
    page: Page, server: WebServer, camera: Camera, bare_client: redis.Redis
) -> None:
    create_series(bare_client, "0")
    client: Any = bare_client
    page.goto(server.ready.link)
    charts = "JSON.parse(document.querySelector('.rededge-charts')?.dataset.latest ?? '{}').people"
    for people in (3, 8):
        client.execute_command("TS.ADD", "camera:0:people", time.time_ns() // 1_000_000, people)
        until(page, f"{charts} === {people}", f"{people} people in the charts")
    page.fill(".rededge-charts-window input", "2")
    until(page, "document.querySelector('.rededge-charts').dataset.minutes === '2'", "a window of 2 minutes")
    until(page, f"{charts} === 8", "the same samples")
    cars = Counted("car")
    client.hset(schema.GEAR_SETTINGS_KEY, mapping=cars.fields)
    for command in create_commands("camera:0", cars.series, cars):
        client.execute_command(*command)
    client.execute_command("TS.ADD", "camera:0:count", time.time_ns() // 1_000_000, 5)
    until(page, f"{charts} === 5", "5 cars in the charts")
    page.wait_for_selector(".rededge-charts-title:text-is('Cars in view')")
    page.wait_for_selector("text=cars now")
    ref = camera.frame(100)
    camera.detect(ref, boxes="[10, 20, 70, 150]", confidence="[0.5]", count=1, people=9, **cars.fields)
    # the frame may be shown before its detections are there
    page.wait_for_selector(".rededge-player-count:text-is('1 car')")
    assert wait_for_paint(page, ref)["people"] == 1


def test_each_page_has_its_own_pause_and_switches(page: Page, server: WebServer, camera: Camera) -> None:
    page.goto(server.ready.link)
    wait_for_paint(page, camera.detected())
    page.click(".rededge-player-toggle-paused")
    page.wait_for_selector(f"{STAGE} .rededge-player-mark:text-is('paused')")
    passed_over = camera.detected()
    page.click(".rededge-player-toggle-boxes")
    page.click(".rededge-player-toggle-paused")
    ref = camera.detected()
    assert wait_for_paint(page, ref)["drawn"] == []
    assert page.evaluate(f"window.paints.filter(each => each.ref === '{passed_over}').length") <= 1


def test_the_page_continues_after_a_restart_of_the_server(browser: Browser, url: str, camera: Camera) -> None:
    with looking(browser, expected="WebSocket connection to") as page:
        with WebServer(url, port=0) as server:
            page.goto(server.ready.link)
            wait_for_paint(page, camera.detected())
            assert page.text_content("#state") == "connected"
        page.wait_for_selector("#state:text('connection lost')")
        page.wait_for_selector(f"{NOTICE}:text('the connection to the server is lost: trying again')")
        with WebServer(url, port=server.port):
            wait_for_paint(page, camera.detected())
            page.wait_for_selector("#state:text-is('connected')")
            page.wait_for_selector(NOTICE, state="hidden")


def test_the_token_is_removed_from_the_address(page: Page, url: str, camera: Camera) -> None:
    with WebServer(url, port=0, token=TOKEN) as server:
        page.goto(f"{server.ready.link}&camera=0")
        wait_for_paint(page, camera.detected())
        assert page.url == f"{server.ready.url}?camera=0"
        page.goto(server.ready.url)
        wait_for_paint(page, camera.detected())
        assert page.evaluate("document.cookie") == ""
        page.goto("about:blank")


def test_mjpeg_moves_in_an_image_of_another_site(page: Page, server: WebServer, camera: Camera, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f"<img src='{server.ready.url}video?camera=0&token={server.ready.token}'>")
    camera.detected()
    with plain_site(tmp_path) as site:
        # such an image never ends, so neither does the loading of its page
        page.goto(site, wait_until="commit")
        until(page, "document.images[0]?.naturalWidth === 640", "the picture, with none after it")
        small = cv2.imencode(".jpg", np.full((240, 320, 3), 90, np.uint8))[1].tobytes()
        fields: Any = {"count": 9, "image": small}
        camera.detect(camera.client.xadd("camera:0", fields).decode(), boxes="[]", people=0, confidence="[]")
        until(page, "document.images[0].naturalWidth === 320", "the next picture")


def test_jupyterlab_has_it_in_its_launcher_and_proxies_it(
    page: Page, lab: jupyter.Lab, edge: Instance, client: redis.Redis
) -> None:
    camera = Camera(client)
    # without what other tests have opened, it begins with the launcher
    page.goto(f"{lab.url}/lab?reset")
    page.wait_for_selector(".jp-LauncherCard:has-text('Live video')")
    page.goto(f"{lab.url}/rededge-video/?camera=0")
    wait_for_paint(page, camera.detected())
    assert page.evaluate("fetch('healthz').then(answer => answer.json()).then(({ redis }) => redis)")
    assert page.evaluate("fetch('snapshot.jpg').then(answer => answer.status)") == 200
    assert page.evaluate("fetch('video').then(answer => answer.status)") == 501


def test_the_figures_are_above_the_video(
    page: Page, server: WebServer, camera: Camera, bare_client: redis.Redis
) -> None:
    create_series(bare_client, "0")
    client: Any = bare_client
    page.goto(server.ready.link)
    client.execute_command("TS.ADD", "camera:0:people", time.time_ns() // 1_000_000, 7)
    value = "document.querySelector('[data-key=people] .rededge-tile-value')?.textContent"
    until(page, f"{value} === '7'", "the tile with the number of people")
    page.wait_for_selector("[data-key=peak] .rededge-tile-value:text-is('7')")
    page.wait_for_selector("[data-key=fps] .rededge-tile-detail:text-is('no frames arrive')")
    labels = ("LABELS", "camera", "0", "__name__", "too_few_frames")
    client.execute_command("TS.ADD", "camera:0:too_few_frames", time.time_ns() // 1_000_000, 1.5, *labels)
    page.wait_for_selector("[data-key=seen][data-level=warning][title^='not reliable: the model saw 1.5']")
    assert page.locator("[data-key=seen] .rededge-tile-detail").inner_text().startswith("not reliable")
    tiles, player = (page.locator(f"#{each}").bounding_box() for each in ("tiles", "player"))
    assert tiles is not None
    assert player is not None
    assert tiles["y"] + tiles["height"] <= player["y"]


def test_all_cameras_are_shown_in_a_grid(
    page: Page, server: WebServer, camera: Camera, bare_client: redis.Redis
) -> None:
    others = [Camera(bare_client, name) for name in ("door", "yard", "gate")]
    for each in (camera, *others):
        each.detected()
    page.goto(f"{server.ready.link}&view=all")
    until(page, "document.querySelectorAll('#grid .rededge-player-has-frame').length === 4", "four cameras")
    badges = page.locator("#grid .rededge-player-count").all_text_contents()
    assert sorted(badges) == ["0 · 1 person", "door · 1 person", "gate · 1 person", "yard · 1 person"]
    assert page.input_value("#camera") == "*"
    # frames are 4 to 3, so two rows of two are larger than one row
    for width, height, columns in ((1280, 720, 2), (1440, 900, 2), (1920, 1080, 2), (2560, 1080, 2), (390, 844, 1)):
        page.set_viewport_size({"width": width, "height": height})
        wait_for(lambda columns=columns: layout.columns(page, "#grid") == columns, what=f"{columns} columns")
        layout.wait_until_none(layout.sticking_out, page, "body")
        if (width, height) == layout.PHONE:
            continue
        layout.wait_until_none(layout.scrollable, page, "body")
        lowest = max(box["y"] + box["height"] for box in layout.pictures(page, "#grid"))
        assert height - 120 < lowest < height, "the pictures fill the window"
    page.set_viewport_size({"width": 1280, "height": 720})
    # with events, which are beside the pictures, everything is in the window, too
    now = time.time_ns() // 1_000_000
    events = [{"severity": "info", "ts": now, "kind": "line_crossed", "line": "door"}] * 9
    for command in event_commands(f"camera:{camera.id}", events, "", now):
        bare_client.execute_command(*command)
    until(page, "document.querySelectorAll('.rededge-events-row').length === 9", "the events")
    wait_for(lambda: page.evaluate(UNSCROLLED), what="a page without scrollbars")
    wait_for(lambda: layout.columns(page, "#grid") == 2, what="two columns")
    page.reload()
    until(page, "document.querySelectorAll('#grid .rededge-player-has-frame').length === 4", "four cameras")
    page.locator("#grid .rededge-player-stage", has_text="yard").click()
    until(page, "document.querySelector('#player .rededge-player-has-frame') !== null", "the camera alone")
    assert page.url.endswith("?camera=yard")
    assert not page.locator("#grid .rededge-player").count()


def test_an_unknown_camera_is_reported(page: Page, server: WebServer, camera: Camera) -> None:
    camera.detected()
    page.goto(f"{server.ready.link}&camera=nosuch")
    page.wait_for_selector("#notice:text-is('There is no camera nosuch yet; the cameras are 0.')")
    page.select_option("#camera", "0")
    page.wait_for_selector("#notice", state="hidden")
    assert page.locator("#camera option").all_text_contents() == ["0"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), layout.SIZES)
def test_the_page_fits_every_window(
    page: Page, server: WebServer, camera: Camera, bare_client: redis.Redis, width: int, height: int, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    create_series(bare_client, "0")
    client: Any = bare_client
    client.execute_command("TS.ADD", "camera:0:people", time.time_ns() // 1_000_000, 7)
    page.goto(server.ready.link)
    wait_for_paint(page, camera.detected())
    page.wait_for_selector(".rededge-charts-panel canvas")
    layout.wait_until_none(layout.sticking_out, page, "body")
    until(page, "document.documentElement.scrollWidth <= innerWidth", "a page that is not wider than the window")
    stage = f"document.querySelector('{STAGE}')"
    if (width, height) == layout.PHONE:
        until(page, f"{stage}.clientWidth > {width - 60}", "a video as wide as the phone")
    else:
        layout.wait_until_none(layout.scrollable, page, "body")
        until(page, UNSCROLLED, "a page without scrollbars")
        large = f"{stage}.clientWidth > {0.55 * width} || {stage}.clientHeight > {0.75 * height}"
        until(page, large, "a large video")
    layout.wait_until_none(layout.cut_off, page, "body")
    layout.wait_until_none(layout.serious_problems, page, "body")


def test_the_figures_of_many_lines_and_zones_leave_space_for_the_whole_video(
    page: Page, server: WebServer, camera: Camera, bare_client: redis.Redis
) -> None:
    create_series(bare_client, "0")
    client: Any = bare_client
    now_ms = time.time_ns() // 1_000_000
    for name in ("people", "in_fps", "out_fps", "latency"):
        client.execute_command("TS.ADD", f"camera:0:{name}", now_ms - 3_000, 10)
    lines = {name: [1234, 1234] for name in ("gate", "path")}
    zones = {name: [3, 75.5, 1234, 1234] for name in ("lawn", "entrance")}
    scene = functools.reduce(lambda made, name: made.with_line(name, (0, 0), (1, 1)), lines, Scene())
    scene = functools.reduce(lambda made, name: made.with_zone(name, [(0, 0), (1, 0), (1, 1)]), zones, scene)
    bare_client.set(schema.scene_key("0"), scene.to_json())
    page.goto(server.ready.link)
    ref = camera.frame()
    # for 9 min 55 s in view: from ten minutes, the text is shorter
    tracked: Any = {"tracks": "[12]", "since": json.dumps([now_ms - 535_000]), "ts": now_ms + 60_000}
    camera.detect(ref, boxes="[300, 100, 320, 160]", lines=json.dumps(lines), zones=json.dumps(zones), **tracked)
    wait_for_paint(page, ref)
    until(page, "document.querySelectorAll('.rededge-tile').length === 10", "all figures")
    for width, height in layout.SIZES:
        page.set_viewport_size({"width": width, "height": height})
        until(page, f"innerWidth === {width}", "the window to change")
        layout.wait_until_none(layout.cut_off, page, "#tiles")
        tops = [box["y"] for each in page.locator(".rededge-tile").all() if (box := each.bounding_box())]
        assert len({tops.count(top) for top in tops}) == 1, "all rows have the same length"
        if (width, height) != layout.PHONE:
            bottom = "document.querySelector('.rededge-player-bar').getBoundingClientRect().bottom"
            until(page, f"{bottom} <= innerHeight", "the video with its buttons to fit the window")
            stage, charts = (page.locator(each).bounding_box() for each in (STAGE, ".rededge-charts"))
            assert stage is not None
            assert charts is not None
            assert charts["x"] - stage["x"] - stage["width"] < 20, "no empty space between them"
            assert charts["y"] < 0.5 * height
    # a label that is wider than its box leaves out how sure the model is
    assert page.evaluate("window.texts.includes('#12')")
    assert not page.evaluate("window.texts.some(text => text.startsWith('#12 '))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_areas_of_charts_have_enough_contrast(
    page: Page, server: WebServer, camera: Camera, bare_client: redis.Redis, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    create_series(bare_client, "0")
    client: Any = bare_client
    client.execute_command("TS.ADD", "camera:0:people", time.time_ns() // 1_000_000, 7)
    page.goto(server.ready.link)
    until(page, "document.querySelector('.rededge-charts')?.dataset.colors !== undefined", "the charts")
    theme = page.evaluate("JSON.parse(document.querySelector('.rededge-charts').dataset.colors)")
    ground = rgb(theme["ground"])
    band = [0.22 * over + 0.78 * under for over, under in zip(rgb(theme["fill"]["band"]), ground, strict=True)]
    for name, color in {**theme["area"], **theme["line"]}.items():
        assert contrast(rgb(color), ground) >= 3, name
    for name in ("people", "average"):
        assert contrast(rgb(theme["line"][name]), band) >= 3, name
    assert contrast(rgb(theme["muted"]), ground) >= 4.5


def rgb(color: str) -> list[float]:
    if color.startswith("#"):
        return [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return [float(value) for value in re.findall(r"[\d.]+", color)[:3]]


def contrast(one: list[float], other: list[float]) -> float:
    """As WCAG defines it."""

    def luminance(color: list[float]) -> float:
        linear = [value / 3294.6 if value <= 10.31 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_frame_in_full_size_is_above_the_page(page: Page, server: WebServer, camera: Camera) -> None:
    page.goto(server.ready.link)
    wait_for_paint(page, camera.detected())
    page.focus(STAGE)
    page.keyboard.press("Enter")
    dialog = page.wait_for_selector("dialog.rededge-player-full")
    assert dialog.evaluate("each => each.matches(':modal')")
    image = "document.querySelector('.rededge-player-full-image')"
    until(page, f"{image}.clientHeight > 700 - 70 || {image}.clientWidth > 1280 * 0.9", "a large picture")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.rededge-player-full", state="detached")
    until(page, "document.activeElement.className === 'rededge-player-stage'", "the focus to come back")


@contextmanager
def plain_site(folder: Path) -> Iterator[str]:
    """A folder served at a port of its own, as Grafana beside the video is."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{site.server_port}/"
        finally:
            site.shutdown()
            thread.join()


@contextmanager
def looking(browser: Browser, *, expected: str) -> Iterator[Page]:
    """A page that may complain of one thing in its console."""
    watch = jupyter.Watch()
    context = browser.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(jupyter.TIMEOUT * 1000)
        page.add_init_script(RECORD_PAINTS)
        watch.attach(page)
        yield page
    finally:
        context.close()
    watch.errors = [error for error in watch.errors if expected not in error]
    watch.check()
